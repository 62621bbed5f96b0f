"""Bodies that learners with adapters share, one after the other."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from checkpoints import ARCHITECTURES
from small_tasks import examples, lesson, model
from superalign.fit import Learned
from superalign.fits import _base
from superalign.fits._base import borrow, release
from superalign.fits.full import Full
from superalign.fits.lora import Lora
from superalign.models import _trunk
from superalign.store import Store

Tiny = Callable[[str], Path]
FIT = Lora(lr=3e-3, epochs=2, batch=4, dropout=0.1, keep=True)


@pytest.fixture
def loads(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """Every load of a network from now on; none is kept from before."""
    release()
    seen: list[Any] = []
    plain = _trunk.load_trunk
    monkeypatch.setattr(_trunk, "load_trunk", lambda *given: (seen.append(given), plain(*given))[1])
    return seen


def learned(folder: Path, seeds: list[int], place: Path, spare: int) -> list[Learned]:
    task, truth = examples(24)
    lessons = [lesson(truth, seed=seed) for seed in seeds]
    asked = [np.arange(24)] * len(seeds)
    return FIT.model_copy(update={"spare": spare}).learn(
        model(folder), task, lessons, asked, store=Store(place), report=lambda **_: None
    )


@pytest.mark.parametrize(("architecture", "spare"), [("llama", 0), ("llama", 2), ("gpt2", 0)])
def test_learners_that_take_turns_learn_what_each_would_alone(
    tiny: Tiny, tmp_path: Path, loads: list[Any], architecture: str, spare: int
) -> None:
    together = learned(tiny(architecture), [0, 1, 0], tmp_path / "together", spare)
    assert len(loads) == 1
    release()
    alone = [*learned(tiny(architecture), [0], tmp_path / "a", spare)]
    release()
    alone += learned(tiny(architecture), [1], tmp_path / "b", spare)
    assert len(loads) == 3
    for one, other in zip(together, [*alone, alone[0]], strict=True):
        np.testing.assert_array_equal(one.probs, other.probs)
        assert one.kept.keys() == other.kept.keys()
        assert all(".default" not in name for name in one.kept)
        for name, value in one.kept.items():
            np.testing.assert_array_equal(value, other.kept[name])


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_a_body_given_back_is_that_of_the_model_again(tiny: Tiny, loads: list[Any], architecture: str) -> None:
    given = model(tiny(architecture))
    before = {name: value.clone() for name, value in borrow(given).module.state_dict().items()}
    network = FIT.network(given, 2)
    for parameter in network.trainable:
        torch.nn.init.normal_(parameter)
    del network
    after = borrow(given).module.state_dict()
    assert before.keys() == after.keys()
    assert all(torch.equal(before[name], after[name]) for name in before)
    assert len(loads) == 1


def test_a_body_in_use_is_not_lent(tiny: Tiny, loads: list[Any]) -> None:
    given = model(tiny("llama"))
    first = FIT.network(given, 2)
    second = FIT.network(given, 2)
    assert first.backbone.module is not second.backbone.module
    assert len(loads) == 2
    del first, second
    FIT.network(model(tiny("gpt2")), 2)
    assert len(loads) == 3
    Full(lr=1e-3).network(given, 2)
    assert _base._loan is None  # all weights move: two copies would not fit
