"""What a second aim does to the loss, to the labels and to the items, against computations of their own."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from small_tasks import comparisons, model
from superalign.conflict import OracleConflict, hardened, longer, pull, sure
from superalign.conflicting import both, supervise
from superalign.errors import DataError, SealedGoldError
from superalign.fit import Lesson, fits
from superalign.fits.probe import Probe, solve
from superalign.job import Job, compute
from superalign.label import Labels
from superalign.objective import objectives
from superalign.steps import part_of, read_gold, read_items
from superalign.store import Artifact, Store
from superalign.supervisor import GroundTruth
from superalign.task import CONFLICT, Comparison, Gold, Task, split
from test_job import Heard

LOGITS = arrays(np.float64, (5, 2), elements=st.floats(-4, 4))
PAID = arrays(np.float64, (5, 2), elements=st.floats(0, 2))


@given(LOGITS, PAID)
def test_the_pull_is_that_of_loops(logits: np.ndarray, paid: np.ndarray) -> None:
    found = pull(torch.from_numpy(logits), torch.from_numpy(paid)).numpy()
    for (a, b), (first, second), one in zip(logits.tolist(), paid.tolist(), found, strict=True):
        p = 1 / (1 + np.exp(a - b))
        expected = -second * np.log(p) if b > a else -first * np.log1p(-p) if a > b else 0.0
        assert one == pytest.approx(expected, abs=1e-9)


def test_of_a_wrong_answer_it_is_the_paper_s_term_and_nothing_of_a_right_one() -> None:
    delta, alpha, truth = torch.tensor([0.7, 0.7, -1.2]), 0.5, [1, 0, 1]
    logits = torch.stack([-delta / 2, delta / 2], 1).requires_grad_()
    paid = torch.from_numpy(OracleConflict().pay(Gold(np.array(truth), "transfer"), alpha))
    each = pull(logits, paid)
    wanted = [0.0, *(-alpha * torch.log(torch.sigmoid(size)) for size in (torch.tensor(0.7), torch.tensor(1.2)))]
    assert each.tolist() == pytest.approx([float(one) for one in wanted], abs=1e-6)
    each.sum().backward()
    assert logits.grad is not None
    assert logits.grad[0].tolist() == [0, 0]
    assert logits.grad[1, 1] < 0 < logits.grad[2, 1]  # further from the truth, both


def test_a_probe_under_an_explicit_conflict_solves_the_reversed_rows_with_it() -> None:
    """Features of +-1 keep their scale when rows are doubled, so that the two problems are the same one."""
    rng = np.random.default_rng(0)
    n, alpha, l2 = 200, 0.5, 0.05
    x = rng.choice([-1.0, 1.0], (n, 4)).astype(np.float32)
    truth = (x @ np.array([1.0, 0.8, 0.5, 0.3]) + rng.normal(0, 0.8, n) > 0).astype(np.int64)
    weak = np.where(rng.random(n) < 0.3, 1 - truth, truth)
    labels = Labels.hard(weak, 2, "weak")
    paid = Labels(labels.probs, labels.weight, "weak", None, OracleConflict().pay(Gold(truth, "transfer"), alpha))
    probe, groups = Probe(steps=600, l2=(l2,)), np.array([f"g{i}" for i in range(n)])
    naive = objectives.build("bt")
    rows = np.arange(n)
    plain, torn = (
        solve(probe, x, groups, [Lesson(naive, rows, one, 0)], pairwise=True)[0].predict(x) for one in (labels, paid)
    )
    assert np.abs(plain - torn).max() > 0.01
    wrong = rows[torn[rows, truth] < 0.5]
    assert len(wrong)
    doubled = np.r_[rows, wrong]
    given_ = Labels(
        np.r_[labels.probs, np.eye(2, dtype=np.float32)[1 - truth[wrong]]],
        np.r_[np.ones(n), np.full(len(wrong), alpha)].astype(np.float32),
        "both",
    )
    again = Probe(steps=600, l2=(l2 * n / (n + alpha * len(wrong)),))
    other = solve(again, x, groups, [Lesson(naive, doubled, given_, 0)], pairwise=True)[0].predict(x)
    np.testing.assert_allclose(torn, other, atol=2e-3)


def test_learners_without_a_conflict_do_not_notice_one_beside_them() -> None:
    rng = np.random.default_rng(1)
    x = rng.normal(size=(60, 3)).astype(np.float32)
    labels = Labels.hard((x[:, 0] > 0).astype(np.int64), 2, "weak")
    paid = Labels(labels.probs, labels.weight, "weak", None, np.full((60, 2), 0.5, np.float32))
    groups = np.array([f"g{i}" for i in range(60)])
    probe, naive = Probe(l2=(0.1,)), objectives.build("bt")
    lessons = [Lesson(naive, np.arange(60), one, 0) for one in (labels, paid)]
    alone = solve(probe, x, groups, lessons[:1], pairwise=True)[0].predict(x)
    beside = solve(probe, x, groups, lessons, pairwise=True)[0].predict(x)
    np.testing.assert_allclose(alone, beside, atol=1e-6)


def test_a_policy_s_first_loss_grows_by_the_pull_on_its_scores(tiny, tmp_path) -> None:
    task, truth = comparisons(12)
    labels = Labels.hard(truth, 2, "weak")
    paid = Labels(labels.probs, labels.weight, "weak", None, OracleConflict().pay(Gold(truth, "transfer"), 0.5))
    fit = fits.build("lora,read=policy,epochs=1,batch=12,lr=1e-9,warmup=0,rank=2")
    lessons = [Lesson(objectives.build("simpo"), np.arange(12), one, 0) for one in (labels, paid)]
    plain, torn = fit.learn(
        model(tiny("llama")),
        task,
        lessons,
        [np.arange(12)] * 2,
        store=Store(tmp_path / "store"),
        report=lambda **_: None,
    )
    p = plain.probs[np.arange(12), 1 - truth].astype(np.float64)
    added = np.mean(np.where(p > 0.5, -0.5 * np.log(p), 0))
    assert added > 0
    assert torn.facts["first_loss"] - plain.facts["first_loss"] == pytest.approx(added, abs=1e-4)


class TestSureLabels:
    """The confidence filter goes by the supervisor's own word."""

    @given(arrays(np.float32, 20, elements=st.floats(0, 1, width=32)), st.sampled_from([0.6, 0.75, 0.95]))
    def test_it_keeps_what_is_sure_and_the_surest_where_nothing_is(self, second: np.ndarray, threshold: float) -> None:
        labels = Labels.soft(np.stack([1 - second, second], 1), "weak")
        kept = sure(labels, threshold, 0.1).weight > 0
        confidence = np.maximum(labels.probs[:, 0], labels.probs[:, 1])
        passed = confidence >= threshold
        if passed.sum() >= 2:
            assert (kept == passed).all()
        else:
            assert kept.sum() == 2
            assert confidence[kept].min() >= confidence[~kept].max()

    def test_labels_stay_what_they_are(self) -> None:
        labels = Labels.soft(np.array([[0.1, 0.9], [0.6, 0.4]], np.float32), "weak")
        assert (sure(labels, 0.75, 0.1).probs == labels.probs).all()
        assert hardened(labels).probs.tolist() == [[0, 1], [1, 0]]


