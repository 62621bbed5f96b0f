"""Generative fine-tuning before a head learns: against transformers' own loss; cut off, it goes on."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from transformers import AutoModelForCausalLM

from checkpoints import ARCHITECTURES
from small_tasks import comparisons, examples, lesson, model
from superalign import checkpoint
from superalign.errors import ConfigError, ModelError
from superalign.fit import Learned
from superalign.fits._finetune import FineTune
from superalign.fits._generative import sayings, speaker
from superalign.fits.full import Full
from superalign.fits.lora import Lora
from superalign.network import Reading
from superalign.objective import objectives
from superalign.store import Store
from superalign.task import Task

Tiny = Callable[[str], Path]
SETTINGS: dict[str, Any] = {"lr": 3e-3, "epochs": 1, "batch": 8, "warmup": 0}


def learn(fit: FineTune, folder: Path, task: Task, truth: np.ndarray, store: Store, ear: Any = None) -> Learned:
    everything = np.arange(len(task.items))
    report = ear or (lambda **_: None)
    (learned,) = fit.learn(model(folder), task, [lesson(truth)], [everything], store=store, report=report)
    return learned


@pytest.mark.parametrize("architecture", [name for name in ARCHITECTURES if name != "bert"])
def test_the_loss_is_that_of_a_language_model(tiny: Tiny, architecture: str) -> None:
    task, _ = examples(12)
    network = Full(**SETTINGS).network(model(tiny(architecture)), 2)
    reading = Reading.of(task, np.arange(12), network.backbone)
    answers, labels = sayings(reading)
    policy = speaker(network)
    each = policy.objective(policy.logits(answers, np.arange(12)), torch.ones(12, 2), progress=0.0, context=None)
    ours = (each * torch.from_numpy(labels.weight)).sum() / labels.weight.sum()

    plain = AutoModelForCausalLM.from_pretrained(tiny(architecture), dtype=torch.float32).eval()
    lost, tokens = 0.0, 0
    for ids in reading.ids:
        row = torch.tensor([list(ids)])
        lost += plain(input_ids=row, labels=row).loss.item() * (len(ids) - 1)
        tokens += len(ids) - 1
    assert ours.item() == pytest.approx(lost / tokens, rel=1e-4)
    assert labels.weight.sum() == tokens


@pytest.mark.parametrize("fit", [Lora(**SETTINGS, generative=6), Full(**SETTINGS, generative=6)], ids=["lora", "full"])
@pytest.mark.parametrize("make", [examples, comparisons])
def test_texts_become_likelier_and_the_head_learns_after(tiny: Tiny, tmp_path: Path, fit: FineTune, make: Any) -> None:
    task, truth = make(24)
    learned = learn(fit, tiny("llama"), task, truth, Store(tmp_path))
    assert learned.facts["generative_last_loss"] < learned.facts["generative_first_loss"] - 0.1
    without = learn(fit.model_copy(update={"generative": 0}), tiny("llama"), task, truth, Store(tmp_path))
    assert "generative_last_loss" not in without.facts
    assert learned.facts["steps"] == without.facts["steps"]
    assert np.abs(learned.probs - without.probs).max() > 1e-4


@pytest.mark.parametrize("cut_at", [3, 14])
def test_cut_off_in_either_stage_it_ends_as_if_never(
    tiny: Tiny, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, cut_at: int
) -> None:
    monkeypatch.setattr(checkpoint, "EVERY", 0.0)
    monkeypatch.setattr(checkpoint, "SHARE", math.inf)

    class Cut(BaseException):
        """Ends a training as a kill does."""

    steps = []

    def ear(**facts: Any) -> None:
        if "total" in facts:
            steps.append(facts["done"])
            if len(steps) == cut_at:
                raise Cut

    task, truth = examples(40)
    fit = Lora(**SETTINGS, generative=2, dropout=0.2)  # 10 steps to say, 5 to judge
    calm = learn(fit, tiny("llama"), task, truth, Store(tmp_path / "calm"))
    with pytest.raises(Cut):
        learn(fit, tiny("llama"), task, truth, Store(tmp_path / "store"), ear)
    before = len(steps)
    again = learn(fit, tiny("llama"), task, truth, Store(tmp_path / "store"), ear)
    np.testing.assert_array_equal(again.probs, calm.probs)
    assert again.facts == calm.facts
    assert len(steps) - before < 15  # it did not begin anew


def test_what_cannot_speak_is_refused(tiny: Tiny, tmp_path: Path) -> None:
    task, truth = examples(24)
    with pytest.raises(ModelError, match="no policy"):
        learn(Lora(**SETTINGS, generative=1), tiny("bert"), task, truth, Store(tmp_path))
    for fit, objective in ((Lora(generative=1, read="policy"), "naive"), (Lora(generative=1), "co-teaching")):
        with pytest.raises(ConfigError, match="for a head alone"):
            fit.check(objectives.build(objective), None)
    with pytest.raises(ConfigError, match="sharded"):
        Full(generative=1, sharded=True).check(objectives.build("naive"), None)
