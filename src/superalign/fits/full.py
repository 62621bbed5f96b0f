"""Everything moves."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import Field

from superalign.errors import ModelError
from superalign.fit import fits
from superalign.fits._finetune import Body, FineTune
from superalign.model import Model


@fits.register("full")
class Full(FineTune):
    """Full fine-tuning: float32 weights, computed in the model's own precision.

    Weights kept in bf16 would lose most of AdamW's small steps to rounding.
    """

    lr: Annotated[float, Field(gt=0)] = 3e-5
    """Peak learning rate of AdamW."""
    checkpointing: bool = False
    """Keep each layer's input alone and compute the rest again on the way back: less memory, more time."""

    def body(self, model: Model) -> Body:
        """Load the model in float32."""
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
