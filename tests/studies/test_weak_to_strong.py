"""The study: no learner depends on truth it may not see, and every figure can be recomputed from the artifacts."""

from __future__ import annotations

import numpy as np
import pytest

from superalign import WeakToStrong, run
from superalign.errors import SuperalignError
from superalign.job import compute
from superalign.metric import Metric
from superalign.store import Store
from superalign.task import PARTS, Comparison, Example, Gold, Loaded, Task, TaskSource, split, tasks
from test_job import Heard

WORDS = ("good", "fine", "nice", "glad", "bad", "poor", "sad", "grim")


@tasks.register("test-words")
class Words(TaskSource):
    """Is the sentence cheerful? Optionally with the truth of some parts flipped."""

    flip: tuple[str, ...] = ()
    """Parts whose truth is turned round."""
    pairs: bool = False
    """Comparisons instead of Examples."""
    n: int = 120
    """How many items."""

    def load(self) -> Loaded:
        rng = np.random.default_rng(0)
        picked = rng.integers(0, 8, self.n)
        labels = (picked < 4).astype(np.int64)
        parts = tuple(PARTS[i % 3] for i in range(self.n))
        for i, part in enumerate(parts):
            labels[i] ^= part in self.flip
        texts = [f"The {i} day was {WORDS[w]}, said {rng.integers(1000)}." for i, w in enumerate(picked)]
        if self.pairs:
            other = [f"The {i} day was {WORDS[(w + 4) % 8]}, said {rng.integers(1000)}." for i, w in enumerate(picked)]
            items = tuple(Comparison(str(i), "", pair) for i, pair in enumerate(zip(other, texts, strict=True)))
        else:
            items = tuple(Example(str(i), text, tags={"length": len(text)}) for i, text in enumerate(texts))
        return Loaded(Task("words", "1", items, ("no", "yes"), parts), labels)

    def fingerprint(self) -> str:
        return str(self)


def study(tiny, **settings) -> WeakToStrong:
    settings = {"task": "test-words", "seeds": 2, "sweep": 2, **settings}
    return WeakToStrong(weak=f"hf:{tiny('bert')}", strong=f"hf:{tiny('llama')}", **settings)


def predictions(asked: WeakToStrong, store: Store) -> dict[tuple[str, str, int], np.ndarray]:
    """What every learner says about the test part, straight from its job."""
    plan = asked.plan()
    return {
        (cell.role, cell.method, cell.seed): compute(cell.job, store, Heard()).tensors["probs"][cell.row]
        for cell in plan.cells
    }


HASTE = {"fit": "probe,steps=10", "weak_fit": "probe,steps=10"}  # where it does not matter how well they learn
EVERYTHING = {"methods": ("naive", "logconf", "forward", "rdpo"), "filters": ("confident", "student"), **HASTE}


@pytest.mark.parametrize("pairs", [False, True])
@pytest.mark.parametrize("settings", [{}, EVERYTHING], ids=["default", "noise and filters"])
def test_no_student_depends_on_truth_outside_the_supervise_part(tiny, tmp_path, pairs, settings):
    if settings:
        settings = {**settings, "n": 360}
    n = settings.pop("n", 120)
    store = Store(tmp_path / "store")
    honest = predictions(study(tiny, task=Words(pairs=pairs, n=n), **settings), store)
    flipped = predictions(study(tiny, task=Words(pairs=pairs, n=n, flip=("transfer", "test")), **settings), store)
    for name, probs in honest.items():
        same = np.array_equal(probs, flipped[name], equal_nan=True)
        assert same == (name[0] != "ceiling"), name  # the ceiling alone is trained on transfer truth


def test_no_learner_is_trained_on_the_test_part(tiny, tmp_path):
    store = Store(tmp_path / "store")
    honest = predictions(study(tiny), store)
    flipped = predictions(study(tiny, task=Words(flip=("test",))), store)
    assert all(np.array_equal(probs, flipped[name], equal_nan=True) for name, probs in honest.items())


def test_rows_can_be_recomputed_from_the_artifacts(tiny, tmp_path):
    store = Store(tmp_path / "store")
    asked = study(tiny)
    result = run(asked, out=tmp_path / "run", store=store)
    loaded = Words().load()
    test = split(loaded.task, asked.shares, 0).test
    said = predictions(asked, store)
    assert len(result.rows) == len(said) == 2 * (1 + 2 + 1 + 1)
    for row in result.rows:
        probs = said[row.role, row.method, row.seed][test]
        right = sum(int(p.argmax()) == loaded.labels[i] for p, i in zip(probs, test, strict=True))
        assert (row.correct, row.n) == (right, len(test))
        assert row.accuracy == pytest.approx(right / len(test))
        if row.role == "student":
            weak = said["weak", "naive", row.seed][test].argmax(1)
            assert row.agreement == pytest.approx(np.mean(probs.argmax(1) == weak))
    for entry in result.summary:
        mine = [row.accuracy for row in result.rows if (row.role, row.method) == (entry.role, entry.method)]
        assert entry.accuracy.value == pytest.approx(np.mean(mine))


