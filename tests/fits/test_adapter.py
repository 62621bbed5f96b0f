"""Adapters added in place against peft's own forward pass."""

from __future__ import annotations

import copy

import pytest
import torch
from peft import LoraConfig, inject_adapter_in_model
from torch import nn

from superalign.fits._adapter import in_place


def adapted(bias: bool, dropout: float = 0.0) -> nn.Sequential:
    torch.manual_seed(0)
    network = nn.Sequential(nn.Linear(6, 10, bias=bias), nn.SiLU(), nn.Linear(10, 4, bias=bias)).requires_grad_(False)
    config = LoraConfig(r=3, lora_alpha=5, lora_dropout=dropout, target_modules=["0", "2"], init_lora_weights=False)
    return inject_adapter_in_model(config, network)


@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_outputs_and_gradients_are_those_of_peft(bias: bool, dtype: torch.dtype) -> None:
    theirs = adapted(bias)
    for part in theirs.modules():
        if isinstance(part, nn.Linear) and not any(p.requires_grad for p in part.parameters()):
            part.to(dtype)
    ours = copy.deepcopy(theirs)
    in_place(ours[0])
    in_place(ours[2])
    assert all("forward" in vars(ours[place]) for place in (0, 2))
    tolerance = {"atol": 1e-5, "rtol": 1e-5} if dtype == torch.float32 else {"atol": 0.06, "rtol": 0.06}
    x = torch.randn(2, 5, 6)
    found = []
    for network in (theirs, ours):
        given = x.clone().requires_grad_()
        with torch.autocast("cpu", torch.bfloat16, enabled=dtype == torch.bfloat16):
            out = network(given)
        out.float().square().sum().backward()
        moved = [p.grad for p in network.parameters() if p.requires_grad]
        assert all(p.grad is None for p in network.parameters() if not p.requires_grad)
        found.append([out.float(), given.grad, *moved])
    assert len(found[0]) == 6
    for expected, got in zip(*found, strict=True):
        torch.testing.assert_close(got, expected.to(got.dtype), **tolerance)


def test_dropout_is_left_to_peft() -> None:
    network = adapted(bias=True, dropout=0.5)
    in_place(network[0])
    assert "forward" not in vars(network[0])