def test_the_longer_response_is_found_and_a_tie_is_none() -> None:
    pairs = [("a", "bbb"), ("cc", "d"), ("ee", "ff")]
    items = tuple(Comparison(str(i), "", pair) for i, pair in enumerate(pairs))
    task = Task("t", "1", items, ("first", "second"))
    assert longer(task, np.arange(3)).tolist() == [1, 0, -1]


def test_only_an_oracle_knows_what_is_wrong() -> None:
    with pytest.raises(SealedGoldError):
        Gold(np.zeros(3, np.int64), "transfer").unseal(GroundTruth(), "to pay")
    with pytest.raises(SealedGoldError):
        Gold(np.zeros(3, np.int64), "test").unseal(OracleConflict(), "to pay")


@pytest.mark.parametrize("against", [np.zeros((3, 3), np.float32), np.full((3, 2), -1, np.float32)])
def test_what_an_aim_pays_is_for_two_classes_and_not_negative(against: np.ndarray) -> None:
    with pytest.raises(DataError, match="another aim pays"):
        Labels(np.full((3, 2), 0.5, np.float32), np.ones(3, np.float32), "x", None, against)


class TestItemsAndLabels:
    """The items of both aims stand in one task, and the target's own parts are as they were."""

    @pytest.fixture
    def jobs(self, tmp_path: Path) -> dict[str, Job]:
        made = {}
        for name, first in (("target", 0), ("other", 24)):
            task, truth = comparisons(60)
            rows = []
            for number, (item, better) in enumerate(zip(task.items, truth, strict=True)):
                assert isinstance(item, Comparison)
                good, bad = item.responses[better], item.responses[1 - better]
                rows.append({"prompt": f"Is the river {first + number} long?", "chosen": good, "rejected": bad})
            path = tmp_path / f"{name}.jsonl"
            path.write_text("".join(json.dumps(row) + "\n" for row in rows))
            source = {"task": {"name": "file", "path": str(path)}, "fingerprint": name}
            made[name] = Job(read_items, source)
            made[f"{name} gold"] = Job(read_gold, source)
        made["both"] = Job(both, {}, {"target": made["target"], "conflict": made["other"]})
        return made

    def test_parts_of_the_target_do_not_change(self, jobs: dict[str, Job], tmp_path: Path) -> None:
        store = Store(tmp_path / "store")
        alone, whole = (Task.from_meta(compute(jobs[name], store, Heard()).meta) for name in ("target", "both"))
        assert len(whole.items) == len(alone.items) + 60
        for seed in range(3):
            for a, b in zip(split(alone, (5, 6, 5), seed), split(whole, (5, 6, 5), seed), strict=True):
                assert a.tolist() == b.tolist()
            rows = part_of(whole, (5, 6, 5), seed, f"transfer + {CONFLICT}")
            assert rows.tolist() == [
                *split(alone, (5, 6, 5), seed).transfer,
                *range(len(alone.items), len(whole.items)),
            ]

    @pytest.mark.parametrize("wants", ["gold", "longer"])
    def test_as_many_items_of_the_other_aim_are_drawn_and_none_that_is_related_to_a_test_item(
        self, jobs: dict[str, Job], tmp_path: Path, wants: str
    ) -> None:
        store = Store(tmp_path / "store")
        whole = Task.from_meta(compute(jobs["both"], store, Heard()).meta)
        n, truth = len(whole.items) - 60, compute(jobs["other gold"], store, Heard()).tensors["labels"]
        probs = np.full((2, n, 2), 0.5, np.float32)
        given_ = Artifact({"probs": probs}, {"by": "weak"})
        params = {"part": "transfer", "seeds": [0, 1], "shares": [5, 6, 5], "hard": False, "sure": None}
        inputs = {"items": compute(jobs["both"], store, Heard()), "labels": given_}
        inputs["other"] = compute(jobs["other gold"], store, Heard())
        found = supervise.function({**params, "alpha": None, "wants": wants}, inputs, None)
        groups = whole.groups()
        for seed in (0, 1):
            parts = split(whole, (5, 6, 5), seed)
            tested = {groups[row] for row in parts.test}
            weight = found.tensors["weight"][seed]
            drawn = np.flatnonzero(weight[n:]) + n
            assert weight[parts.transfer].all()
            assert not weight[np.r_[parts.supervise, parts.test]].any()
            assert len(drawn) == found.meta["aside"][seed] == len(parts.transfer)
            assert not tested & {groups[row] for row in drawn}
            assert tested & {groups[row] for row in range(n, n + 60)}  # some would have been
            said = found.tensors["probs"][seed, drawn].argmax(1)
            expected = truth[drawn - n] if wants == "gold" else longer(whole, drawn)
            assert said.tolist() == expected.tolist()
            assert np.isnan(found.tensors["probs"][seed, parts.test]).all()
