"""The study of balance: every figure is of the answers, merges are those of the engine, no truth is asked for."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from balance_drawn import AXES, RATES, Drawn, drawn
from superalign import Balance, BalanceResult, run
from superalign.balance_evaluation import Arm
from superalign.balancing import ask_merged
from superalign.errors import ConfigError, DataError
from superalign.estimate import dry_run
from superalign.job import Job, compute
from superalign.runs import build_study
from superalign.store import Store
from superalign.studies.balance import merges
from test_job import Heard

FIT = "lora,read=policy,keep=true,epochs=1,rank=2,lr=0.02,batch=8"
SMALL: dict[str, Any] = {
    "task": "facts,questions=true,cities=60",
    "pairs": 8,
    "test": 8,
    "validation": 4,
    "seeds": 2,
    "fit": FIT,
    "methods": ("linear", "ties", "rewarded-soups,steps=2"),
    "mixtures": ("lagging", "scored"),
}


def study(tiny, **settings: Any) -> Balance:
    return Balance(**{"model": f"hf:{tiny('llama')}", **SMALL, **settings})


@pytest.fixture(scope="module")
def ran(tiny, tmp_path_factory) -> tuple[Balance, Store, BalanceResult]:
    folder = tmp_path_factory.mktemp("balance")
    asked, store = study(tiny), Store(folder / "store")
    return asked, store, run(asked, out=folder / "run", store=store)


@pytest.fixture(scope="module")
def made(tiny) -> Drawn:
    return drawn(tiny("llama"))


@pytest.mark.slow
def test_every_arm_answers_and_no_truth_is_read(ran) -> None:
    asked, store, result = ran
    soups = [name for name, *_ in merges(asked.methods, 3) if name.startswith("soup")]
    assert len(soups) == 3
    kinds = {kind: [one.arm for one in result.summary if one.kind == kind] for kind in ("expert", "mixture", "merge")}
    assert kinds == {
        "expert": list(AXES),
        "mixture": ["lagging", "scored"],
        "merge": ["linear", "ties", *soups],
    }
    assert result.unsealed == []
    assert result.model.layer == result.model.depth  # policies read all of it
    for row in result.rows:
        if row.kind == "mixture" and row.axis == AXES[0]:
            mine = [one.pairs for one in result.rows if (one.arm, one.seed) == (row.arm, row.seed)]
            assert sum(mine) == 3 * asked.pairs
    for cell in asked.plan().cells:
        said = compute(cell.job, store, Heard()).tensors
        for place, name in enumerate(AXES):
            (row,) = [r for r in result.rows if (r.arm, r.seed, r.axis) == (cell.arm.name, cell.seed, name)]
            for figure, part in ((row.score, "test"), (row.validation, "validation")):
                odds = said[f"axis{place} {part}"]
                assert figure == pytest.approx((odds[np.isfinite(odds)] > 0).mean())  # all arms lack the same
    assert not list((store.root / "tmp").glob("*"))  # merged models are let go of


@pytest.mark.slow
def test_pairs_probes_and_choosing_probes_are_about_other_items(ran) -> None:
    asked, store, _ = ran
    for axis in asked.plan().drawn:
        meta = [compute(job, store, Heard()).meta for job in axis]
        assert meta[0]["test"] == meta[1]["test"]
        for one in meta:
            groups = [
                {p["group"] for p in one["pairs"]},
                *({p[4] for p in one[part]} for part in ("validation", "test")),
            ]
            assert not groups[0] & groups[1]
            assert not groups[1] & groups[2]
            assert not groups[0] & groups[2]


@pytest.mark.slow
def test_a_merge_of_one_expert_says_what_the_expert_says(ran) -> None:
    asked, store, _ = ran
    cells = {(cell.arm.name, cell.seed): cell for cell in asked.plan().cells}
    linear = cells["linear", 0].job
    for place, name in enumerate(AXES):
        weights = [1.0 if other == place else 0.0 for other in range(3)]
        alone = Job(ask_merged, {**linear.params, "weights": weights}, linear.inputs)
        merged = compute(alone, store, Heard()).tensors
        expert = compute(cells[name, 0].job, store, Heard()).tensors
        for part in expert:
            np.testing.assert_allclose(merged[part], expert[part], rtol=1e-3, atol=2e-3)
    base = compute(cells["base", 0].job, store, Heard()).tensors
    assert any(np.abs(expert[part] - base[part]).max() > 0.01 for part in base)


@pytest.mark.slow
def test_preferences_of_ones_own_are_axes_whose_truth_only_pairs_and_the_metric_read(tiny, tmp_path) -> None:
    sets = []
    for name in ("a", "b"):
        rows = [
            {"prompt": f"{name}: where is {n}?", "chosen": f"In {name} {n}.", "rejected": "Nowhere."} for n in range(60)
        ]
        file = tmp_path / f"{name}.jsonl"
        file.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
        sets.append(f"pairs:file:{file},called={name}")
    mine = {"axes": tuple(sets), "methods": ("linear",), "mixtures": ("equal",), "seeds": 1, "pairs": 6, "pool": 1}
    result = run(study(tiny, **mine), out=tmp_path / "run", store=Store(tmp_path / "store"))
    assert [axis.axis for axis in result.axes] == ["a", "b"]
    assert {(one.part, one.reader) for one in result.unsealed} == {
        ("transfer", "OracleExpert"),
        ("supervise", "TestScore"),
        ("test", "TestScore"),
    }


def test_figures_and_front_are_those_of_the_answers(made: Drawn) -> None:
    held, evidence, result = made.held, made.evidence, made.result
    scores = {}
    for arm in RATES:
        said = [held[cell.job.key].tensors for cell in evidence.cells if cell.arm == arm]
        scores[arm] = np.array([[(one[f"axis{a} test"] > 0).mean() for a in range(3)] for one in said]).mean(0)
    for arm, found in scores.items():
        one = result.arm(arm.name, arm.kind)
        assert [one.scores[axis].value for axis in AXES] == pytest.approx(found.tolist())
        assert one.average.value == pytest.approx(found.mean())
        assert one.worst.value == pytest.approx(found.min())
        assert one.average.low <= one.average.value <= one.average.high
        bettered = any((other >= found).all() and (other > found).any() for other in scores.values())
        assert one.front is not bettered
        assert [one.changes[axis].value for axis in AXES] == pytest.approx(
            (found - scores[Arm("base", "base")]).tolist()
        )


def test_what_is_compared_was_chosen_by_validation_alone(made: Drawn) -> None:
    held, evidence, result = made.held, made.evidence, made.result

    def validated(arm: Arm) -> float:
        said = [held[cell.job.key].tensors for cell in evidence.cells if cell.arm == arm]
        return float(np.mean([[(one[f"axis{a} validation"] > 0).mean() for a in range(3)] for one in said]))

    for kind, name in (("merge", result.chosen.merge), ("mixture", result.chosen.mixture)):
        assert name == max((arm for arm in RATES if arm.kind == kind), key=validated).name
    first = result.tests[0]
    assert (first.a, first.b) == (result.chosen.merge, f"mixture {result.chosen.mixture}")
    averages = [result.arm(result.chosen.merge, "merge").average, result.arm(result.chosen.mixture, "mixture").average]
    assert first.difference.value == pytest.approx(averages[0].value - averages[1].value)


def test_claims_are_decided_by_their_rules(tiny, made: Drawn) -> None:
    sharp = {one.claim[:20]: one.finding for one in made.result.claims}
    assert sharp["Merging experts bala"] == "reproduced"
    assert sharp["Some aims help each "] in ("reproduced", "not reproduced")
    assert sharp["Reweighting and rank"] == "not reproduced"
    assert sharp["Dropping redundant c"] == "reproduced"
    assert sharp["R-TSVM gains 2 to 5 "] == "not testable here"
    assert made.result.headline == "Merging balances better than mixing"
    turned = {arm: (1.0, 1.0, 1.0) if arm.kind == "mixture" else rate for arm, rate in RATES.items()}
    other = drawn(tiny("llama"), rates=turned).result
    assert other.headline == "Mixing balances better than merging"
    assert other.claims[0].finding == "not reproduced"
    alike = drawn(tiny("llama"), rates=dict.fromkeys(RATES, (0.5, 0.5, 0.5))).result
    assert alike.headline == "Merging and mixing cannot be told apart"
    assert {one.finding for one in alike.claims} == {"not testable here"}  # no expert learnt anything
    assert sum("is not shown to do better on its own axis" in flag for flag in alike.flags) == 3


def test_a_missing_answer_is_left_out_of_all_arms_and_counted(tiny) -> None:
    result = drawn(tiny("llama"), missing=6).result
    assert [axis.test for axis in result.axes] == [84] * 3
    assert [axis.unanswered for axis in result.axes] == [18] * 3
    assert sum("answers on" in flag for flag in result.flags) == 3
    with pytest.raises(DataError, match="no probe of the test part is left of the axis honest"):
        drawn(tiny("llama"), missing=90)


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"axes": ("honest",)}, "axes"),
        ({"axes": ("honest", "honst")}, "did you mean 'honest'"),
        ({"axes": ("honest", "pairs:facts,called=honest")}, "two axes are called 'honest'"),
        ({"methods": ("slerp",)}, "slerp merges 2 experts"),
        ({"methods": ("fisher",)}, "needs statistics"),
        ({"methods": ("tie",)}, "did you mean 'ties'"),
        ({"mixtures": ("equal", "equal")}, "a mixture is given twice"),
        ({"fit": "full,read=policy,keep=true"}, "leaves no adapter"),
        ({"fit": "lora"}, "must speak and keep"),
        ({"model": "embedded:vader"}, "cannot train"),
        ({"pool": 0.5}, "pool"),
        ({"objective": "wspo"}, "cannot learn by wspo"),
    ],
)
def test_mistakes_are_named(tiny, settings: dict[str, Any], said: str) -> None:
    with pytest.raises(ConfigError) as caught:
        build_study({"study": "balance-3h", "model": f"hf:{tiny('llama')}", **settings})
    assert said in str(caught.value)


def test_a_dry_run_counts_what_is_learnt_and_asked(tiny, tmp_path: Path) -> None:
    asked = study(tiny)
    told = {one.component: one for one in dry_run(asked, Store(tmp_path)).work}
    assert {name: one.jobs for name, one in told.items()} == {
        "pairs and probes": 2 * 3,
        "probes": 2 * (1 + 3 + 2),
        "learning": 2 * (3 + 2),
        "rewards of pairs": 2 * 4,
        "merges": 2 * 5,
    }
    pairs = 2 * (3 * asked.pairs + 2 * 3 * asked.pairs)
    probes = 2 * 5 * 3 * (asked.test + asked.validation)
    assert told["learning"].trained / told["merges"].read == pytest.approx(pairs / probes, rel=1e-3)


def test_too_few_items_are_named(tiny, tmp_path: Path) -> None:
    asked = study(tiny, pairs=4000, methods=("linear",), mixtures=("equal",), seeds=1)
    with pytest.raises(DataError, match="too few pairs for the axis honest"):
        run(asked, out=tmp_path / "run", store=Store(tmp_path / "store"))
