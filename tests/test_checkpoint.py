"""Checkpoints: a training that was cut off ends with the very numbers of one that was not."""

from __future__ import annotations

import math
import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from faults import flip_bit
from small_tasks import comparisons, examples, lesson, model
from superalign import checkpoint
from superalign.checkpoint import Checkpoints
from superalign.distributed import Processes
from superalign.fit import Learned, Lesson
from superalign.fits._finetune import FineTune
from superalign.fits.full import Full
from superalign.fits.lora import Lora
from superalign.label import Labels
from superalign.objective import objectives
from superalign.store import Store
from superalign.task import Task

pytestmark = pytest.mark.slow
Tiny = Callable[[str], Path]
SETTINGS: dict[str, Any] = {"lr": 3e-3, "epochs": 2, "batch": 4, "weight_decay": 0.01}  # 12 steps of 24 items
STEPS = 12


class Cut(BaseException):
    """Ends a training as a kill does: nothing is tidied up."""


@dataclass
class Ear:
    """Hears reports, and cuts the training off when it has reported a step."""

    cut_at: int = 0
    steps: list[int] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    def __call__(self, done: int = 0, note: str = "", **facts: Any) -> None:
        if note:
            self.notes.append(note)
        elif "total" in facts:
            self.steps.append(done)
            if done == self.cut_at:
                raise Cut


@pytest.fixture
def every_step(monkeypatch: pytest.MonkeyPatch) -> None:
    """A checkpoint after every step, in parts of a few tensors."""
    monkeypatch.setattr(checkpoint, "EVERY", 0.0)
    monkeypatch.setattr(checkpoint, "SHARE", math.inf)
    monkeypatch.setattr(checkpoint, "PART", 50_000)


@pytest.fixture
def task() -> Task:
    return examples(24)[0]


def lesson_of(task: Task, **more: Any) -> Lesson:
    truth = np.arange(len(task.items)) % 2
    noisy = np.where(np.random.default_rng(1).random(len(truth)) < 0.25, 1 - truth, truth)
    return lesson(noisy, **more)


def learn(fit: FineTune, folder: Path, task: Task, one: Lesson, store: Store, ear: Ear) -> Learned:
    (learned,) = fit.learn(model(folder), task, [one], [np.arange(len(task.items))], store=store, report=ear)
    return learned


def cut(fit: FineTune, folder: Path, task: Task, one: Lesson, store: Store, step: int) -> None:
    with pytest.raises(Cut):
        learn(fit, folder, task, one, store, Ear(step))


def same(one: Learned, other: Learned) -> None:
    np.testing.assert_array_equal(one.probs, other.probs)
    assert one.facts == other.facts


def kept(store: Store) -> list[Path]:
    """The whole checkpoints, newest first."""
    records = (store.root / "checkpoints").glob("*/00/*/record.json")
    return sorted((r.parent for r in records if r.parent.name.count("-") == 1), reverse=True)


def parts(whole: Path) -> list[Path]:
    return sorted(whole.parent.glob(f"{whole.name}-*"))


FITS: dict[str, FineTune] = {
    "lora with dropout": Lora(**SETTINGS, dropout=0.3),
    "full": Full(**SETTINGS),
    "full recomputing": Full(**SETTINGS, checkpointing=True),
    "lora stopped early": Lora(**SETTINGS, dropout=0.2, stop="early", validation=0.3),
    "full stopped early": Full(**{**SETTINGS, "lr": 1e-2, "epochs": 4}, stop="early", validation=0.3),
}


@pytest.fixture(scope="module")
def undisturbed(tiny: Tiny, tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Learned]:
    """Return a function from a fit's name to what it learns when it is not cut off; each learns once."""

    @cache
    def learned(name: str) -> Learned:
        task, store = examples(24)[0], Store(tmp_path_factory.mktemp("calm"))
        return learn(FITS[name], tiny("llama"), task, lesson_of(task), store, Ear())

    return learned


@pytest.mark.parametrize("name", FITS)
def test_cut_off_three_times_it_ends_as_if_never(
    tiny: Tiny, task: Task, tmp_path: Path, name: str, undisturbed: Callable[[str], Learned], every_step: None
) -> None:
    one, fit, calm = lesson_of(task), FITS[name], undisturbed(name)
    store, started = Store(tmp_path / "store"), []
    for step in (4, 7, 8):
        ear = Ear(step)
        with pytest.raises(Cut):
            learn(fit, tiny("llama"), task, one, store, ear)
        started.append(ear.steps[0])
    last = Ear()
    same(learn(fit, tiny("llama"), task, one, store, last), calm)
    assert [*started, last.steps[0]] == [1, 4, 7, 8]  # what is reported is not yet kept
    assert last.notes == [f"training goes on from its checkpoint of step 7 of {calm.facts['steps']}"]


