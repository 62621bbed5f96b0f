"""Linear layers whose bf16 weights are laid out for the CPU once, not at every call: the same numbers, sooner."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import nn


def pack_linears(module: nn.Module) -> None:
    """Replace the bf16 linear layers of a network used for inference on the CPU, in place.

    The layout is oneDNN's, reached through the operators that torch's own compiler uses. Where these are missing, or
    the architecture reads a layer's weight itself, the network stays as it was.
    """
    import torch
    from torch import nn

    if not torch._C._has_mkldnn or not hasattr(torch.ops.mkldnn, "_reorder_linear_weight"):
        return
    places = [
        (owner, name, child)
        for owner in module.modules()
        for name, child in owner.named_children()
        if type(child) is nn.Linear and child.weight.dtype == torch.bfloat16
    ]
    try:
        with torch.inference_mode():
            for owner, name, linear in places:
                setattr(owner, name, _packed(linear))
            module(input_ids=torch.zeros(1, 2, dtype=torch.long))
    except (AttributeError, RuntimeError, NotImplementedError):
        for owner, name, linear in places:
            setattr(owner, name, linear)


def _packed(linear: nn.Linear) -> nn.Module:
    import torch
    from torch import Tensor, nn

    class PackedLinear(nn.Module):
        def __init__(self, weight: Tensor, bias: Tensor | None) -> None:
            super().__init__()
            self.packed, self.bias = torch.ops.mkldnn._reorder_linear_weight(weight), bias

        def forward(self, x: Tensor) -> Tensor:
            out: Tensor = torch.ops.mkldnn._linear_pointwise(x, self.packed, self.bias, "none", [], "")
            return out

    return PackedLinear(linear.weight.detach(), linear.bias)
