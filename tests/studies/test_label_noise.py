"""The study of label noise: what is corrupted, that no learner sees more than it, and that every figure is there."""

from __future__ import annotations

from typing import Annotated

import numpy as np
import pytest
from pydantic import Field
from test_weak_to_strong import Words

from superalign import run
from superalign.errors import ConfigError
from superalign.job import compute
from superalign.metric import holm
from superalign.noise import Noise, noises
from superalign.runs import build_study, describe, load, table
from superalign.store import Store
from superalign.studies.label_noise import LabelNoise
from superalign.studies.weak_to_strong import WeakToStrong
from superalign.task import split
from test_job import Heard

RATES = (0.0, 0.2, 0.4)
Key = tuple[str, float, int]


def study(tiny, **settings) -> LabelNoise:
    small = {"task": "test-words", "seeds": 2, "rates": RATES, "methods": ("naive", "gce")}
    return LabelNoise(model=f"hf:{tiny('llama')}", **{**small, **settings})


def predictions(asked: LabelNoise, store: Store) -> dict[Key, np.ndarray]:
    """What every learner says of all items, NaN where it was not asked, straight from its job."""
    return {
        (str(cell.method), cell.rate, cell.seed): compute(cell.job, store, Heard()).tensors["probs"][cell.row]
        for cell in asked.plan().cells
    }


@pytest.mark.parametrize(("noise", "method"), [("symmetric", "forward"), ("instance-dependent", "gce")])
def test_no_learner_depends_on_truth_outside_the_transfer_part(tiny, tmp_path, noise, method):
    store = Store(tmp_path / "store")
    settings = {"noise": noise, "methods": ("naive", method), "rates": (0.3,), "filters": ("agreement",), "seeds": 1}
    honest = predictions(study(tiny, **settings), store)
    flipped = predictions(study(tiny, task=Words(flip=("test", "supervise")), **settings), store)
    assert honest.keys() == flipped.keys()
    assert len(honest) == 2 * 2
    for name, probs in honest.items():
        assert np.array_equal(probs, flipped[name], equal_nan=True), name
    turned = predictions(study(tiny, task=Words(flip=("transfer",)), **settings), store)
    assert all(not np.array_equal(probs, turned[name], equal_nan=True) for name, probs in honest.items())


def test_without_noise_a_learner_is_the_ceiling(tiny, tmp_path):
    store = Store(tmp_path / "store")
    models = {"weak": f"hf:{tiny('bert')}", "strong": f"hf:{tiny('llama')}"}
    ceilings = WeakToStrong(task="test-words", seeds=2, sweep=0, methods=("naive",), **models).plan().cells
    mine = predictions(study(tiny), store)
    for cell in (cell for cell in ceilings if cell.role == "ceiling"):
        probs = compute(cell.job, store, Heard()).tensors["probs"][cell.row]
        np.testing.assert_allclose(mine["naive", 0.0, cell.seed], probs, atol=1e-5)


@pytest.mark.parametrize(("noise", "pairs"), [("symmetric", False), ("instance-dependent", True)])
def test_exactly_the_rate_of_the_labels_is_wrong(tiny, tmp_path, noise, pairs):
    asked = study(tiny, noise=noise, task=Words(pairs=pairs))
    result = run(asked, out=tmp_path / "run", store=Store(tmp_path / "store"))
    for row in result.rows:
        assert row.kept == 40
        assert row.label_accuracy == pytest.approx(1 - row.rate, abs=1e-12)


def test_labels_of_another_rate_are_wrong_on_more_items_and_of_another_seed_on_others(tiny, tmp_path):
    store, truth = Store(tmp_path / "store"), Words().load().labels
    wrong = {}
    for cell in study(tiny, methods=("naive",)).plan().cells:
        given = compute(cell.labels, store, Heard()).tensors["probs"][cell.seed]
        outside = np.isnan(given).all(1)
        assert outside.sum() == len(truth) - 40  # supervise and test parts are not labelled
        wrong[cell.rate, cell.seed] = set(np.flatnonzero(~outside & (given.argmax(1) != truth)))
    assert not wrong[0.0, 0]
    assert wrong[0.2, 0] < wrong[0.4, 0]  # nested, so that rates are compared on the same mistakes
    assert wrong[0.4, 0] != wrong[0.4, 1]


