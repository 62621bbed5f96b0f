"""Jobs: named by what goes into them, computed once, mended when damaged."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import pytest

import example_steps
from superalign.job import Job, compute, from_plain, in_order, to_plain
from superalign.store import TENSORS, Store


class Heard(list):
    def __call__(self, event, /, **facts):
        self.append((event, facts))

    def names(self):
        return [event for event, _ in self]


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(tmp_path / "store")


def counting(tmp_path: Path, name: str, add: float = 1, **inputs: Job) -> Job:
    return Job(example_steps.count, {"log": str(tmp_path / "log"), "name": name, "add": add}, inputs, title=name)


def test_the_key_is_decided_by_parameters_inputs_step_and_version(tmp_path):
    base = counting(tmp_path, "a")
    newer = dataclasses.replace(base, step=dataclasses.replace(base.step, version=2))
    others = [counting(tmp_path, "a", add=2), counting(tmp_path, "a", x=base), newer]
    assert len({job.key for job in [base, *others]}) == 4
    assert dataclasses.replace(base, title="other").key == base.key


def test_a_job_is_computed_once_and_shared(tmp_path, store):
    shared = counting(tmp_path, "shared")
    top = counting(tmp_path, "top", a=counting(tmp_path, "left", x=shared), b=counting(tmp_path, "right", x=shared))
    for _ in range(2):
        for job in in_order([top]):
            compute(job, store, Heard())
    assert sorted((tmp_path / "log").read_text().split()) == ["left", "right", "shared", "top"]
    assert store.load(top.key).tensors["value"][0] == 5


def test_a_damaged_input_is_computed_again_with_a_notice(tmp_path, store):
    low = counting(tmp_path, "low")
    compute(low, store, Heard())
    path = store.path(low.key) / TENSORS
    path.write_bytes(path.read_bytes()[:-3])
    heard = Heard()
    top = compute(counting(tmp_path, "top", x=low), store, heard)
    assert top.tensors["value"][0] == 2
    assert (tmp_path / "log").read_text().split() == ["low", "low", "top"]
    assert any(event == "notice" and "damaged" in facts["text"] for event, facts in heard)


def test_unsealings_are_in_the_record(tmp_path, store):
    job = Job(example_steps.unseal, {})
    compute(job, store, Heard())
    assert store.record(job.key)["about"]["unsealed"] == [
        ["supervise", "GroundTruth", "to train the weak supervisor", 3]
    ]


def test_a_failed_step_leaves_nothing(store):
    job = Job(example_steps.fail, {})
    with pytest.raises(ZeroDivisionError):
        compute(job, store, Heard())
    assert not store.has(job.key)


def test_progress_reaches_the_listener(tmp_path, store):
    heard = Heard()
    compute(counting(tmp_path, "a"), store, heard)
    assert heard.names() == ["started", "progress", "finished"]
    assert heard[1][1]["tokens"] == 3


def test_plain_form_survives_the_trip_to_another_process(tmp_path):
    shared = counting(tmp_path, "shared")
    top = counting(tmp_path, "top", a=shared, b=counting(tmp_path, "b", x=shared))
    plain = to_plain([top])
    assert len(plain) == 3
    rebuilt = from_plain(plain)[top.key]
    assert rebuilt.key == top.key
    assert rebuilt.inputs["a"].key == shared.key


def test_artifacts_of_a_job_are_arrays(tmp_path, store):
    artifact = compute(counting(tmp_path, "a"), store, Heard())
    assert isinstance(artifact.tensors["value"], np.ndarray)
