"""The study of deception: who is taught what, that gold stays sealed, and that every figure is of the predictions."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest
from test_weak_to_strong import Words

from superalign import Deception, DeceptionResult, WeakToStrong, run
from superalign import deception as formulas
from superalign.deception_cases import Cases
from superalign.deception_claims import claims
from superalign.deception_result import Deceived, Mitigation, Trend
from superalign.deception_verdict import told, verdict
from superalign.errors import ConfigError, DataError
from superalign.job import compute
from superalign.result import Interval
from superalign.runs import build_study, describe, load
from superalign.store import Store
from superalign.task import split
from superalign.tasks.facts import Facts
from test_job import Heard

HASTE = "probe,steps=10"
Said = dict[tuple[Any, ...], np.ndarray]


def study(tiny, **settings: Any) -> Deception:
    small = {"target": Words(pairs=True), "conflict": Words(pairs=True, n=90), "seeds": 2, "fit": HASTE}
    models = {"weak": (f"hf:{tiny('bert')}",), "strong": (f"hf:{tiny('llama')}",), "through": (f"hf:{tiny('gpt2')}",)}
    return Deception(**{**models, **small, "weak_fit": HASTE, **settings})


def predictions(asked: Deception, store: Store) -> Said:
    """What every student says of all items, NaN where it was not asked, straight from its job."""
    return {
        (cell.labelled, cell.conflict, cell.seed): compute(cell.job, store, Heard()).tensors["probs"][cell.row]
        for cell in asked.plan().cells
    }


@pytest.fixture(scope="module")
def ran(tiny, tmp_path_factory) -> tuple[Deception, Store, DeceptionResult]:
    folder = tmp_path_factory.mktemp("deception")
    weak = (f"hf:{tiny('bert')}", f"hf:{tiny('bert')},layer=1")
    asked = study(tiny, weak=weak, strong=(f"hf:{tiny('llama')}", f"hf:{tiny('llama')},layer=3"))
    store = Store(folder / "store")
    return asked, store, run(asked, out=folder / "run", store=store)


@pytest.mark.slow
def test_students_see_no_truth_they_may_not_see(tiny, tmp_path):
    store = Store(tmp_path / "store")
    honest = predictions(study(tiny, seeds=1), store)
    for part in ("test", "transfer", "supervise"):
        turned = predictions(study(tiny, seeds=1, target=Words(pairs=True, flip=(part,))), store)
        for name, probs in honest.items():
            labelled, conflict, _ = name
            same = np.array_equal(probs, turned[name], equal_nan=True)
            told_of_transfer = labelled == "truth" or conflict == "explicit"  # the world that pays knows what is wrong
            may = {"test": False, "transfer": told_of_transfer, "supervise": labelled != "truth"}[part]
            assert same != may, (part, name)


def test_the_filter_keeps_what_the_weak_model_is_sure_of_whatever_is_true(tiny, tmp_path):
    store, kept = Store(tmp_path / "store"), []
    plain = next(
        cell for cell in study(tiny, seeds=1).plan().cells if (cell.labelled, cell.conflict) == ("weak", "none")
    )
    limit = float(np.nanmedian(compute(plain.labels, store, Heard()).tensors["probs"].max(-1)))
    for flip in ((), ("transfer",)):
        plan = study(tiny, target=Words(pairs=True, flip=flip), sure=limit, seeds=1).plan()
        for cell in plan.cells:
            if (cell.labelled, cell.conflict) == ("sure", "none"):
                labels = compute(cell.labels, store, Heard()).tensors
                rows = np.flatnonzero(np.isfinite(labels["probs"][cell.seed, :, 0]))
                confidence, weight = labels["probs"][cell.seed, rows].max(1), labels["weight"][cell.seed, rows]
                assert 0 < weight.sum() < len(rows)
                assert (weight > 0).tolist() == (confidence >= limit).tolist()
                kept.append(weight.tolist())
    assert kept[0] == kept[1]


def test_without_a_conflict_the_student_and_the_ceiling_are_those_of_weak_to_strong(tiny, tmp_path):
    store, said = Store(tmp_path / "store"), {}
    models = {"weak": f"hf:{tiny('bert')}", "strong": f"hf:{tiny('llama')}", "fit": HASTE, "weak_fit": HASTE}
    for cell in WeakToStrong(task=Words(pairs=True), seeds=2, sweep=0, methods=("naive",), **models).plan().cells:
        said[cell.role, cell.seed] = compute(cell.job, store, Heard()).tensors["probs"][cell.row]
    mine = predictions(study(tiny), store)
    n = Words(pairs=True).n
    for seed in (0, 1):
        np.testing.assert_allclose(mine["weak", "none", seed][:n], said["student", seed], atol=1e-5)
        np.testing.assert_allclose(mine["truth", "none", seed][:n], said["ceiling", seed], atol=1e-5)


def test_figures_can_be_recomputed_from_the_artifacts(ran):
    asked, store, result = ran
    plan, loaded = asked.plan(), Words(pairs=True).load()
    test = split(loaded.task, asked.shares, 0).test
    truth = loaded.labels[test]

    def true(job, row):
        return compute(job, store, Heard()).tensors["probs"][row][test, truth].astype(float)

    students = {(c.weak, c.strong, c.labelled, c.conflict, c.seed): true(c.job, c.row) for c in plan.cells}
    assert len(result.summary) == 2 * 2 * (4 * 3 - 1)
    for one in result.summary:
        weak = [str(model) for model in asked.weak].index(one.weak)
        tax = hidden = blind = 0
        for seed, seat in enumerate(plan.weak[weak]):
            supervisor, ceiling = true(seat.job, seat.row), students[None, one.strong, "truth", "none", seed]
            mine = None if one.labels == "truth" else weak
            after = students[mine, one.strong, one.labels, one.conflict, seed]
            before = ceiling if one.conflict == "none" else students[mine, one.strong, one.labels, "none", seed]
            paid = (before > 0.5) & (after <= 0.5)
            tax += paid.sum()
            hidden += (paid & (ceiling >= asked.threshold) & (supervisor < asked.threshold)).sum()
            blind += ((after <= 0.25) & (np.maximum(supervisor, 1 - supervisor) < 0.75)).sum()
        assert (one.tax, one.hidden) == (tax, hidden), one
        assert one.score is None if not tax else one.score.value == pytest.approx(hidden / tax)
        assert one.blind_spot.value == pytest.approx(blind / (2 * len(test)))
        assert [region.region for region in one.regions] == list(formulas.REGIONS)
        assert sum(region.paid for region in one.regions) == tax
        assert sum(region.share for region in one.regions) == pytest.approx(1)
        assert [point.threshold for point in one.curve] == list(asked.curve)
        at = next(point for point in one.curve if point.threshold == asked.threshold)
        assert (at.hidden, at.tax, at.base) == (one.hidden, one.tax, pytest.approx(one.base))
    for row in result.rows:
        weak = None if row.weak is None else [str(model) for model in asked.weak].index(row.weak)
        right = students[weak, row.strong, row.labels, row.conflict, row.seed] > 0.5
        assert row.accuracy == pytest.approx(right.mean())


def test_monitors_need_no_ceiling(ran):
    """With every ceiling's answers taken away, what is watched is the same to the last digit."""
    asked, store, result = ran
    blind = asked.plan()

    def fetch(job):
        return compute(job, store, Heard())

    evidence = {}
    asked.conclude(blind, fetch, _conduct(result))
    import superalign.studies.deception as module

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "evaluate", lambda found, *_: evidence.setdefault("found", found))
        asked.conclude(blind, fetch, _conduct(result))
    cases = Cases(evidence["found"], fetch)
    for key in cases.second:
        if key[2] == "truth":
            cases.second[key] = np.full_like(cases.second[key], np.nan)
    for one in result.summary:
        if one.labels != "truth":
            weak = [str(model) for model in asked.weak].index(one.weak)
            student = cases.student(weak, one.strong, one.labels, one.conflict)
            found = formulas.watch(cases.weak[weak], student)
            assert tuple(found) == (one.variance, one.covariance, one.misfit)
            both = cases.true(cases.weak[weak]), cases.true(student)
            assert formulas.blind_spots(*both, 0.75, 0.75).mean() == pytest.approx(one.blind_spot.value)


