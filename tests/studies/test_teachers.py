"""Ensembles and chains in the study: who labels what, from which items, and that no truth goes astray."""

from __future__ import annotations

import numpy as np
import pytest
from test_weak_to_strong import HASTE, Words, predictions, study

from superalign import WeakToStrong, run
from superalign.bank import item_features
from superalign.errors import DataError
from superalign.fit import Lesson
from superalign.fits.probe import Probe, solve
from superalign.job import Job, compute
from superalign.label import Labels
from superalign.objective import objectives
from superalign.steps import part_of
from superalign.store import Artifact, Store
from superalign.task import Example, Task, split
from test_job import Heard

N = 360


def teachers(tiny, **settings) -> WeakToStrong:
    return study(tiny, **{"task": Words(n=N), "methods": ("naive",), "sweep": 0, **settings})


def artifact(job: Job, store: Store) -> Artifact:
    return compute(job, store, Heard())


def helpers(tiny) -> tuple[str, ...]:
    return (f"hf:{tiny('bert')},layer=1", f"hf:{tiny('llama')},layer=1")


@pytest.mark.parametrize("ensemble", ["bagging,members=3", "adaboost,members=3", "simplex,rounds=2", "prompts", "mean"])
@pytest.mark.parametrize("pairs", [False, True])
def test_no_student_depends_on_truth_outside_the_supervise_part(tiny, tmp_path, ensemble, pairs):
    store = Store(tmp_path / "store")
    through = (f"hf:{tiny('llama')},layer=2",)
    settings = {"ensemble": ensemble, "helpers": helpers(tiny)[:1], "through": through, **HASTE}
    honest = predictions(teachers(tiny, task=Words(n=N, pairs=pairs), **settings), store)
    turned = Words(n=N, pairs=pairs, flip=("transfer", "test"))
    flipped = predictions(teachers(tiny, task=turned, **settings), store)
    assert len(honest) == 2 * (1 + 3 + 1 + 1)
    for name, probs in honest.items():
        same = np.array_equal(probs, flipped[name], equal_nan=True)
        assert same == (name[0] != "ceiling"), name


def test_the_mean_of_two_models_is_the_mean_of_what_each_says_alone(tiny, tmp_path):
    store, other = Store(tmp_path / "store"), helpers(tiny)[0]
    both = predictions(teachers(tiny, helpers=(other,)), store)
    first = predictions(teachers(tiny), store)
    second = predictions(teachers(tiny).model_copy(update={"weak": WeakToStrong(weak=other).weak}), store)
    for seed in range(2):
        mean = (first["weak", "naive", seed] + second["weak", "naive", seed]) / 2
        said = both["weak", "naive by mean", seed]
        np.testing.assert_allclose(said, mean, atol=1e-5)
        assert np.isnan(said).any(1).sum() == N // 3  # says nothing of what it was taught


def test_the_weak_accuracy_is_the_ensembles_own(tiny, tmp_path):
    store, asked = Store(tmp_path / "store"), teachers(tiny, ensemble="bagging,members=3")
    result = run(asked, out=tmp_path / "run", store=store)
    loaded = Words(n=N).load()
    test = split(loaded.task, asked.shares, 0).test
    said = predictions(asked, store)
    weak = [row for row in result.rows if row.role == "weak"]
    assert [row.method for row in weak] == ["naive by bagging,members=3"] * 2
    for row in weak:
        right = said["weak", row.method, row.seed][test].argmax(1) == loaded.labels[test]
        assert row.accuracy == pytest.approx(right.mean())
        assert row.facts["members"] == 3


def test_learnt_weights_stand_in_the_row_and_make_the_labels(tiny, tmp_path):
    store, asked = Store(tmp_path / "store"), teachers(tiny, ensemble="simplex", helpers=helpers(tiny))
    result = run(asked, out=tmp_path / "run", store=store)
    names = [str(asked.weak), *map(str, asked.helpers)]
    plan = asked.plan()
    settled = next(cell.job for cell in plan.cells if cell.role == "weak")
    taught = artifact(settled.inputs["taught"], store).tensors["members"]
    for row in (row for row in result.rows if row.role == "weak"):
        share = row.facts["weights"]
        assert list(share) == names
        assert sum(share.values()) == pytest.approx(1)
        mixture = np.tensordot(list(share.values()), taught[row.seed], 1)
        said = artifact(settled, store).tensors["probs"][row.seed]
        asked_of = ~np.isnan(said).any(1)
        np.testing.assert_allclose(said[asked_of], mixture[asked_of], atol=1e-5)
        assert asked_of.sum() == 2 * N // 3
        assert row.facts["rounds"] >= 1


