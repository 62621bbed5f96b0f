"""Low-rank adapters on a frozen body."""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING, Annotated

from pydantic import Field

from superalign.errors import ConfigError, did_you_mean, require
from superalign.fit import fits
from superalign.fits._adapter import ADAPTER, activate, in_place
from superalign.fits._base import borrow
from superalign.fits._finetune import Body, FineTune
from superalign.fits._spare import Spared
from superalign.model import Model
from superalign.models._size import targeted

if TYPE_CHECKING:
    from torch import nn


@fits.register("lora")
class Lora(FineTune):
    """Low-rank adapters (Hu et al. 2021, arXiv 2106.09685): y = W x + alpha / rank * B A x, with W frozen.

    The body stays in the model's own precision; adapters, head and optimizer are float32.
    """

    lr: Annotated[float, Field(gt=0)] = 3e-4
    """Peak learning rate of AdamW."""
    rank: Annotated[int, Field(ge=1)] = 8
    """Rank of each adapter."""
    alpha: Annotated[float, Field(gt=0)] = 16.0
    """Scale of the adapters, divided by the rank."""
    dropout: Annotated[float, Field(ge=0, lt=1)] = 0.0
    """Share of an adapter's inputs dropped while learning."""
    spare: Annotated[int, Field(ge=0)] = 0
    """Principal directions of what general text (Python's manual) puts into each adapted layer, along which its adapter
    changes nothing: a few of them keep such text about as likely as it was."""
    target: str = "all-linear"
    """Which layers get an adapter: all linear ones, those of `attention`, or the ends of their names joined by +
    (`q_proj+v_proj`)."""

    def body(self, model: Model, peers: int = 1) -> Body:
        """Take the model, frozen, and add adapters: a set for each peer."""
        require("peft", "local")
        from peft import LoraConfig, inject_adapter_in_model
        from peft.tuners.lora import LoraLayer

        backbone = borrow(model)
        body = backbone.module
        linear = _linear_layers(body)
        config = LoraConfig(
            r=self.rank,
            lora_alpha=self.alpha,
            lora_dropout=self.dropout,
            target_modules=self._targets(list(linear)),
            fan_in_fan_out=any(linear.values()),
        )
        names = [ADAPTER, *(f"peer{number}" for number in range(1, peers))]
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", "Already found a `peft_config`")  # the second set is meant
            for name in names:
                inject_adapter_in_model(config, body, name)
        layers = [layer for layer in body.modules() if isinstance(layer, LoraLayer)]
        dropouts = []
        for layer in layers:
            layer.cast_input_dtype_enabled = False  # autocast does it, without a float32 copy of the input
            dropouts += list(layer.lora_dropout.values())
            activate(layer, names[0])
            in_place(layer)
        for parameter in body.parameters():
            if parameter.requires_grad:
                parameter.data = parameter.data.float()

        def turn(peer: int) -> None:
            for layer in layers:
                activate(layer, names[peer])

        if not self.spare:
            return Body(backbone, dropouts, turn)
        return Body(backbone, dropouts, turn, Spared(backbone, layers, self.spare).settle)

    def _targets(self, names: list[str]) -> list[str]:
        for end in self.target.split("+"):
            if not any(targeted(name, end) for name in names):
                known = {name.rpartition(".")[2] for name in names}
                raise ConfigError(f"the model has no linear layer '{end}'", fix=did_you_mean(end, known))
        return [name for name in names if targeted(name, self.target)]


def _linear_layers(body: nn.Module) -> dict[str, bool]:
    """Return the names of the linear layers and whether their weights are stored transposed (GPT-2's are)."""
    from torch import nn
    from transformers.pytorch_utils import Conv1D

    layers = ((name, module) for name, module in body.named_modules() if isinstance(module, nn.Linear | Conv1D))
    return {name: isinstance(module, Conv1D) for name, module in layers}