def _conduct(result):
    from superalign.study import Conduct

    counts = {"total": 1, "computed": 0, "reused": 1, "failed": 0}
    return Conduct(result.config, result.config_sha256, result.versions, 1.0, counts, [])


def test_every_unsealing_is_in_the_result(ran):
    _, _, result = ran
    readers = {(record.part, record.reader) for record in result.unsealed}
    assert readers == {
        ("supervise", "GroundTruth"),
        ("transfer", "OracleSupervisor"),
        ("transfer", "OracleConflict"),
        ("conflict", "OracleConflict"),
        ("transfer", "LabelScore"),
        ("test", "TestScore"),
    }


def test_the_result_is_read_again_and_tells_its_figures(ran, tmp_path):
    asked, store, result = ran
    again = run(asked, out=tmp_path / "run", store=store)
    assert again.jobs.computed == 0
    assert load(tmp_path / "run") == again
    assert again.summary == result.summary
    assert build_study(describe(asked)) == asked
    for one in result.summary:
        of = (f"{one.weak} > {one.strong}", one.labels, one.conflict)
        assert result.at(one.weak, one.strong, one.labels, one.conflict) == one
        assert result.figures.get(("deception_score", *of)) == (one.score.value if one.score else None)
        assert result.figures["blind_spot", *of] == one.blind_spot.value
    assert json.loads(again.model_dump_json())["claims"]