def test_students_learn_from_the_agreement_of_the_prompts(tiny, tmp_path):
    few = Words(n=120)  # too few for all answers to agree
    settings = {"ensemble": "prompts", "task": few, "helpers": helpers(tiny)}
    store, asked = Store(tmp_path / "store"), teachers(tiny, **settings)
    plan, loaded = asked.plan(), few.load()
    labels = {cell.role: artifact(cell.labels, store) for cell in plan.cells if cell.role != "weak"}
    weak = next(cell for cell in plan.cells if cell.role == "weak")
    voted = artifact(weak.job, store).tensors
    for seed in range(2):
        rows = split(loaded.task, asked.shares, seed).transfer
        given = labels["student"].tensors["weight"][seed]
        np.testing.assert_array_equal(given[rows], voted["weight"][seed][rows])
        assert len(np.unique(given[rows])) > 1
        assert not np.delete(given, rows).any()
        np.testing.assert_array_equal(np.sort(labels["control"].tensors["weight"][seed][rows]), np.sort(given[rows]))
    assert "weight" not in labels["ceiling"].tensors
    assert {f"way {number}" for number in range(1, 15)} <= set(plan.features)


def test_a_slice_of_one_is_the_part_and_slices_share_no_group():
    task = Task("t", "1", tuple(Example(str(i), str(i), group=f"g{i // 3}") for i in range(360)), ("a", "b"))
    whole = part_of(task, (1, 4, 1), 3, "transfer")
    np.testing.assert_array_equal(part_of(task, (1, 4, 1), 3, "transfer 1/1"), whole)
    slices = [part_of(task, (1, 4, 1), 3, f"transfer {number}/3") for number in (1, 2, 3)]
    np.testing.assert_array_equal(np.sort(np.concatenate(slices)), whole)
    groups = [{task.groups()[i] for i in rows} for rows in slices]
    assert sum(map(len, groups)) == len(set.union(*groups))
    assert max(map(len, groups)) - min(map(len, groups)) <= 1
    with pytest.raises(DataError, match="groups of related items for 90 slices"):
        part_of(task, (1, 4, 1), 3, "transfer 1/90")


def test_a_chain_is_what_its_steps_are_one_after_the_other(tiny, tmp_path):
    store, between = Store(tmp_path / "store"), f"hf:{tiny('llama')},layer=1"
    asked = teachers(tiny, through=(between,), seeds=1)
    said, loaded = predictions(asked, store), Words(n=N).load()
    first, last = (part_of(loaded.task, asked.shares, 0, f"transfer {number}/2") for number in (1, 2))
    groups = np.array(loaded.task.groups())

    def learnt(model, rows, labels):
        x = item_features(model, loaded.task, store, lambda **_: None)
        lesson = Lesson(objectives.build("naive"), rows, Labels.soft(labels, "t"), 0)
        return solve(Probe(), x, groups, [lesson], pairwise=False)[0].predict(x)

    weak = said["weak", "naive", 0]
    middle = learnt(asked.through[0], first, weak[first])
    test = split(loaded.task, asked.shares, 0).test
    chain = learnt(asked.strong, last, middle[last])
    np.testing.assert_allclose(said["student", f"naive via {between}", 0][test], chain[test], atol=1e-5)
    control = learnt(asked.strong, last, weak[last])  # what a chain without models between would be
    np.testing.assert_allclose(said["student", "naive on slice 2/2", 0][test], control[test], atol=1e-5)
    step = next(cell for cell in asked.plan().cells if "via" in cell.method).labels
    labels = artifact(step, store).tensors["probs"][0]
    np.testing.assert_array_equal(np.flatnonzero(~np.isnan(labels).any(1)), last)


def test_a_chain_is_compared_with_the_student_of_its_slice(tiny, tmp_path):
    between = f"hf:{tiny('llama')},layer=1"
    asked = teachers(tiny, through=(between,), methods=("naive", "logconf"), seeds=1)
    result = run(asked, out=tmp_path / "run", store=Store(tmp_path / "store"))
    compared = {(test.a, test.b) for test in result.tests}
    for method in asked.methods:
        assert (f"{method} via {between}", f"{method} on slice 2/2") in compared
    quality = {row.method: row.label_accuracy for row in result.rows if row.role == "student"}
    assert set(quality) == {"naive", "logconf"} | {
        f"{m} {how}" for m in ("naive", "logconf") for how in (f"via {between}", "on slice 2/2")
    }
    page = (tmp_path / "run" / "report.html").read_text()
    assert "Each learns from a slice of the transfer part of its own" in page


@pytest.mark.slow
@pytest.mark.parametrize("ensemble", ["bagging,members=2", "simplex"])
def test_fine_tuned_teachers(tiny, tmp_path, ensemble):
    asked = teachers(tiny, weak_fit="lora,epochs=1", ensemble=ensemble, helpers=helpers(tiny)[:1], task=Words(n=180))
    result = run(asked, out=tmp_path / "run", store=Store(tmp_path / "store"))
    weak = [row for row in result.rows if row.role == "weak"]
    assert [row.seed for row in weak] == [0, 1]
    assert all(row.facts["members"] == (4 if "bagging" in ensemble else 2) for row in weak)
    assert result.weak.tokens > 0
