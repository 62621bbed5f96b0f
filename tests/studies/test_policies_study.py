"""Policies through the study: what a weak policy's rewards and other aims' rewards come to, and early refusals."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from small_tasks import comparisons
from superalign import LabelNoise, WeakToStrong, run
from superalign.errors import ConfigError
from superalign.job import compute
from superalign.store import Store
from superalign.task import Comparison, split
from superalign.tasks.file import File
from test_job import Heard

Tiny = Callable[[str], Path]
POLICY = "lora,read=policy,epochs=1,lr=3e-3,batch=16"


@pytest.fixture
def pairs(tmp_path: Path) -> Path:
    """Forty-eight preferences with a column of numbers for each response, -1 for the chosen ones."""
    task, truth = comparisons(48)
    rows = []
    for number, (item, better) in enumerate(zip(task.items, truth, strict=True)):
        assert isinstance(item, Comparison)
        good, bad = item.responses[better], item.responses[1 - better]
        rows.append(
            {"prompt": f"Is the river {number} long?", "chosen": good, "rejected": bad, "a": -1 - number, "b": 1}
        )
    path = tmp_path / "pairs.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def study(tiny: Tiny, pairs: Path, **settings: Any) -> WeakToStrong:
    settings = {"task": f"file:{pairs},rewards=a+b", "seeds": 1, "sweep": 0, **settings}
    return WeakToStrong(weak=f"hf:{tiny('gpt2')}", strong=f"hf:{tiny('llama')}", **settings)


def test_rewards_go_from_the_weak_policy_to_its_labels_and_the_aims_from_the_file(tiny, pairs, tmp_path):
    asked = study(tiny, pairs, methods=("wspo", "modpo,weight=0.5"), fit=POLICY, weak_fit=POLICY)
    store = Store(tmp_path / "store")
    result = run(asked, out=tmp_path / "run", store=store)
    assert {row.method for row in result.rows if row.role == "student"} == {"wspo", "modpo"}
    student = next(cell for cell in asked.plan().cells if cell.method == "wspo")
    labels = compute(student.labels, store, Heard()).tensors
    said = compute(student.labels.inputs["said"], store, Heard()).tensors
    parts = split(File(path=pairs).load().task, asked.shares, 0)
    rows = parts.transfer
    np.testing.assert_array_equal(labels["rewards"][0, rows], said["scores"][0, rows])
    assert np.isnan(np.delete(labels["rewards"][0], rows, axis=0)).all()
    score = said["scores"][0, rows]
    np.testing.assert_allclose(labels["probs"][0, rows, 1], 1 / (1 + np.exp(score[:, 0] - score[:, 1])), rtol=1e-5)
    assert np.ptp(score) > 1e-3
    again = run(asked, out=tmp_path / "again", store=store)
    assert again.jobs.computed == 0


def test_a_filter_leaves_rewards_with_their_items(tiny, pairs, tmp_path):
    asked = study(tiny, pairs, methods=("wspo",), filters=("agreement",), fit=POLICY, weak_fit=POLICY)
    store = Store(tmp_path / "store")
    cell = next(cell for cell in asked.plan().cells if "after" in cell.method)
    after = compute(cell.labels, store, Heard()).tensors
    before = compute(cell.labels.inputs["labels"], store, Heard()).tensors
    np.testing.assert_array_equal(after["rewards"], before["rewards"])
    assert np.isfinite(compute(cell.job, store, Heard()).tensors["scores"][0]).any()


def test_rewards_are_those_of_the_responses_in_the_order_of_the_item(pairs):
    loaded = File.parse({"path": str(pairs), "rewards": "a+b"}).load()
    assert set(loaded.labels.tolist()) == {0, 1}
    for item, better in zip(loaded.task.items, loaded.labels, strict=True):
        assert isinstance(item, Comparison)
        assert item.rewards is not None
        assert item.rewards[better] <= -1
        assert item.rewards[1 - better] == 1
        assert {"a", "b"}.isdisjoint(item.tags)
    rebuilt = type(loaded.task).from_meta(json.loads(json.dumps(loaded.task.to_meta())))
    assert [item.rewards for item in rebuilt.items] == [item.rewards for item in loaded.task.items]
    assert File(path=pairs).load().task.items[0].rewards is None
    assert File(path=pairs).fingerprint() != File.parse({"path": str(pairs), "rewards": "a+b"}).fingerprint()


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"rewards": "a"}, "two columns"),
        ({"rewards": "a+c"}, "no column 'c'"),
        ({"rewards": "a+prompt"}, "not a number"),
        ({"rewards": "a+b", "text": "prompt", "label": "b"}, "no two responses"),
    ],
)
def test_columns_that_hold_no_rewards_are_refused(pairs, settings, said):
    from superalign.errors import SuperalignError

    with pytest.raises(SuperalignError) as caught:
        File.parse({"path": str(pairs), **settings}).load()
    assert said in str(caught.value)


class TestEarlyRefusal:
    """What cannot be learnt is refused before anything is trained, and most of it before anything is read."""

    @pytest.mark.parametrize(
        ("settings", "fix"),
        [
            ({"methods": ("kto",)}, "fit=lora"),
            ({"methods": ("wspo",), "fit": "lora"}, "read=policy"),
            ({"methods": ("wspo",), "fit": POLICY}, "weak_fit=lora,read=policy"),
            ({"methods": ("modpo",)}, "read=policy"),
            ({"methods": ("co-teaching",), "fit": "full"}, "fit=lora"),
        ],
    )
    def test_by_the_settings_alone(self, tiny, pairs, settings, fix):
        with pytest.raises(ConfigError) as caught:
            study(tiny, pairs, **settings)
        assert fix in str(caught.value.fix)

    def test_noise_tells_no_rewards(self, tiny, pairs):
        with pytest.raises(ConfigError, match="rewards"):
            LabelNoise(model=f"hf:{tiny('llama')}", task=f"file:{pairs}", methods=("wspo",), fit=POLICY)

    @pytest.mark.parametrize(
        ("settings", "said"),
        [
            ({"task": "facts,cities=40", "fit": POLICY}, "a policy cannot learn"),
            ({"task": "facts,cities=40", "fit": "lora", "methods": ("kto",)}, "learns from responses"),
            ({"methods": ("modpo",), "fit": POLICY, "task": "PLAIN"}, "no rewards"),
        ],
    )
    def test_once_the_items_are_known(self, tiny, pairs, tmp_path, settings, said):
        if settings.get("task") == "PLAIN":
            settings = {**settings, "task": f"file:{pairs}"}
        with pytest.raises(ConfigError, match=said):
            run(study(tiny, pairs, **settings), out=tmp_path / "run", store=Store(tmp_path / "store"))
        events = [json.loads(line) for line in (tmp_path / "run" / "events.jsonl").read_text().splitlines()]
        done = [event["title"] for event in events if event.get("event") == "finished"]
        assert done == ["read the task"]