@pytest.mark.parametrize("method", ["logconf", "naive", "kto", "co-teaching,rate=0.3", "logconf,buffer=10"])
@pytest.mark.usefixtures("every_step")
def test_policies_and_objectives_that_know_the_batch_go_on_alike(tiny: Tiny, tmp_path: Path, method: str) -> None:
    task, truth = comparisons(12)
    one = replace(lesson(truth), objective=objectives.build(method))
    fit = Lora(**SETTINGS, dropout=0.3, read="head" if method.startswith("logconf") else "policy", microbatch_tokens=64)
    calm = learn(fit, tiny("llama"), task, one, Store(tmp_path / "calm"), Ear())
    store = Store(tmp_path / "store")
    cut(fit, tiny("llama"), task, one, store, 5)
    ear = Ear()
    same(learn(fit, tiny("llama"), task, one, store, ear), calm)
    assert "goes on from its checkpoint of step 4" in ear.notes[0]


@pytest.mark.usefixtures("every_step")
def test_all_that_a_checkpoint_holds_is_needed(
    tiny: Tiny, task: Task, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever is left out when it is put back, the numbers are others."""
    one = replace(lesson_of(task), objective=objectives.build("logconf,buffer=6"))
    fit = Lora(**{**SETTINGS, "epochs": 5, "schedule": "constant"}, dropout=0.2, stop="early")
    calm = learn(fit, tiny("llama"), task, one, Store(tmp_path / "calm"), Ear())
    store = Store(tmp_path / "store")
    cut(fit, tiny("llama"), task, one, store, 16)
    assert calm.facts["best_step"] < 16  # else it would be found again
    put, names = checkpoint.State.put, ("losses", "tokens", "memory", "generator", "parameter", "adam", "observer")
    for left_out in names:

        def partly(self: Any, name: str, value: Any, left_out: str = left_out) -> None:
            if not name.startswith(left_out):
                put(self, name, value)

        copy = Store(tmp_path / left_out)
        shutil.copytree(store.root, copy.root)
        with monkeypatch.context() as patch:
            patch.setattr(checkpoint.State, "put", partly)
            other = learn(fit, tiny("llama"), task, one, copy, Ear())
        assert not np.array_equal(other.probs, calm.probs) or other.facts != calm.facts, left_out
    same(learn(fit, tiny("llama"), task, one, store, Ear()), calm)


def flip_newest(whole: Path) -> None:
    flip_bit(parts(whole)[1] / "tensors.safetensors", 0.9)


def truncate_newest(whole: Path) -> None:
    file = parts(whole)[-1] / "tensors.safetensors"
    file.write_bytes(file.read_bytes()[:-100])


def empty_newest(whole: Path) -> None:
    (parts(whole)[0] / "tensors.safetensors").unlink()


def flip_record(whole: Path) -> None:
    flip_bit(whole / "record.json", 0.6)


@pytest.mark.parametrize("damage", [flip_newest, truncate_newest, empty_newest, flip_record])
def test_a_damaged_checkpoint_is_noticed_and_the_one_before_is_used(
    tiny: Tiny,
    task: Task,
    tmp_path: Path,
    damage: Callable[[Path], None],
    undisturbed: Callable[[str], Learned],
    every_step: None,
) -> None:
    one, fit = lesson_of(task), FITS["lora with dropout"]
    calm = undisturbed("lora with dropout")
    store = Store(tmp_path / "store")
    cut(fit, tiny("llama"), task, one, store, 9)
    assert [int(whole.name[:8]) for whole in kept(store)] == [8, 7]
    assert len(parts(kept(store)[0])) > 2
    damage(kept(store)[0])
    ear = Ear()
    same(learn(fit, tiny("llama"), task, one, store, ear), calm)
    assert ear.steps[0] == 8
    assert any("is damaged" in note for note in ear.notes)
    assert ear.notes[-1] == f"training goes on from its checkpoint of step 7 of {STEPS}"


def test_when_both_are_damaged_it_begins_anew(
    tiny: Tiny, task: Task, tmp_path: Path, undisturbed: Callable[[str], Learned], every_step: None
) -> None:
    one, fit = lesson_of(task), FITS["full"]
    calm = undisturbed("full")
    store = Store(tmp_path / "store")
    cut(fit, tiny("llama"), task, one, store, 9)
    for whole in kept(store):
        flip_newest(whole)
    ear = Ear()
    same(learn(fit, tiny("llama"), task, one, store, ear), calm)
    assert ear.steps == list(range(1, STEPS + 1))
    assert sum("is damaged" in note for note in ear.notes) == 2


def others(task: Task) -> Iterator[tuple[str, FineTune, Task, Lesson]]:
    one, fit = lesson_of(task), FITS["full"]
    yield "seed", fit, task, replace(one, seed=1)
    yield "objective", fit, task, replace(one, objective=objectives.build("logconf"))
    yield "fit", Full(**{**SETTINGS, "lr": 1e-3}), task, one
    yield "labels", fit, task, replace(one, labels=Labels(one.labels.probs[::-1].copy(), one.labels.weight, "test"))
    yield "weight", fit, task, replace(one, labels=Labels(one.labels.probs, one.labels.weight * 2, "test"))
    yield "items", fit, examples(24, seed=5)[0], one


@pytest.mark.usefixtures("every_step")
def test_another_training_never_goes_on_from_it(tiny: Tiny, task: Task, tmp_path: Path) -> None:
    store = Store(tmp_path / "store")
    cut(FITS["full"], tiny("llama"), task, lesson_of(task), store, 5)
    for what, fit, items, one in others(task):
        ear = Ear(1)
        with pytest.raises(Cut):
            learn(fit, tiny("llama"), items, one, store, ear)
        assert not ear.notes, what
    ear = Ear(1)
    with pytest.raises(Cut):
        learn(FITS["full"], tiny("qwen2"), task, lesson_of(task), store, ear)
    assert not ear.notes
    ear = Ear(5)
    with pytest.raises(Cut):
        learn(FITS["full"], tiny("llama"), task, lesson_of(task), store, ear)
    assert ear.steps == [5]


@pytest.mark.usefixtures("every_step")
def test_the_two_newest_are_kept_and_none_when_the_training_has_ended(tiny: Tiny, task: Task, tmp_path: Path) -> None:
    one, fit, store = lesson_of(task), FITS["full"], Store(tmp_path / "store")
    for step in (2, 3, 9):
        cut(fit, tiny("llama"), task, one, store, step)
        assert [int(whole.name[:8]) for whole in kept(store)] == list(range(step - 1, 0, -1))[:2]
    (folder,) = (store.root / "checkpoints").iterdir()
    found = {path.name[:17] for path in folder.glob("00/*")}
    assert found == {whole.name for whole in kept(store)}  # no part of an older one is left
    learn(fit, tiny("llama"), task, one, store, Ear())
    assert not list((store.root / "checkpoints").iterdir())
    assert not list((store.root / "tmp").iterdir())
    assert list(store) == []


def test_short_trainings_write_none(tiny: Tiny, task: Task, tmp_path: Path) -> None:
    store = Store(tmp_path / "store")
    cut(FITS["full"], tiny("llama"), task, lesson_of(task), store, STEPS)
    assert not (store.root / "checkpoints").exists()


def test_writing_takes_a_small_share_of_the_time(
    tiny: Tiny, task: Task, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(checkpoint, "EVERY", 0.0)
    store, steps = Store(tmp_path / "store"), []
    save = Checkpoints._write
    monkeypatch.setattr(Checkpoints, "_write", lambda self, step, rest: steps.append(step) or save(self, step, rest))
    fit = Full(**{**SETTINGS, "epochs": 40})
    learned = learn(fit, tiny("llama"), task, lesson_of(task), store, Ear())
    assert learned.facts["steps"] == 240
    assert 1 <= len(steps) < 60  # a step here takes about as long as a checkpoint


def test_the_wait_grows_with_what_the_last_one_took(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    class Large:
        def tensors(self) -> Iterator[tuple[str, torch.Tensor]]:
            for number in range(8):
                yield str(number), torch.ones(1 << 18)

    monkeypatch.setattr(checkpoint, "EVERY", 0.0)
    checkpoints = Checkpoints(Store(tmp_path), "key", Processes(), lambda **_: None)
    state: Any = Large()
    checkpoints.keep(1, state)
    assert checkpoints.wait > 0.05  # 50 times what 8 MB and their checksums took
    checkpoints.keep(2, state)
    assert [name[:8] for name in checkpoints._names()] == ["00000001"]


def test_a_disk_that_takes_no_checkpoint_stops_no_training(
    tiny: Tiny, task: Task, tmp_path: Path, undisturbed: Callable[[str], Learned], every_step: None
) -> None:
    one, fit = lesson_of(task), FITS["full"]
    calm = undisturbed("full")
    store, ear = Store(tmp_path / "store"), Ear()
    store.root.mkdir()
    (store.root / "checkpoints").write_text("in the way")
    same(learn(fit, tiny("llama"), task, one, store, ear), calm)
    assert ear.notes
    assert all("no checkpoint of step" in note and "\n" not in note for note in ear.notes)


@pytest.mark.usefixtures("every_step")
def test_checkpoints_nobody_came_back_for_are_removed(
    tiny: Tiny, task: Task, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store, fit = Store(tmp_path / "store"), FITS["full"]
    cut(fit, tiny("llama"), task, lesson_of(task), store, 3)
    learn(fit, tiny("llama"), task, lesson_of(task, seed=1), store, Ear())
    assert kept(store)
    monkeypatch.setattr(checkpoint, "FORGOTTEN", -1.0)
    learn(fit, tiny("llama"), task, lesson_of(task, seed=1), store, Ear())
    assert not kept(store)
