"""Recommend: no truth outside the gold labels reaches a prediction, and none of them scores who had it."""

from __future__ import annotations

import json
from collections.abc import Callable
from functools import cache
from pathlib import Path

import numpy as np
import pytest

from superalign import Recommend, RecommendResult, run
from superalign.cli import main
from superalign.errors import ConfigError, DataError
from superalign.job import compute, in_order
from superalign.rank_tests import rank_correlation
from superalign.recommending import FOLDS, TAKES, folds, gold_rows
from superalign.store import Store
from superalign.task import Example, Loaded, Task, TaskSource, split, tasks
from test_job import Heard

WORDS = ("good", "fine", "nice", "glad", "bad", "poor", "sad", "grim")
HASTE = "probe,steps=10,l2=0.1"
GOLD = 40


@tasks.register("test-few")
class Few(TaskSource):
    """Is the sentence cheerful? Optionally with the truth of some items turned round."""

    flipped: tuple[int, ...] = ()
    """Items whose truth is turned round."""
    n: int = 320
    """How many items."""

    def load(self) -> Loaded:
        rng = np.random.default_rng(0)
        picked = rng.integers(0, 8, self.n)
        labels = (picked < 4).astype(np.int64)
        labels[list(self.flipped)] ^= 1
        texts = [f"The {i} day was {WORDS[w]}, said {rng.integers(1000)}." for i, w in enumerate(picked)]
        items = tuple(Example(str(i), text, group=str(i // 2)) for i, text in enumerate(texts))
        return Loaded(Task("few", "1", items, ("no", "yes")), labels)

    def fingerprint(self) -> str:
        return str(self)


def study(tiny: Callable[[str], Path], **settings: object) -> Recommend:
    body = f"hf:{tiny('llama')}"
    given = {"weak": (f"{body},layer=0", f"{body},layer=1"), "strong": f"{body},layer=2", "task": Few(), "gold": GOLD}
    return Recommend(**{**given, "fit": HASTE, "weak_fit": HASTE, **settings})


@cache
def allowed(seed: int = 0) -> tuple[int, ...]:
    return tuple(gold_rows(Few().load().task, (5, 6, 5), seed, GOLD).tolist())


@pytest.fixture(scope="module")
def ran(
    tiny: Callable[[str], Path], tmp_path_factory: pytest.TempPathFactory
) -> tuple[Recommend, RecommendResult, Store]:
    folder = tmp_path_factory.mktemp("recommend")
    asked, store = study(tiny, check=3), Store(folder / "store")
    return asked, run(asked, out=folder / "run", store=store), store


def told(result: RecommendResult) -> str:
    """Everything that is predicted, as text."""
    kept = ("candidates", "supervisors", "pairs", "rows", "verdict", "flags")
    return json.dumps({name: result.model_dump(mode="json")[name] for name in kept})


def test_no_prediction_depends_on_truth_but_the_gold_labels(tiny, tmp_path) -> None:
    store, others = Store(tmp_path / "store"), set(range(Few().n)) - set(allowed())
    said = {}
    for name, flipped in {"honest": (), "others": tuple(others), "one": allowed()[:1]}.items():
        asked = study(tiny, task=Few(flipped=flipped), methods=("logconf",), budgets=(0, GOLD))
        result = run(asked, out=tmp_path / name, store=store)
        said[name] = told(result)
        assert [(one.part, one.n) for one in result.unsealed] == [("supervise", GOLD)]
        assert result.check is None
        assert all(row.accuracy is None for row in result.rows)
    assert said["honest"] == said["others"]
    assert said["honest"] != said["one"]


def test_who_is_scored_on_a_fold_had_none_of_its_labels(tiny, tmp_path) -> None:
    store, task = Store(tmp_path / "store"), Few().load().task
    rows = np.array(allowed())
    fold = folds(task, rows, 0)
    assert {len(set(fold[rows // 2 == group])) for group in set(rows // 2)} == {1}
    said = []
    for flipped in ((), tuple(rows[fold == 0].tolist())):
        plan = study(tiny, task=Few(flipped=flipped), methods=("logconf",), budgets=(0, GOLD)).plan()
        cells = {"weak": next(iter(plan.supervisors.values())), **{str(one): one.cells for one in plan.asked}}
        found = [
            [compute(cell.job, store, Heard()).tensors["probs"][cell.row] for cell in each] for each in cells.values()
        ]
        said.append(np.array(found))
    same = [np.array_equal(said[0][:, take], said[1][:, take], equal_nan=True) for take in range(TAKES)]
    assert same == [True] + [False] * FOLDS


def test_gold_labels_are_of_as_many_groups_as_can_be() -> None:
    task = Few().load().task
    rows = gold_rows(task, (5, 6, 5), 1, GOLD)
    supervise = split(task, (5, 6, 5), 1).supervise
    assert set(rows) <= set(supervise)
    assert len(set(rows)) == len({task.groups()[row] for row in rows}) == GOLD
    more = gold_rows(task, (5, 6, 5), 1, 90)
    assert np.array_equal(more[:GOLD], rows)
    assert len({task.groups()[row] for row in more}) == len({task.groups()[row] for row in supervise})


def test_candidates_are_ranked_and_complete(ran) -> None:
    asked, result, _ = ran
    budgets = (0, GOLD // 2, GOLD)
    names = {(one.supervisor, one.method, one.budget) for one in result.candidates}
    assert names == {(str(w), str(m), b) for w in asked.weak for m in asked.methods for b in budgets} | {
        (None, "naive", b) for b in budgets[1:]
    }
    assert [one.rank for one in result.candidates] == list(range(1, 15))
    values = [one.predicted.value for one in result.candidates]
    assert values == sorted(values, reverse=True)
    assert all(one.predicted.low <= one.predicted.value <= one.predicted.high for one in result.candidates)
    assert RecommendResult.model_validate_json(result.model_dump_json()) == result


def test_every_figure_can_be_recomputed(ran) -> None:
    asked, result, store = ran
    plan, loaded = asked.plan(), asked.task.load()
    test = split(loaded.task, asked.shares, 0).test
    rows = {(row.seed, row.supervisor, row.method, row.budget): row for row in result.rows}
    assert len(rows) == len(result.rows) == 3 * len(plan.asked)
    right: dict[int, dict[object, float]] = {seed: {} for seed in range(3)}
    for one in plan.asked:
        for seed in range(3):
            gold = np.array(allowed(seed))
            fold = folds(loaded.task, gold, seed)
            mine = one.cells[seed * TAKES : (seed + 1) * TAKES]
            probs = [store.load(cell.job.key).tensors["probs"][cell.row] for cell in mine]
            hits = [probs[f][item].argmax() == loaded.labels[item] for f, item in zip(fold, gold, strict=True)]
            row = rows[seed, one.supervisor, one.method, one.budget]
            assert row.cross_fitted == pytest.approx(np.mean(hits))
            assert row.accuracy == pytest.approx((probs[-1][test].argmax(1) == loaded.labels[test]).mean())
            right[seed][row.supervisor, row.method, row.budget] = row.accuracy
    check = result.check
    assert check is not None
    firsts = [row for row in result.rows if row.rank == 1]
    regrets = [max(right[row.seed].values()) - row.accuracy for row in firsts]
    assert check.regret.value == pytest.approx(np.mean(regrets))
    assert check.coverage.value == pytest.approx(np.mean([r.low <= r.accuracy <= r.high for r in result.rows]))
    rhos = [
        rank_correlation(*zip(*[(r.predicted, r.accuracy) for r in result.rows if r.seed == seed], strict=True))
        for seed in range(3)
    ]
    if check.correlation:
        assert check.correlation.value == pytest.approx(np.mean([rho for rho in rhos if rho is not None]))


def test_the_grid_is_that_of_weak_to_strong(tiny, ran) -> None:
    from superalign import WeakToStrong

    asked, result, store = ran
    one = WeakToStrong(weak=asked.weak[0], strong=asked.strong, task=Few(), seeds=3, sweep=0, fit=HASTE, weak_fit=HASTE)
    jobs = in_order(one.plan().jobs())
    shared = [job for job in jobs if store.has(job.key)]
    assert {job.step.name.rpartition(":")[2] for job in shared} >= {"read_items", "cache_features", "label", "learn"}
    assert result.check
    assert {(cell.supervisor, cell.method) for cell in result.check.grid} == {
        (str(w), str(m)) for w in asked.weak for m in asked.methods
    }


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"budgets": (50,)}, "budget 50 is too large"),
        ({"budgets": (5,)}, "nothing can be learnt from so few"),
        ({"budgets": (20, 20)}, "given twice"),
        ({"check": 1}, "one seed tells nothing"),
        ({"gold": 10}, "gold"),
        ({"fit": "lora,stop=oracle-early-stop"}, "oracle"),
    ],
)
def test_mistakes_are_named(tiny, settings, message) -> None:
    from pydantic import ValidationError

    with pytest.raises((ConfigError, ValidationError), match=message):
        study(tiny, **settings)


def test_more_gold_labels_than_there_are_items() -> None:
    with pytest.raises(DataError, match="the supervise part has 100 items"):
        gold_rows(Few().load().task, (5, 6, 5), 0, 101)
    with pytest.raises(DataError, match="groups of related items"):
        gold_rows(Few(n=60).load().task, (5, 6, 5), 0, 18)


@pytest.mark.model
@pytest.mark.slow
def test_the_command_on_embedded_models(embedded_home, tmp_path, capsys, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    words = ["--weak", "embedded:vader", "embedded:wordllama", "--strong", "embedded:minilm,layer=2"]
    words += ["--task", "facts,cities=160", "--gold", "48", "--budgets", "0", "24", "--methods", "naive"]
    assert main(["recommend", *words, "--check", "2", "--out", "run", "--quiet"]) == 0
    out = capsys.readouterr().out
    for word in ("Recommended from 48 gold labels", "Spearman's rho", "no supervisor, 48 gold labels"):
        assert word in out.replace("\n", " ")
    page = (tmp_path / "run/report.html").read_text(encoding="utf-8")
    assert "What is predicted of each candidate" in page
    assert main(["recommend", "--golds", "60"]) == 2
    assert "--gold" in capsys.readouterr().err