def test_pgr_is_of_the_mean_accuracies_or_refused(tiny, tmp_path):
    result = run(study(tiny), out=tmp_path / "run", store=Store(tmp_path / "store"))
    mean = {(s.role, s.method): s.accuracy.value for s in result.summary}
    for found in result.pgr:
        weak, ceiling = mean["weak", "naive"], mean["ceiling", "naive"]
        if result.gap.low > 0:
            assert found.pooled is not None
            assert found.pooled.value == pytest.approx((mean["student", found.method] - weak) / (ceiling - weak))
        else:
            assert found.pooled is None
            assert "within noise" in (found.reason or "")


def test_every_unsealing_is_in_the_result_even_when_all_jobs_were_in_the_store(tiny, tmp_path):
    store = Store(tmp_path / "store")
    first = run(study(tiny), out=tmp_path / "a", store=store)
    again = run(study(tiny), out=tmp_path / "b", store=store)
    assert again.jobs.computed == 0
    assert first.unsealed == again.unsealed
    readers = {(record.part, record.reader) for record in first.unsealed}
    assert readers == {
        ("supervise", "GroundTruth"),
        ("transfer", "OracleSupervisor"),
        ("test", "TestScore"),
        ("supervise", "LabelScore"),
        ("transfer", "LabelScore"),
    }


def test_seeds_share_the_test_part_and_differ_in_the_others():
    task = Task("t", "1", tuple(Example(str(i), str(i), group=f"g{i // 3}") for i in range(120)), ("a", "b"))
    a, b = split(task, (5, 6, 5), 0), split(task, (5, 6, 5), 1)
    assert np.array_equal(a.test, b.test)
    assert not np.array_equal(a.supervise, b.supervise)


def test_a_method_more_does_not_change_the_others(tiny, tmp_path):
    store = Store(tmp_path / "store")
    few = predictions(study(tiny, methods=("naive",)), store)
    more = predictions(study(tiny, methods=("naive", "logconf", "logconf,alpha=0.75")), store)
    for name, probs in few.items():
        np.testing.assert_allclose(probs, more[name], atol=1e-4)


def test_gold_objects_are_never_handed_to_a_fit_unless_it_asks(tiny):
    plan = study(tiny).plan()
    assert all("gold" not in cell.job.inputs for cell in plan.cells)
    assert Metric().truth(Gold(np.array([1]), "test")).tolist() == [1]


def test_layers_above_the_highest_needed_are_not_asked_for(tiny):
    asked = WeakToStrong(
        weak=f"hf:{tiny('bert')}", strong=f"hf:{tiny('llama')},layer=1", task="test-words", seeds=1, sweep=0
    )
    plan = asked.plan()
    assert plan.features["strong"].params["layers"] == [1]


def test_filtered_labels_are_learnt_from_and_counted(tiny, tmp_path):
    asked = study(tiny, task=Words(n=360), methods=("naive",), filters=("agreement",))
    store = Store(tmp_path / "store")
    result = run(asked, out=tmp_path / "run", store=store)
    rows = {(row.method, row.seed): row for row in result.rows if row.role == "student"}
    plan = asked.plan()
    for seed in range(2):
        cell = next(c for c in plan.cells if (c.method, c.seed) == ("naive after agreement", seed))
        found = compute(cell.labels, store, Heard())
        kept = int((found.tensors["weight"][seed] > 0).sum())
        assert kept == rows["naive after agreement", seed].facts["kept"] < 120
        assert found.meta["filtered"][seed]["dropped"] == 120 - kept
        used = found.tensors["weight"][seed] > 0
        right = found.tensors["probs"][seed][used].argmax(1) == Words(n=360).load().labels[used]
        assert rows["naive after agreement", seed].label_accuracy == pytest.approx(right.mean())


def test_an_objective_for_other_classes_is_refused(tiny, tmp_path):
    with pytest.raises(SuperalignError, match="kto learns from single responses"):
        run(
            study(tiny, task=Words(pairs=True), methods=("kto",)), out=tmp_path / "run", store=Store(tmp_path / "store")
        )


@pytest.mark.slow
def test_policies_in_the_study(tiny, tmp_path):
    """A policy taught by a weak model's preferences, by DPO and by KTO."""
    asked = WeakToStrong(
        weak=f"hf:{tiny('bert')}",
        strong=f"hf:{tiny('llama')}",
        task=Words(pairs=True, n=90),
        fit="lora,read=policy,epochs=1",
        methods=("dpo", "kto", "simpo"),
        seeds=1,
        sweep=0,
    )
    result = run(asked, out=tmp_path / "run", store=Store(tmp_path / "store"))
    students = [row for row in result.rows if row.role == "student"]
    assert [row.method for row in students] == ["naive", "kto", "simpo"]
    assert all(row.facts["read"] == "policy" for row in students)
