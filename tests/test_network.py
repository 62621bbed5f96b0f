"""Texts computed one after the other, without padding, against each text alone through transformers."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from transformers import AutoModel

from checkpoints import ARCHITECTURES
from small_tasks import model
from superalign import flat
from superalign.fits.full import Full
from superalign.network import Network, Reading, Rows

Tiny = Callable[[str], Path]
LENGTHS = (17, 1, 9, 17, 12)  # longer than gemma3's windows of 8


def network_of(folder: Path) -> Network:
    return Full(lr=1e-3).network(model(folder), 2)


def texts(opening: int = 0) -> list[list[int]]:
    """Return texts that begin alike, with so many tokens."""
    generator = np.random.default_rng(0)
    alike = generator.integers(5, 40, size=opening).tolist()
    return [[*alike, 5 + place, *generator.integers(5, 40, size=n - 1).tolist()] for place, n in enumerate(LENGTHS)]


@pytest.mark.parametrize("opening", [0, 1, 6])
@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_hidden_states_and_gradients_are_those_of_each_text_alone(tiny: Tiny, architecture: str, opening: int) -> None:
    network = network_of(tiny(architecture))
    assert network.flat
    given = texts(opening)
    ours = network.hidden(Rows.of(given, network.backbone.pad_id))
    plain = AutoModel.from_pretrained(tiny(architecture), dtype=torch.float32).eval()
    alone = [plain(input_ids=torch.tensor([text])).last_hidden_state[0] for text in given]
    for row, expected in zip(ours, alone, strict=True):
        torch.testing.assert_close(row[: len(expected)], expected, atol=2e-4, rtol=1e-4)

    weights = [torch.randn(one.shape, generator=torch.Generator().manual_seed(1)) for one in alone]
    sum((row[: len(w)] * w).sum() for row, w in zip(ours, weights, strict=True)).backward()
    sum((one * w).sum() for one, w in zip(alone, weights, strict=True)).backward()
    theirs = dict(plain.named_parameters())
    checked = 0
    for name, parameter in network.backbone.module.named_parameters():
        expected = theirs[name].grad
        if parameter.grad is not None and expected is not None:
            scale = expected.abs().max().item()
            torch.testing.assert_close(parameter.grad, expected, atol=1e-4 * max(scale, 1), rtol=1e-3)
            checked += 1
    assert checked > 10


def test_no_padding_is_computed(tiny: Tiny, monkeypatch: pytest.MonkeyPatch) -> None:
    network = network_of(tiny("llama"))
    seen = []
    body = network.backbone.module
    body.register_forward_pre_hook(lambda _, args, kwargs: seen.append(kwargs["input_ids"].numel()), with_kwargs=True)
    reading = Reading(texts(), 1, 0)
    rows = np.arange(len(LENGTHS))
    network.probs(reading, rows, budget=30)
    assert sum(seen) == sum(LENGTHS)
    assert max(seen) <= 30
    assert [network.computed(reading, piece) for piece in network.cut(reading, rows, 30)] == seen


def test_what_texts_begin_with_is_computed_once(tiny: Tiny) -> None:
    network = network_of(tiny("llama"))
    seen = []
    body = network.backbone.module
    body.register_forward_pre_hook(lambda _, args, kwargs: seen.append(kwargs["input_ids"].numel()), with_kwargs=True)
    network.hidden(Rows.of(texts(6), network.backbone.pad_id))
    same = [texts()[0]] * 3
    hidden = network.hidden(Rows.of(same, network.backbone.pad_id))
    assert seen == [6 + sum(LENGTHS), LENGTHS[0]]
    torch.testing.assert_close(hidden[0], hidden[2])


def test_an_attention_that_computes_something_else_is_not_used(tiny: Tiny, monkeypatch: pytest.MonkeyPatch) -> None:
    right = network_of(tiny("llama"))
    monkeypatch.setattr(flat.Flat, "gather", lambda self, x: x.flatten(-3, -2)[..., : len(self.place), :] * 1.5)
    refused = network_of(tiny("llama"))
    assert not refused.flat
    assert refused.backbone.module.config._attn_implementation == "eager"
    reading, rows = Reading(texts(), 1, 0), np.arange(len(LENGTHS))
    with torch.inference_mode():
        for network in (right, refused):
            torch.nn.init.constant_(network.head.weight, 0.01)
        monkeypatch.undo()
        torch.testing.assert_close(right.logits(reading, rows), refused.logits(reading, rows), atol=1e-4, rtol=1e-4)
