"""The packed trunk says what the plain one says."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from torch import nn

from checkpoints import ARCHITECTURES, LAYERS
from superalign.models._packed import pack
from superalign.models._trunk import load_trunk

Tiny = Callable[[str], Path]
pytestmark = pytest.mark.skipif(
    not hasattr(torch.ops.mkldnn, "_reorder_linear_weight"), reason="this build of torch has no oneDNN operators"
)
multiplies_bf16 = pytest.mark.skipif(
    not torch.ops.mkldnn._is_mkldnn_bf16_supported(), reason="this processor does not multiply bf16"
)


def answer(module: nn.Module) -> torch.Tensor:
    ids = torch.arange(4, 24).view(2, 10)
    with torch.inference_mode():
        hidden: torch.Tensor = module(input_ids=ids).last_hidden_state.float()
    return hidden


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_packed_trunk_gives_the_same_features(tiny: Tiny, architecture: str) -> None:
    trunk = load_trunk(tiny(architecture), LAYERS, "bf16", "cpu")
    before = answer(trunk.module)
    pack(trunk.module)
    after = answer(trunk.module)
    assert (before - after).abs().max() <= 0.05 * before.abs().max()
    if architecture not in ("llama", "qwen2", "gemma3"):  # no gated layers: not one bit differs
        assert torch.equal(before, after)


@multiplies_bf16
def test_linear_and_gated_layers_are_replaced(tiny: Tiny) -> None:
    trunk = load_trunk(tiny("llama"), 1, "bf16", "cpu")
    pack(trunk.module)
    kinds = {type(module).__name__ for module in trunk.module.modules()}
    assert {"PackedLinear", "PackedGatedLayer"} <= kinds
    assert "Linear" not in kinds


class Odd(nn.Module):
    """Has the parts of a gated layer and computes something else."""

    def __init__(self) -> None:
        super().__init__()
        self.gate_proj, self.up_proj, self.down_proj = (nn.Linear(8, 8, dtype=torch.bfloat16) for _ in range(3))
        self.act_fn = nn.SiLU()

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.down_proj(self.act_fn(self.gate_proj(x)) + 3 * self.up_proj(x))


class Body(nn.Module):
    def __init__(self, layer: nn.Module) -> None:
        super().__init__()
        self.embedding, self.layer = nn.Embedding(30, 8, dtype=torch.bfloat16), layer

    def forward(self, input_ids: torch.Tensor) -> torch.Tensor:
        return self.layer(self.embedding(input_ids))


class Reading(nn.Linear):
    pass


class ReadsWeight(nn.Module):
    """Reads a layer's weight itself, so that layer cannot be packed."""

    def __init__(self) -> None:
        super().__init__()
        self.inner = nn.Linear(8, 8, dtype=torch.bfloat16)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x @ self.inner.weight


def test_layer_that_only_looks_gated_keeps_its_meaning() -> None:
    body = Body(Odd())
    ids = torch.arange(20)[None]
    with torch.inference_mode():
        before = body(ids)
        pack(body)
        assert torch.equal(body(ids), before)
    assert type(body.layer) is Odd


def test_network_that_cannot_be_packed_stays_as_it_was() -> None:
    body = Body(ReadsWeight())
    pack(body)
    assert type(body.layer.inner) is nn.Linear


def test_subclasses_and_other_precisions_are_left_alone() -> None:
    for layer in (Reading(8, 8, dtype=torch.bfloat16), nn.Linear(8, 8)):
        body = Body(layer)
        pack(body)
        assert body.layer is layer
