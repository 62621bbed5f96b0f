"""Linear layers as the CPU likes them: bf16 weights laid out once instead of at every call, gated layers in one go."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, TypeGuard

if TYPE_CHECKING:
    from torch import Tensor, nn

# oneDNN's names of the activations that gated layers use.
_ACTIVATIONS = {
    "SiLU": ("swish", ""),
    "SiLUActivation": ("swish", ""),
    "PytorchGELUTanh": ("gelu", "tanh"),
    "GELUTanh": ("gelu", "tanh"),
}
TOLERANCE = 0.05  # of the largest value: a few bf16 roundings


def pack(module: nn.Module) -> None:
    """Speed up a network that is used for inference in bf16 on the CPU, in place.

    The operators are those that torch's own compiler uses for oneDNN. Linear layers give the same numbers as before;
    gated layers differ by the rounding of an intermediate result that is no longer rounded. Where the operators are
    missing, or the architecture reads a layer's weight itself, the network stays as it was.
    """
    import torch

    if not hasattr(torch.ops.mkldnn, "_reorder_linear_weight"):
        return
    undo = []
    try:
        with torch.inference_mode():
            for replace in (_gated, _linears):
                for owner, name, child, packed in replace(module):
                    undo.append((owner, name, child))
                    setattr(owner, name, packed)
            module(input_ids=torch.zeros(1, 2, dtype=torch.long))
    except (AttributeError, RuntimeError, NotImplementedError):
        for owner, name, child in reversed(undo):
            setattr(owner, name, child)


def _linears(module: nn.Module) -> Iterator[tuple[nn.Module, str, nn.Module, nn.Module]]:
    for owner, name, child in _children(module):
        if _packable(child):
            yield owner, name, child, _linear(child)


def _gated(module: nn.Module) -> Iterator[tuple[nn.Module, str, nn.Module, nn.Module]]:
    """Replace `down(act(gate(x)) * up(x))`, when a trial shows that this is what the layer computes."""
    import torch

    for owner, name, child in _children(module):
        gate, up, down = (getattr(child, part, None) for part in ("gate_proj", "up_proj", "down_proj"))
        activation = _ACTIVATIONS.get(type(getattr(child, "act_fn", None)).__name__)
        if activation is None or not (_packable(gate) and _packable(up) and _packable(down)):
            continue
        packed = _gated_layer(gate, up, down, *activation)
        trial = torch.randn(4, gate.in_features, dtype=torch.bfloat16)
        expected = child(trial)
        if (packed(trial) - expected).abs().max() <= TOLERANCE * expected.abs().max():
            yield owner, name, child, packed


def _children(module: nn.Module) -> list[tuple[nn.Module, str, nn.Module]]:
    return [(owner, name, child) for owner in module.modules() for name, child in owner.named_children()]


def _packable(module: object) -> TypeGuard[nn.Linear]:
    import torch
    from torch import nn

    return type(module) is nn.Linear and module.weight.dtype == torch.bfloat16


def _linear(linear: nn.Linear) -> nn.Module:
    import torch
    from torch import nn

    ops = torch.ops.mkldnn

    class PackedLinear(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.weight_packed, self.bias = ops._reorder_linear_weight(linear.weight.detach()), linear.bias

        def forward(self, x: Tensor) -> Tensor:
            out: Tensor = ops._linear_pointwise(x, self.weight_packed, self.bias, "none", [], "")
            return out

    return PackedLinear()


def _gated_layer(gate: nn.Linear, up: nn.Linear, down: nn.Linear, activation: str, algorithm: str) -> nn.Module:
    import torch
    from torch import nn

    ops = torch.ops.mkldnn

    class PackedGatedLayer(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.gate, self.up, self.down = map(_linear, (gate, up, down))

        def forward(self, x: Tensor) -> Tensor:
            gate, up = self.gate, self.up
            gated = ops._linear_pointwise(x, gate.weight_packed, gate.bias, activation, [], algorithm)
            mixed = ops._linear_pointwise.binary(x, gated, up.weight_packed, up.bias, "mul")
            out: Tensor = self.down(mixed)
            return out

    return PackedGatedLayer()
