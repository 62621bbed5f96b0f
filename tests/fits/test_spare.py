"""Adapters that see nothing of what general text puts into a layer most of all."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from transformers import AutoModel, AutoTokenizer
from transformers.pytorch_utils import Conv1D

from small_tasks import examples, lesson, model
from superalign.errors import ConfigError
from superalign.fits.lora import Lora
from superalign.prose import spared
from superalign.store import Store

COUNT = 3
FAST: dict[str, Any] = {"lr": 3e-3, "epochs": 8, "batch": 8, "schedule": "constant", "keep": True}


def inputs(folder: Path) -> dict[str, np.ndarray]:
    """Return what general text puts into each linear layer, [tokens, d], by transformers alone."""
    network, tokenizer = AutoModel.from_pretrained(folder), AutoTokenizer.from_pretrained(folder)
    found: dict[str, list[np.ndarray]] = {}
    for name, layer in network.named_modules():
        if isinstance(layer, torch.nn.Linear | Conv1D):
            found[name] = []
            layer.register_forward_pre_hook(lambda _, x, name=name: found[name].append(x[0][0, 1:].numpy()))
    with torch.no_grad():
        for one in spared():
            text = f"{one.opening} {one.rest}"
            network(**tokenizer(text, return_tensors="pt", truncation=True, max_length=tokenizer.model_max_length))
    return {name: np.concatenate(rows) for name, rows in found.items()}


def main_directions(x: np.ndarray) -> np.ndarray:
    return np.linalg.svd(x.astype(np.float64), full_matrices=False)[2][:COUNT]


@pytest.mark.parametrize("architecture", ["llama", "gpt2"])
def test_what_is_learnt_sees_nothing_of_the_spared_directions(tiny, architecture, tmp_path) -> None:
    task, truth = examples(24)
    fit, asked = Lora(**FAST, spare=COUNT), model(tiny(architecture))
    first = lesson(truth)
    (learned,) = fit.learn(asked, task, [first], [np.arange(24)], store=Store(tmp_path), report=lambda **_: None)
    second = replace(first, start=learned.kept)
    (more,) = fit.learn(asked, task, [second], [np.arange(24)], store=Store(tmp_path), report=lambda **_: None)
    assert (learned.probs.argmax(1) == truth).mean() >= 0.9
    assert (more.probs.argmax(1) == truth).mean() >= 0.9
    seen = inputs(tiny(architecture))
    for kept in (learned.kept, more.kept):
        readers = {name: a for name, a in kept.items() if ".lora_A." in name}
        assert len(readers) == len(seen)
        for name, a in readers.items():
            (x,) = (x for layer, x in seen.items() if f".{layer}.lora_A." in name)
            assert np.abs(a @ main_directions(x).T).max() < 1e-4 * np.abs(a).max()
            assert np.linalg.norm(a) > 0.1
        assert any(np.abs(b).max() > 1e-3 for name, b in kept.items() if ".lora_B." in name)


def test_without_it_adapters_read_everything(tiny, tmp_path) -> None:
    task, truth = examples(24)
    (learned,) = Lora(**FAST).learn(
        model(tiny("llama")), task, [lesson(truth)], [np.arange(24)], store=Store(tmp_path), report=lambda **_: None
    )
    seen = inputs(tiny("llama"))
    name, a = next((name, a) for name, a in learned.kept.items() if ".lora_A." in name)
    (x,) = (x for layer, x in seen.items() if f".{layer}.lora_A." in name)
    assert np.abs(a @ main_directions(x).T).max() > 1e-2 * np.abs(a).max()


def test_a_layer_must_have_more_inputs(tiny, tmp_path) -> None:
    task, truth = examples(24)
    fit = Lora(**FAST, spare=10_000)
    with pytest.raises(ConfigError, match="spare=10000 leaves nothing"):
        fit.learn(
            model(tiny("llama")), task, [lesson(truth)], [np.arange(24)], store=Store(tmp_path), report=lambda **_: None
        )