def test_noise_knows_the_model_only_where_it_depends_on_the_items(tiny):
    blind = study(tiny).plan().cells[0].labels
    assert {"model", "fingerprint"}.isdisjoint(blind.params)
    assert "features" not in blind.inputs
    seeing = study(tiny, noise="instance-dependent").plan().cells[0].labels
    assert {"model", "fingerprint"} <= set(seeing.params)


def test_rows_can_be_recomputed_from_the_artifacts(tiny, tmp_path):
    store = Store(tmp_path / "store")
    asked = study(tiny, filters=("agreement",))
    result, said, loaded = run(asked, out=tmp_path / "run", store=store), predictions(asked, store), Words().load()
    test = split(loaded.task, asked.shares, 0).test
    assert len(result.rows) == len(said) == 2 * 2 * len(RATES) * 2
    for row in result.rows:
        right = said[row.method, row.rate, row.seed][test].argmax(1) == loaded.labels[test]
        assert (row.correct, row.n) == (right.sum(), len(test))
        assert row.accuracy == pytest.approx(right.mean())
    for cell in asked.plan().cells:
        given = compute(cell.labels, store, Heard()).tensors
        rows = split(loaded.task, asked.shares, cell.seed).transfer
        kept = given["weight"][cell.seed][rows] > 0 if "weight" in given else np.ones(len(rows), dtype=bool)
        right = given["probs"][cell.seed][rows].argmax(1) == loaded.labels[rows]
        key = str(cell.method), cell.rate, cell.seed
        row = next(row for row in result.rows if (row.method, row.rate, row.seed) == key)
        assert (row.kept, row.label_accuracy) == (kept.sum(), pytest.approx(right[kept].mean()))
    assert {row.method for row in result.rows if row.kept < 40} == {"naive after agreement", "gce after agreement"}


def test_summary_and_tests_are_of_the_rows(tiny, tmp_path):
    result = run(study(tiny, methods=("naive", "gce", "sce")), out=tmp_path / "run", store=Store(tmp_path / "store"))

    def mean(method: str, rate: float) -> float:
        return float(np.mean([row.accuracy for row in result.rows if (row.method, row.rate) == (method, rate)]))

    assert result.methods == ["naive", "gce", "sce"]
    for one in result.summary:
        assert one.accuracy.value == pytest.approx(mean(one.method, one.rate))
        assert (one.loss is None) == (one.rate == 0)
        if one.loss:
            assert one.loss.value == pytest.approx(mean(one.method, 0.0) - mean(one.method, one.rate))
            assert one.loss.low <= one.loss.value <= one.loss.high
    assert [(t.rate, t.a, t.b) for t in result.tests] == [(r, m, "naive") for m in ("gce", "sce") for r in RATES]
    for test in result.tests:
        assert test.difference.value == pytest.approx(mean(test.a, test.rate) - mean("naive", test.rate))
    assert [test.p_holm for test in result.tests] == holm([test.p for test in result.tests])


def test_a_method_that_must_know_the_noise_is_given_an_estimate_of_it(tiny, tmp_path):
    asked = study(tiny, methods=("naive", "forward", "forward,rate=0.2"))
    result = run(asked, out=tmp_path / "run", store=Store(tmp_path / "store"))
    assert {row.method for row in result.rows if row.estimated_noise is not None} == {"forward"}
    for rate in RATES:
        told = [row.estimated_noise for row in result.rows if (row.method, row.rate) == ("forward", rate)]
        assert result.at("forward", rate).estimated_noise == pytest.approx(np.mean(told))
    assert any(said.startswith("forward took ") and "40.0% were" in said for said in result.verdict)


def test_every_unsealing_is_in_the_result_even_when_all_jobs_were_in_the_store(tiny, tmp_path):
    store = Store(tmp_path / "store")
    first = run(study(tiny), out=tmp_path / "a", store=store)
    again = run(study(tiny), out=tmp_path / "b", store=store)
    assert again.jobs.computed == 0
    assert first.unsealed == again.unsealed
    records = {(record.part, record.reader): record.n for record in first.unsealed}
    labels = 40 * 2 * len(RATES)
    assert records == {
        ("transfer", "OracleNoise"): labels,
        ("transfer", "LabelScore"): labels,
        ("test", "TestScore"): 40,
    }


