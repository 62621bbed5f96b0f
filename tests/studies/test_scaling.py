"""The grid: cells share their jobs, nobody sees truth it may not, and every figure can be recomputed."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from test_weak_to_strong import Words

from superalign import Scaling, WeakToStrong, run
from superalign.cli import main
from superalign.errors import ConfigError
from superalign.estimate import dry_run
from superalign.job import compute, in_order
from superalign.models._size import Size, parameters_read
from superalign.scaling_result import ScalingResult, SizeFacts
from superalign.store import Store
from superalign.studies.scaling import not_weaker
from superalign.task import split
from test_job import Heard

HASTE = "probe,steps=10,l2=0.1"
WHO = ("weak_", "", "ceiling_")


def grid(tiny: Callable[[str], Path], **settings: object) -> Scaling:
    """Return a grid of one network at three layers; its first layer labels, too."""
    body = f"hf:{tiny('llama')}"
    given = {
        "weak": (f"{body},layer=0", f"{body},layer=1"),
        "strong": (f"{body},layer=1", f"{body},layer=2", f"{body},layer=3"),
        "tasks": (Words(), Words(n=150)),
        "seeds": 2,
        "fit": HASTE,
        "weak_fit": HASTE,
        **settings,
    }
    return Scaling(**given)


@pytest.fixture(scope="module")
def ran(tiny: Callable[[str], Path], tmp_path_factory: pytest.TempPathFactory) -> tuple[Scaling, ScalingResult, Store]:
    folder = tmp_path_factory.mktemp("grid")
    asked, store = grid(tiny), Store(folder / "store")
    return asked, run(asked, out=folder / "run", store=store), store


def test_the_grid_and_what_is_left_out(ran) -> None:
    asked, result, _ = ran
    assert len(result.cells) == 5 * 2 * 2  # pairs, tasks, methods
    assert len(result.rows) == 2 * len(result.cells)
    (out,) = result.excluded
    assert out.weak == out.strong == str(asked.strong[0])
    assert out.why == "it is the same model"
    parameters = [size.parameters for size in result.sizes]
    assert parameters == sorted(parameters)
    assert len(result.sizes) == 4
    assert ScalingResult.model_validate_json(result.model_dump_json()) == result


def test_a_method_that_cannot_learn_a_task_has_no_cells_of_it(tiny, tmp_path) -> None:
    three = tmp_path / "three.csv"
    three.write_text("text,label\n" + "".join(f"{'abc'[n % 3]} thing {n},{'xyz'[n % 3]}\n" for n in range(120)))
    tasks = (Words(n=150), f"file:{three}")
    asked = grid(tiny, tasks=tasks, methods=("naive", "ropo"), seeds=1)
    result = run(asked, out=tmp_path / "run", store=Store(tmp_path / "store"))
    two, many = map(str, asked.tasks)
    assert {(cell.task, cell.method) for cell in result.cells} == {(two, "naive"), (two, "ropo"), (many, "naive")}
    (out,) = result.unsuited
    assert (out.task, out.method) == (many, "ropo")
    assert "ropo" in out.why
    (test,) = result.tests
    assert test.tasks == 1
    alone = grid(tiny, tasks=tasks, methods=("ropo",), seeds=1)
    with pytest.raises(ConfigError, match="ropo"):
        run(alone, out=tmp_path / "alone", store=Store(tmp_path / "store"))


def test_what_cells_share_is_one_job(ran) -> None:
    asked, result, store = ran
    jobs = in_order(asked.plan().jobs())
    names = [job.step.name.rpartition(":")[2] for job in jobs]
    assert {name: names.count(name) for name in set(names)} == {
        "read_items": 2,
        "read_gold": 2,
        "check": 2,
        "cache_features": 2 * (4 + 1),  # each layer's, after one pass for all
        "label": 2 * (2 + 2),  # truth and oracle, and each weak model's
        "learn": 2 * (2 + 3 + 5),
    }
    assert result.jobs.total == result.jobs.computed == len(jobs)
    assert len(list(Store(next((store.root / "features").iterdir())))) == 2  # one pass a task
    for job in jobs:
        assert all(jobs.index(one) < jobs.index(job) for one in (*job.inputs.values(), *job.after))


def test_a_larger_grid_computes_only_what_is_new(tiny, ran, tmp_path) -> None:
    asked, _, store = ran
    larger = grid(tiny, strong=(*map(str, asked.strong), f"hf:{tiny('llama')},layer=3,max_tokens=9"))
    left = [job for job in in_order(larger.plan().jobs()) if not store.has(job.key)]
    assert sorted(job.step.name.rpartition(":")[2] for job in left) == sorted(
        2 * ["cache_features", "learn", "learn", "learn"]
    )


def test_weak_models_are_those_of_weak_to_strong(tiny, ran) -> None:
    asked, _, store = ran
    one = WeakToStrong(
        weak=asked.weak[0], strong=asked.strong[1], task=asked.tasks[0], seeds=2, sweep=0, fit=HASTE, weak_fit=HASTE
    )
    stored = {job.title for job in in_order(one.plan().jobs()) if store.has(job.key)}
    assert f"weak: {HASTE} on {asked.weak[0]}" in stored


def test_no_student_depends_on_truth_outside_the_supervise_part(tiny, tmp_path) -> None:
    store = Store(tmp_path / "store")
    said = {}
    for flip in ((), ("transfer", "test")):
        (ground,) = grid(tiny, tasks=(Words(flip=flip),)).plan().grounds
        cells = {pair: ground.students(*pair) for pair in ground.pairs}
        for cell in (*(one for many in cells.values() for one in many), *ground.ceilings[ground.pairs[0][1]]):
            for job in in_order([cell.job]):
                found = compute(job, store, Heard())
            said[flip, cell.role, cell.method, cell.seed, cell.labels.title] = found.tensors["probs"][cell.row]
    same = [
        np.array_equal(a, said[(("transfer", "test"), *key[1:])], equal_nan=True)
        for key, a in said.items()
        if not key[0]
    ]
    roles = [key[1] for key in said if not key[0]]
    assert [role == "student" for role in roles] == same


def test_every_figure_can_be_recomputed(ran) -> None:
    asked, result, store = ran
    plan = asked.plan()
    for ground, source in zip(plan.grounds, asked.tasks, strict=True):
        loaded = source.load()
        test = split(loaded.task, asked.shares, 0).test
        for pair in ground.pairs:
            for cell in ground.students(*pair):
                probs = store.load(cell.job.key).tensors["probs"][cell.row][test]
                (row,) = [
                    row
                    for row in result.rows
                    if (row.task, row.weak, row.strong, row.method, row.seed)
                    == (ground.name, *pair, cell.method, cell.seed)
                ]
                assert row.accuracy == pytest.approx((probs.argmax(1) == loaded.labels[test]).mean())
                assert row.n == len(test)
    for cell in result.cells:
        rows = [
            r
            for r in result.rows
            if (r.task, r.weak, r.strong, r.method) == (cell.task, cell.weak, cell.strong, cell.method)
        ]
        weak, mine, best = (
            np.mean([getattr(row, f"{who}accuracy") for row in rows]) for who in ("weak_", "", "ceiling_")
        )
        assert (cell.weak_accuracy.value, cell.accuracy.value) == pytest.approx((weak, mine))
        assert (cell.gap.value, cell.gain.value) == pytest.approx((best - weak, mine - weak))
        assert (cell.pgr is None) == (cell.gap.low <= 0) == (cell.reason is not None)
        if cell.pgr:
            assert cell.pgr.value == pytest.approx((mine - weak) / (best - weak))


def test_a_weak_model_that_is_not_smaller_makes_no_cell() -> None:
    def size(model: str, parameters: int | None) -> SizeFacts:
        return SizeFacts(model=model, layer=0, depth=0, parameters=parameters, weak=True, strong=True)

    assert not_weaker(size("a", 10), size("b", 11)) is None
    assert not_weaker(size("a", None), size("b", 11)) is None
    assert "not fewer" in (not_weaker(size("a", 11), size("b", 11)) or "")
    assert not_weaker(size("a", None), size("a", None)) == "it is the same model"


def test_a_grid_without_a_pair_is_refused(tiny) -> None:
    body = f"hf:{tiny('llama')}"
    with pytest.raises(ConfigError, match="no weak model is smaller than a strong one"):
        grid(tiny, weak=(f"{body},layer=2",), strong=(f"{body},layer=1",)).plan()


@pytest.mark.parametrize("architecture", ["llama", "qwen2", "gpt_neox", "gpt2", "gemma3", "bert"])
def test_parameters_up_to_a_layer_are_those_of_the_loaded_network(tiny, architecture) -> None:
    from superalign.model import models

    size = Size(tiny(architecture))
    for layer in (1, 3):
        module = models.build(f"hf:{tiny(architecture)},layer={layer}").backbone().module
        own = sum(one.numel() for name, one in module.named_parameters() if "pooler" not in name)
        assert abs(size.up_to(layer) - own) <= 64  # a last norm, which belongs to no layer
    assert parameters_read(models.build(f"hf:{tiny(architecture)},layer=2")) == size.up_to(2)


def test_dry_run(tiny, tmp_path, ran) -> None:
    asked, _, store = ran
    plan = dry_run(asked, Store(tmp_path / "none"))
    jobs = in_order(asked.plan().jobs())
    assert (plan.cells, plan.jobs, plan.stored) == (20, len(jobs), 0)
    assert plan.separate is not None
    assert plan.separate > 4 * len(jobs)
    features = [one for one in plan.work if one.component == "features"]
    (passed,) = [one for one in features if "layer=3" in one.model]
    letters = sum(len(text.prompt) for task in asked.tasks for text in task.load().task.texts())
    assert passed.read == pytest.approx(letters / 4, abs=2)
    assert passed.flops == pytest.approx(2 * passed.read * Size(tiny("llama")).up_to(3))
    assert len(features) == 1  # the layers below come of the same pass
    assert plan.memory
    assert plan.hours
    done = dry_run(asked, store)
    assert (done.stored, done.work, done.hours) == (len(jobs), [], 0)


def test_the_dry_run_of_the_command_line(tiny, tmp_path, capsys, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    body = f"hf:{tiny('llama')}"
    words = [
        "run",
        "scaling",
        "--weak",
        f"{body},layer=0",
        "--strong",
        f"{body},layer=2",
        body,
        "--tasks",
        "test-words",
    ]
    assert main([*words, "--dry-run"]) == 0
    out = capsys.readouterr().out
    for word in ("4 cells", "as runs of their own", "nothing was run", "FLOPs", "memory of the largest job", "hours"):
        assert word in out
    assert main([*words, "--dry-run", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["cells"] == 4
    assert main([*words, "--weak", body, body]) == 2
    assert "given twice" in capsys.readouterr().err
