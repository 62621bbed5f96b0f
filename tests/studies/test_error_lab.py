"""The error lab: what is matched, that no learner sees more than its labels, and that every figure is of the rows."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from test_weak_to_strong import Words

from superalign import ErrorLab, ErrorLabResult, WeakToStrong, run
from superalign.errors import ConfigError
from superalign.job import compute
from superalign.metric import holm
from superalign.runs import build_study, describe, load, table
from superalign.store import Store
from superalign.task import Loaded, Task, split, tasks
from test_job import Heard

SEEDS, LEARNT = 2, 40


@tasks.register("test-hard-words")
class HardWords(Words):
    """Words of which every fourth has the other truth, so that no model is right on all."""

    def load(self) -> Loaded:
        loaded = super().load()
        labels = loaded.labels.copy()
        labels[::4] = 1 - labels[::4]
        return Loaded(loaded.task, labels)


Key = tuple[str, str, int]


def study(tiny, **settings) -> ErrorLab:
    small = {"task": "test-hard-words", "seeds": SEEDS, "methods": ("naive", "logconf")}
    models = {"weak": f"hf:{tiny('bert')}", "strong": f"hf:{tiny('llama')}"}
    return ErrorLab(**{**models, **small, **settings})


@pytest.fixture(scope="module")
def whole(tiny, tmp_path_factory) -> tuple[ErrorLab, Store, ErrorLabResult]:
    """A study of all structures, its store and its result."""
    folder = tmp_path_factory.mktemp("lab")
    asked, store = study(tiny), Store(folder / "store")
    return asked, store, run(asked, out=folder / "run", store=store)


def predictions(asked: ErrorLab, store: Store) -> dict[Key, np.ndarray]:
    """What every learner says of all items, NaN where it was not asked, straight from its job."""
    return {
        (cell.structure, str(cell.method), cell.seed): compute(cell.job, store, Heard()).tensors["probs"][cell.row]
        for cell in asked.plan().cells
    }


def test_every_structure_has_the_weak_models_errors_by_class(whole):
    asked, store, result = whole
    plan, loaded = asked.plan(), HardWords().load()
    weak = np.stack([compute(cell.job, store, Heard()).tensors["probs"][cell.row] for cell in plan.weak])
    for seed in range(SEEDS):
        parts = split(loaded.task, asked.shares, seed)
        for job in plan.placed.values():
            made = compute(job, store, Heard()).tensors
            for name, rows in (("probs", parts.transfer), ("beyond", parts.test)):
                labels = made[name][seed]
                assert np.isnan(np.delete(labels, rows, axis=0)).all()  # nothing is said of other parts
                for kind in (0, 1):
                    mine = rows[loaded.labels[rows] == kind]
                    said = weak[seed, mine].argmax(1)
                    assert (labels[mine].argmax(1) != kind).sum() == (said != kind).sum()
    errors = [[row.label_accuracy for row in result.rows if row.structure == name] for name in plan.placed]
    assert all(one == pytest.approx(errors[0], abs=1e-12) for one in errors)
    assert max(errors[0]) < 1
    assert all(one.balance == pytest.approx(result.structures[0].balance) for one in result.structures)


@pytest.mark.parametrize("pairs", [False, True])
def test_no_learner_depends_on_the_truth_of_the_test_part(tiny, tmp_path, pairs):
    structures = ("longest", "ceiling-sure", "simulable,k=2", "trivial")
    store, settings = Store(tmp_path / "store"), {"methods": ("naive",), "seeds": 1, "structures": structures}
    honest = predictions(study(tiny, task=HardWords(pairs=pairs), **settings), store)
    flipped = predictions(study(tiny, task=HardWords(pairs=pairs, flip=("test",)), **settings), store)
    assert honest.keys() == flipped.keys()
    assert len(honest) == 4
    for name, probs in honest.items():
        assert np.array_equal(probs, flipped[name], equal_nan=True), name


def test_floor_and_ceiling_are_those_of_weak_to_strong(tiny, whole):
    asked, store, _ = whole
    cells = (
        WeakToStrong(task="test-hard-words", seeds=SEEDS, sweep=0, weak=asked.weak, strong=asked.strong).plan().cells
    )
    plan = asked.plan()
    for role, mine in (("weak", plan.weak), ("ceiling", plan.ceiling)):
        theirs = [cell for cell in cells if cell.role == role]
        assert len(mine) == len(theirs) == SEEDS
        for one, other in zip(mine, theirs, strict=True):
            a, b = (compute(cell.job, store, Heard()).tensors["probs"][cell.row] for cell in (one, other))
            np.testing.assert_allclose(a, b, atol=1e-5)


def test_only_the_remark_tells_trivial_imitation_from_the_weak_models_errors(whole):
    asked, store, _ = whole
    plan = asked.plan()
    assert np.array_equal(
        *(compute(plan.placed[name], store, Heard()).tensors["probs"] for name in ("weak", "trivial")), equal_nan=True
    )
    labels = compute(plan.placed["trivial"], store, Heard()).tensors
    loaded = HardWords().load()
    jobs = {cell.seed: cell.job.inputs["items"] for cell in plan.cells if cell.structure == "trivial"}
    assert set(jobs) == set(range(SEEDS))
    for seed, job in jobs.items():
        told = Task.from_meta(compute(job, store, Heard()).meta)
        parts = split(loaded.task, asked.shares, seed)
        for number, (item, plain) in enumerate(zip(told.items, loaded.task.items, strict=True)):
            tensor = labels["probs" if number in parts.transfer else "beyond"][seed, number]
            if number in parts.supervise:
                assert item == plain
            else:
                remark = f"I think this is {('no', 'yes')[tensor.argmax()]}. What do you think?"
                assert item == replace(plain, prompt=f"{plain.prompt} {remark}")


def test_rows_can_be_recomputed_from_the_artifacts(whole):
    asked, store, result = whole
    said, loaded, plan = predictions(asked, store), HardWords().load(), asked.plan()
    test = split(loaded.task, asked.shares, 0).test
    truth = loaded.labels[test]
    learners = [row for row in result.rows if row.structure]
    assert len(learners) == len(said) == 8 * 2 * SEEDS
    assert len(result.rows) == len(learners) + SEEDS
    for row in learners:
        answers = said[row.structure, row.method, row.seed][test].argmax(1)
        supervisor = compute(plan.placed[row.structure], store, Heard()).tensors["beyond"][row.seed][test].argmax(1)
        wrong = supervisor != truth
        assert (row.correct, row.n, row.n_supervisor_wrong) == ((answers == truth).sum(), len(test), wrong.sum())
        assert row.agreement_when_right == pytest.approx((answers == supervisor)[~wrong].mean())
        assert row.agreement_when_wrong == pytest.approx((answers == supervisor)[wrong].mean())
    assert {row.kept for row in learners} == {LEARNT}


def test_a_filter_goes_over_the_labels_and_changes_no_other_learner(tiny, tmp_path, whole):
    _, store, bare = whole
    asked = study(tiny, filters=("agreement",), structures=("random", "trivial"), methods=("naive",))
    result = run(asked, out=tmp_path / "run", store=store)
    rows = {(row.structure, row.method, row.seed): row for row in bare.rows}
    assert len(result.rows) == 2 * 2 * SEEDS + SEEDS
    for row in result.rows:
        known = rows.get((row.structure, row.method, row.seed))
        assert (row.kept < LEARNT) == (known is None) == ("after agreement" in row.method)
        if known:
            assert row.correct == known.correct
    assert [(test.structure, test.method) for test in result.tests] == [
        ("trivial", "naive"),
        ("trivial", "naive after agreement"),
    ]


def test_summary_and_tests_are_of_the_rows(whole):
    _, _, result = whole

    def mean(structure: str, method: str, field: str = "accuracy") -> float:
        mine = [row for row in result.rows if (row.structure, row.method) == (structure, method)]
        assert len(mine) == SEEDS
        return float(np.mean([getattr(row, field) for row in mine]))

    weak, ceiling = result.weak_accuracy.value, mean("", "naive")
    assert result.ceiling_accuracy.value == pytest.approx(ceiling)
    assert result.gap.value == pytest.approx(ceiling - weak)
    for one in result.summary:
        value = mean(one.structure, one.method)
        assert one.accuracy.value == pytest.approx(value)
        assert one.loss.value == pytest.approx(ceiling - value)
        assert one.gain.value == pytest.approx(value - weak)  # its supervisor errs as often as the weak model
        assert one.agrees_wrong
        assert one.agrees_wrong.value == pytest.approx(mean(one.structure, one.method, "agreement_when_wrong"))
        assert 0 <= one.agrees_wrong.low <= one.agrees_wrong.value <= one.agrees_wrong.high <= 1
        if result.reason is None:
            assert one.pgr
            assert one.pgr.value == pytest.approx((value - weak) / (ceiling - weak))
        else:
            assert (one.pgr, one.outcome) == (None, "no gap")
    assert {test.method for test in result.tests} == set(result.methods)
    for test in result.tests:
        found = mean(test.structure, test.method) - mean("random", test.method)
        assert test.difference.value == pytest.approx(found)
    assert len(result.tests) == 7 * 2
    assert [test.p_holm for test in result.tests] == holm([test.p for test in result.tests])


def test_result_and_table_hold_the_same_rows(tmp_path, whole):
    asked, store, result = whole
    again = run(asked, out=tmp_path / "again", store=store)
    assert again.jobs.computed == 0
    assert load(tmp_path / "again").rows == again.rows == result.rows
    assert again.unsealed == result.unsealed
    assert build_study(describe(asked)) == asked
    assert len(table(result).splitlines()) == len(result.rows) + 1
    readers = {(one.part, one.reader) for one in result.unsealed}
    assert ("test", "OracleStructure") in readers
    assert ("transfer", "GroundTruth") not in readers


def test_only_structures_that_look_at_the_strong_model_know_it(tiny):
    placed = study(tiny).plan().placed
    seeing = {name for name, job in placed.items() if "model" in job.params}
    assert seeing == {"ceiling-sure", "ceiling-unsure", "simulable"}


def test_a_fit_that_trains_one_by_one_has_a_job_a_learner(tiny):
    plan = study(tiny, fit="lora", methods=("naive", "forward")).plan()
    assert len({cell.job for cell in plan.cells}) == len(plan.cells) == 8 * 2 * SEEDS
    for cell in plan.cells:
        assert ("features" in cell.job.inputs) == (str(cell.method) == "forward")
    bare = study(tiny, fit="lora", methods=("naive",), structures=("weak", "trivial")).plan()
    assert set(bare.features) == {"weak"}


def test_a_fine_tuned_learner_is_scored(tiny, tmp_path):
    structures = ("random", "trivial")
    asked = study(tiny, fit="lora,epochs=1,rank=2", structures=structures, methods=("naive",), seeds=1)
    result = run(asked, out=tmp_path / "run", store=Store(tmp_path / "store"))
    assert [row.structure for row in result.rows] == ["random", "trivial", ""]
    assert [test.structure for test in result.tests] == ["trivial"]


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"structures": ()}, "structures"),
        ({"structures": ("random", "random")}, "'random' is given twice"),
        ({"structures": ("randm",)}, "did you mean 'random'"),
        ({"match": "both"}, "match"),
    ],
)
def test_mistakes_are_explained(settings, message):
    with pytest.raises(ConfigError) as caught:
        ErrorLab.parse({"weak": "embedded:vader", "strong": "embedded:vader", **settings})
    assert message in str(caught.value)