def test_result_and_table_and_frame_hold_the_same_rows(tiny, tmp_path):
    result = run(study(tiny), out=tmp_path / "run", store=Store(tmp_path / "store"))
    assert load(tmp_path / "run") == result
    assert build_study(describe(study(tiny))) == study(tiny)
    lines = table(result).splitlines()
    assert lines[0] == "method,seed,accuracy,correct,n,ece,label_accuracy,kept,rate,estimated_noise"
    assert len(lines) == len(result.rows) + 1
    assert result.frame()["accuracy"].tolist() == [row.accuracy for row in result.rows]


@pytest.mark.model
def test_cross_entropy_on_an_easy_task_loses_much_less_than_the_labels_do(tmp_path, embedded_home):
    asked = LabelNoise(
        model="embedded:wordllama", task=Words(n=1800), methods=("naive",), rates=(0.0, 0.2, 0.3), seeds=3
    )
    result = run(asked, out=tmp_path / "run", store=Store(tmp_path / "store"))
    assert result.at("naive", 0.0).accuracy.value > 0.98
    for rate in (0.2, 0.3):
        loss = result.at("naive", rate).loss
        assert loss is not None
        assert loss.value < rate / 3
    assert not result.flags


def test_a_task_that_is_not_learnt_is_flagged(tiny, tmp_path):
    @noises.register("test-all-blind")
    class Blind(Noise):
        """All labels at random, whatever the rate."""

        source = "none"
        rate: Annotated[float, Field(ge=0, le=1)] = 0.5

        def corrupt(self, truth, k, rng, features, pairwise):
            return rng.integers(0, k, len(truth))

    asked = study(tiny, noise="test-all-blind", rates=(0.0, 0.5), seeds=3)
    result = run(asked, out=tmp_path / "run", store=Store(tmp_path / "store"))
    assert any("does not learn this task" in flag for flag in result.flags)
    assert any("half or more of the labels are wrong" in flag for flag in result.flags)
    assert not any("no more than" in said for said in result.verdict)


@pytest.mark.parametrize("fit", ["lora", "full"])
def test_a_fit_that_trains_one_by_one_has_a_job_a_learner(tiny, fit):
    cells = study(tiny, fit=fit, methods=("naive", "forward")).plan().cells
    assert len({cell.job for cell in cells}) == len(cells) == 2 * len(RATES) * 2
    assert all(("features" in cell.job.inputs) == (str(cell.method) == "forward") for cell in cells)
    assert study(tiny, fit=fit).plan().features is None


def test_a_fine_tuned_learner_is_scored(tiny, tmp_path):
    asked = study(tiny, fit="lora,epochs=1,rank=2", rates=(0.0, 0.4), methods=("naive",), seeds=1)
    result = run(asked, out=tmp_path / "run", store=Store(tmp_path / "store"))
    assert [(row.rate, row.n) for row in result.rows] == [(0.0, 40), (0.4, 40)]
    assert result.model.spec == str(asked.model)
    assert result.tests == []


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"rates": ()}, "rates"),
        ({"rates": (0.1, 1.0)}, "less than 1"),
        ({"rates": (0.1, 0.1)}, "a rate is given twice"),
        ({"methods": ("gce", "gce")}, "'gce' is given twice"),
        ({"noise": "class-dependent,matrix=0.9+0.1+0.4+0.6"}, "has a matrix, which leaves no rate"),
        ({"noise": "symetric"}, "did you mean 'symmetric'"),
    ],
)
def test_mistakes_are_explained(settings, message):
    with pytest.raises(ConfigError) as caught:
        LabelNoise.parse({"model": "embedded:vader", **settings})
    assert message in str(caught.value)


def test_rates_are_put_in_order_and_a_noises_own_rate_is_not_used(tiny):
    asked = study(tiny, rates=("0.4", 0, "0.2"), noise="symmetric,rate=0.9")
    assert asked.rates == RATES
    noise = [cell.labels.params["noise"] for cell in asked.plan().cells]
    assert {one["rate"] for one in noise} == set(RATES)
