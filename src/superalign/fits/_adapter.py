"""Low-rank adapters computed in place: y = W x + s B A x without a pass over y for the sum, forward or back."""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from torch import Tensor, nn


ADAPTER = "default"  # peft's own name of an adapter, which its files leave out


def in_place(layer: Any) -> None:
    """Let an adapted linear layer of peft add its active adapter in place; what it computes stays the same.

    Layers that drop inputs, or whose weights are stored transposed (GPT-2's), stay as they are.
    """
    from torch import nn

    base, dropouts = layer.get_base_layer(), layer.lora_dropout.values()
    if type(base) is not nn.Linear or not all(isinstance(dropout, nn.Identity) for dropout in dropouts):
        return

    def forward(x: Tensor) -> Tensor:
        (name,) = layer.active_adapters
        a, b = layer.lora_A[name].weight, layer.lora_B[name].weight
        out: Tensor = _function().apply(x, base, a, b, layer.scaling[name])
        return out

    layer.forward = forward


def activate(layer: Any, name: str) -> None:
    """Let an adapted layer compute with one of its adapters; all of them go on learning."""
    layer.set_adapter(name)
    for part in (layer.lora_A, layer.lora_B):
        part.requires_grad_(True)  # peft freezes those that are not active


@cache
def _function() -> Any:
    """Return the autograd function; it is made on first use, because torch is imported late."""
    import torch

    class AdaptedLinear(torch.autograd.Function):
        @staticmethod
        def forward(ctx: Any, x: Tensor, base: nn.Linear, a: Tensor, b: Tensor, scale: float) -> Tensor:
            weight = base.weight
            with torch.autocast(x.device.type, enabled=False):
                flat = x.reshape(-1, x.shape[-1]).to(weight.dtype)
                low = flat @ a.to(weight.dtype).T
                y = torch.nn.functional.linear(flat, weight, base.bias)
                y.addmm_(low, b.to(weight.dtype).T, alpha=scale)
            ctx.save_for_backward(flat, low, weight, a, b)
            ctx.scale, ctx.shape, ctx.dtype = scale, x.shape, x.dtype
            return y.view(*x.shape[:-1], -1)

        @staticmethod
        def backward(ctx: Any, *gradients: Tensor) -> Any:
            flat, low, weight, a, b = ctx.saved_tensors
            gradient = gradients[0].reshape(-1, weight.shape[0]).to(weight.dtype)
            with torch.autocast(flat.device.type, enabled=False):
                back = (gradient @ b.to(weight.dtype)) * ctx.scale
                of_x = None
                if ctx.needs_input_grad[0]:
                    of_x = (gradient @ weight).addmm_(back, a.to(weight.dtype)).view(ctx.shape).to(ctx.dtype)
                of_a = (back.T @ flat).to(a.dtype)
                of_b = (gradient.T @ low).to(b.dtype) * ctx.scale
            return of_x, None, of_a, of_b, None

    return AdaptedLinear