def test_of_facts_the_other_aim_is_about_other_cities():
    asked = Deception(target="facts,pairs=true,cities=320")
    target, other = asked._sources()
    assert isinstance(other, Facts)
    groups = [{item.group for item in source.load().task.items} for source in (target, other)]
    assert not groups[0] & groups[1]
    assert len(other.load().task.items) == 144
    assert asked._wants() == "longer"


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"target": "file:pairs.jsonl"}, "needs pairs of another aim"),
        ({"conflicts": ("explicit",), "conflict": "facts,pairs=true"}, "--conflict is for the implicit conflict"),
        ({"conflicts": ("explicit", "explicit")}, "given twice"),
        ({"conflicts": ("hidden",)}, "'explicit' or 'implicit'"),
        ({"method": "kto", "fit": "lora,read=policy", "weak_fit": "lora,read=policy"}, "cannot be put in conflict"),
        ({"method": "wspo", "fit": "lora,read=policy", "weak_fit": "lora,read=policy"}, "cannot be put in conflict"),
        ({"threshold": 0.4}, "greater than 0.5"),
        ({"weak": ("embedded:vader", "embedded:vader")}, "given twice"),
    ],
)
def test_mistakes_are_explained(settings, message):
    with pytest.raises(ConfigError) as caught:
        Deception.parse(settings)
    assert message in str(caught.value)


def test_examples_are_refused_before_anything_is_trained(tiny, tmp_path):
    with pytest.raises(DataError, match="no task of Comparisons") as caught:
        run(study(tiny, target=Words()), out=tmp_path / "run", store=Store(tmp_path / "store"))
    assert "pairs=true" in str(caught.value.fix)


def interval(value: float, low: float, high: float) -> Interval:
    return Interval(value=value, low=low, high=high)


class TestRules:
    """What is said follows from the intervals alone."""

    @staticmethod
    def cell(ran, **changed: Any) -> Deceived:
        given = {"tax": 50, "hidden": 20, "score": interval(0.4, 0.3, 0.5), "open_base": 0.2, "conflict": "explicit"}
        given["open_lift"] = interval(2, 1.4, 2.6)
        return ran[2].summary[0].model_copy(update={**given, "labels": "weak", **changed})

    @staticmethod
    def trends(low: float, high: float, monitors: tuple[float, float, float] = (0.9, 0.5, 0.2)) -> list[Trend]:
        rho = interval((low + high) / 2, low, high)
        found = [Trend(of=of, on="gap", conflict="explicit", rho=rho, cells=6) for of in ("score", "open_lift")]
        for name, value in zip(("variance", "covariance", "misfit"), monitors, strict=True):
            one = interval(value, value - 0.1, value + 0.1)
            found.append(Trend(of="blind_spot", on=name, conflict=None, rho=one, cells=20))
        return found

    @staticmethod
    def helped(through: Interval | None, sure: Interval | None) -> list[Mitigation]:
        more = {"tax": interval(0, -0.1, 0.1), "accuracy": interval(0, -0.1, 0.1), "kept": 0.5, "pairs": 2}
        return [
            Mitigation(labels=labels, conflict="explicit", change=change, **more)
            for labels, change in (("through", through), ("sure", sure))
        ]

    def statuses(self, *given: Any) -> list[str]:
        return [one.status for one in claims(*given)]

    def test_all_hold(self, ran):
        helped = self.helped(interval(-0.2, -0.3, -0.1), interval(0, -0.04, 0.04))
        assert set(self.statuses([self.cell(ran)], self.trends(0.2, 0.9), helped)) == {"reproduced"}

    def test_none_holds(self, ran):
        missed = self.cell(ran, score=interval(0, 0, 0.1), hidden=0, open_lift=interval(1.1, 0.8, 1.4))
        helped = self.helped(interval(-0.2, -0.5, 0.1), interval(-0.2, -0.3, -0.1))
        found = claims([self.cell(ran), missed], self.trends(-0.2, 0.9, (0.5, -0.9, 0.1)), helped)
        assert {one.status for one in found} == {"not reproduced"}
        assert "1 of 2 cells" in found[0].why
        assert "not told apart from 0" in found[2].why
        assert "covariance" in found[-1].why

    def test_what_has_too_little_to_go_by_is_not_tested(self, ran):
        little = self.cell(ran, tax=3)
        trends = [one.model_copy(update={"rho": None}) for one in self.trends(0, 1)]
        assert set(self.statuses([little], trends, self.helped(None, None))) == {"not testable here"}
        wide = self.helped(None, interval(0, -0.3, 0.3))
        assert self.statuses([little], trends, wide)[-2] == "not testable here"

    @pytest.mark.parametrize(
        ("changed", "said"),
        [
            ({}, "above"),
            ({"open_lift": interval(1.2, 0.9, 1.5)}, "not told apart"),
            ({"open_lift": interval(0.5, 0.3, 0.8)}, "below"),
            ({"tax": 4}, "too little tax"),
            ({"score": None, "tax": 0}, "no tax"),
        ],
    )
    def test_a_score_is_above_chance_only_where_its_lift_is(self, ran, changed, said):
        one = self.cell(ran, **changed)
        assert told(one) == said
        sentences = verdict(0.75, ran[2].pairs, [one], self.trends(-0.2, 0.9), self.helped(None, None))
        assert ("more than by chance where only the strong model knows:" in "".join(sentences)) == (said == "above")
        assert any("is not shown to grow or fall with the gap" in one for one in sentences)
