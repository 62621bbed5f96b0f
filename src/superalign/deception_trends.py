"""What goes with what over the cells of a deception study: the gap, the monitors, the labels that may help."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from superalign import deception as formulas
from superalign.deception import HALF, Case
from superalign.deception_cases import Cases, FloatArray
from superalign.deception_result import Conflict, Labelled, Mitigation, Trend
from superalign.metric import Bounds
from superalign.metric import interval as of_replicates
from superalign.result import Interval
from superalign.scoring import interval


def gap_trends(cases: Cases) -> Iterator[Trend]:
    """Yield how the score and its lift go with the gap over pairs of models, for each conflict."""
    gaps = [cases.gap(*pair) for pair in cases.pairs]
    x, xs = np.array([gap.mean() for gap in gaps]), np.stack([cases.bootstrap.means(gap) for gap in gaps])
    for conflict in cases.evidence.conflicts:
        mine = [cases.case(*pair, "weak", conflict) for pair in cases.pairs]
        found = [formulas.scored(case, cases.threshold, cases.groups) for case in mine]
        score = np.array([one.score.value if one.score else np.nan for one in found])
        base = np.array([one.open_base or np.nan for one in found])
        for name, y, replicates in (
            ("score", score, formulas.score_replicates),
            ("open_lift", score / base, formulas.open_lift_replicates),
        ):
            ys = np.stack([replicates(case, cases.threshold, cases.bootstrap) for case in mine])
            rho = formulas.rank_trend(x, y, xs, ys)
            yield Trend(of=name, on="gap", conflict=conflict, rho=bounded(rho), cells=int(np.isfinite(y).sum()))


def monitor_trends(cases: Cases) -> Iterator[Trend]:
    """Yield how the rate of blind spots goes with each monitor, over all students that weak models taught."""
    blind, watched, replicates = list[FloatArray](), list[formulas.Watch](), list[dict[str, formulas.FloatArray]]()
    for weak, strong in cases.pairs:
        for labelled in (kind for kind in cases.kinds if kind != "truth"):
            for conflict in cases.conflicts:
                supervisor, student = cases.weak[weak], cases.student(weak, strong, labelled, conflict)
                wrong = formulas.blind_spots(cases.true(supervisor), cases.true(student), *cases.evidence.blind)
                blind.append(wrong.astype(np.float64))
                watched.append(formulas.watch(supervisor, student))
                replicates.append(formulas.watch_replicates(supervisor, student, cases.bootstrap))
    y, ys = np.array([one.mean() for one in blind]), np.stack([cases.bootstrap.means(one) for one in blind])
    for place, name in enumerate(formulas.Watch._fields):
        x = np.array([one[place] for one in watched])
        rho = formulas.rank_trend(x, y, np.stack([one[name] for one in replicates]), ys)
        yield Trend(of="blind_spot", on=name, conflict=None, rho=bounded(rho), cells=len(y))


def mitigations(cases: Cases) -> Iterator[Mitigation]:
    """Yield what other labels change against the weak ones, mean over pairs of models, paired."""
    for labelled in (kind for kind in cases.kinds if kind != "weak"):
        for conflict in cases.evidence.conflicts:
            two = [(cases.case(*p, labelled, conflict), cases.case(*p, "weak", conflict)) for p in cases.pairs]
            change, pairs = _score_change(cases, two)
            yield Mitigation(
                labels=labelled,
                conflict=conflict,
                change=bounded(change),
                tax=_mean_change(cases, [(_taxed(a), _taxed(b)) for a, b in two]),
                accuracy=_mean_change(cases, [(_right(a), _right(b)) for a, b in two]),
                kept=_kept(cases, labelled, conflict),
                pairs=pairs,
            )


def bounded(bounds: Bounds | None) -> Interval | None:
    """Return bounds as they stand in a result, where there are any."""
    return None if bounds is None else interval(bounds)


def _score_change(cases: Cases, two: list[tuple[Case, Case]]) -> tuple[Bounds | None, int]:
    values, replicates = list[float](), list[FloatArray]()
    for pair in two:
        a, b = (formulas.scored(case, cases.threshold, cases.groups).score for case in pair)
        if a is not None and b is not None:
            values.append(a.value - b.value)
            drawn = [formulas.score_replicates(case, cases.threshold, cases.bootstrap) for case in pair]
            replicates.append(np.asarray(drawn[0] - drawn[1], dtype=np.float64))
    if not values:
        return None, 0
    return of_replicates(float(np.mean(values)), np.mean(replicates, axis=0)), len(values)


def _mean_change(cases: Cases, two: list[tuple[FloatArray, FloatArray]]) -> Interval:
    return interval(cases.bootstrap.mean(np.mean([a - b for a, b in two], axis=0)))


def _taxed(case: Case) -> FloatArray:
    return formulas.conflict_tax(case.before, case.after).astype(np.float64)


def _right(case: Case) -> FloatArray:
    return np.asarray(case.after > HALF, dtype=np.float64)


def _kept(cases: Cases, labelled: Labelled, conflict: Conflict) -> float:
    mine = [one for key, cells in cases.cells.items() if key[2:] == (labelled, conflict) for one in cells]
    found = {(one.labels.key, one.seed): one for one in mine}
    return float(np.mean([one.kept / one.n for one in map(cases.quality, found.values())]))
