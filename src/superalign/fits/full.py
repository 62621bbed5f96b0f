"""Everything moves."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import Field

from superalign.distributed import Processes, shard
from superalign.errors import ConfigError, ModelError
from superalign.fit import fits
from superalign.fits._base import release
from superalign.fits._finetune import Body, FineTune
from superalign.model import Model
from superalign.network import Network, Trainee
from superalign.objective import Objective
from superalign.task import Task


@fits.register("full")
class Full(FineTune):
    """Full fine-tuning: float32 weights, computed in the model's own precision.

    Weights kept in bf16 would lose most of AdamW's small steps to rounding.
    """

    lr: Annotated[float, Field(gt=0)] = 3e-5
    """Peak learning rate of AdamW."""
    checkpointing: bool = False
    """Keep each layer's input alone and compute the rest again on the way back: less memory, more time."""
    sharded: bool = False
    """Where several processes train together, each holds a part of the weights and of the optimizer's state (FSDP2)."""

    def check(self, objective: Objective, task: Task | None) -> None:
        """Refuse learners side by side; see Fit.check."""
        if objective.peers > 1:
            why = f"{objective} trains {objective.peers} learners, whose whole bodies would have to be held"
            raise ConfigError(f"fit '{self.name}' trains no learners side by side", why=why, fix="fit=lora")
        if self.sharded and self.generative:
            why = (
                "the head of a language model is its embedding, which is used outside of the layer that holds its shard"
            )
            raise ConfigError("sharded weights cannot learn to say texts", why=why, fix="generative=0")
        super().check(objective, task)

    def body(self, model: Model, peers: int = 1) -> Body:
        """Load the model in float32."""
        release()
        backbone = model.backbone("fp32")
        module: Any = backbone.module.requires_grad_(True)
        acting = []
        if self.checkpointing:
            if not getattr(module, "supports_gradient_checkpointing", False):
                raise ModelError(f"{model} cannot recompute activations", fix="checkpointing=false")
            enable = getattr(module, "activation_checkpointing_enable", None) or module.gradient_checkpointing_enable
            enable({"use_reentrant": False})
            acting = [part for part in module.modules() if getattr(part, "gradient_checkpointing", False)]
        return Body(backbone, acting)

    def spread(self, network: Trainee[Any]) -> Processes:
        """Shard what learns, if asked to; see FineTune.spread."""
        if not self.sharded:
            return super().spread(network)
        if not isinstance(network, Network):
            why = "a policy's head is its embedding, which is used outside of the layer that would hold its shard"
            raise ConfigError("a policy cannot be sharded", why=why, fix="sharded=false, or read=head")
        return shard(network)
