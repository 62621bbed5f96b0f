"""Adapters added in place against peft's own forward pass."""

from __future__ import annotations

import copy

import pytest
import torch
from peft import LoraConfig, inject_adapter_in_model
from torch import nn

from superalign.fits._adapter import activate, in_place


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


def test_two_adapters_on_one_body_take_turns_and_learn_each_from_its_own() -> None:
    torch.manual_seed(0)
    network = nn.Sequential(nn.Linear(6, 10), nn.SiLU(), nn.Linear(10, 4)).requires_grad_(False)
    config = LoraConfig(r=3, lora_alpha=5, target_modules=["0", "2"], init_lora_weights=False)
    for name in ("one", "two"):
        inject_adapter_in_model(config, network, name)
    alone = {}
    for name in ("one", "two"):
        alone[name] = copy.deepcopy(network)
        for place in (0, 2):
            alone[name][place].set_adapter(name)
    for place in (0, 2):
        in_place(network[place])
    x = torch.randn(5, 6)
    outs = []
    for name in ("one", "two"):
        for place in (0, 2):
            activate(network[place], name)
        outs.append(network(x))
    (outs[0].square().sum() + outs[1].square().sum()).backward()  # both graphs after both turns
    assert (outs[0] - outs[1]).abs().max() > 0.1
    for name, out in zip(("one", "two"), outs, strict=True):
        theirs = alone[name](x)
        torch.testing.assert_close(out, theirs, atol=1e-5, rtol=1e-5)
        theirs.square().sum().backward()
        for place in (0, 2):
            for part in ("lora_A", "lora_B"):
                mine = getattr(network[place], part)[name].weight.grad
                torch.testing.assert_close(mine, getattr(alone[name][place], part)[name].weight.grad)
