"""What moves with size, and which method is better over tasks: rules on the cells of a grid."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import combinations

import numpy as np

from superalign.evaluation import FEW_METHODS
from superalign.metric import holm
from superalign.rank_tests import SAME, mean_over, rank_correlation, signed_rank
from superalign.result import Interval
from superalign.scaling_result import (
    Against,
    Figure,
    Finding,
    MethodSummary,
    MethodTest,
    ScalingCell,
    SizeFacts,
    Trend,
)
from superalign.scoring import interval

ACROSS: dict[Against, str] = {
    "ceiling": "weak",
    "parameters of the strong model": "weak",
    "weak accuracy": "strong",
}
"""What a trend is over, and which model stays the same along a ladder."""
FIGURES: tuple[Figure, ...] = ("accuracy", "PGR")
WIDE = (-float("inf"), float("inf"))


def summarised(cells: Sequence[ScalingCell]) -> list[MethodSummary]:
    """Return each method over the grid."""
    found = []
    for method, mine in _by_method(cells).items():
        known = [(one.task, one.pgr.value) for one in mine if one.pgr]
        mean = mean_over(known, WIDE)
        found.append(
            MethodSummary(
                method=method,
                cells=len(mine),
                defined=len(known),
                pgr=interval(mean) if mean else None,
                median=float(np.median([value for _, value in known])) if known else None,
                above=sum(one.gain.low > 0 for one in mine),
                below=sum(one.gain.high < 0 for one in mine),
            )
        )
    return found


def trends(cells: Sequence[ScalingCell], sizes: Sequence[SizeFacts]) -> list[Trend]:
    """Return, of each method, whether accuracy and PGR move with the ceiling, the parameters and the supervisor."""
    parameters = {size.model: size.parameters for size in sizes}
    size_of: dict[Against, Callable[[ScalingCell], float | None]] = {
        "ceiling": lambda cell: cell.ceiling_accuracy.value,
        "parameters of the strong model": lambda cell: parameters[cell.strong],
        "weak accuracy": lambda cell: cell.weak_accuracy.value,
    }
    return [
        _trend(method, figure, against, mine, size_of[against])
        for method, mine in _by_method(cells).items()
        for figure in FIGURES
        for against in ACROSS
    ]


def _trend(
    method: str,
    figure: Figure,
    against: Against,
    cells: Sequence[ScalingCell],
    size: Callable[[ScalingCell], float | None],
) -> Trend:
    """Correlate ranks along each ladder: cells of one task that share the other model."""
    ladders: dict[tuple[str, str], list[ScalingCell]] = {}
    for cell in cells:
        ladders.setdefault((cell.task, getattr(cell, ACROSS[against])), []).append(cell)
    found = list[tuple[str, float]]()
    for (task, _), steps in ladders.items():
        points = [(x, y) for step in steps if (x := size(step)) is not None and (y := _value(step, figure)) is not None]
        rho = rank_correlation(*zip(*points, strict=True)) if points else None
        if rho is not None:
            found.append((task, rho))
    tasks = len({task for task, _ in found})
    bounds = mean_over(found, (-1.0, 1.0))
    whole = interval(bounds) if bounds else None
    return Trend(
        method=method,
        figure=figure,
        against=against,
        rho=float(np.mean([rho for _, rho in found])) if found else None,
        interval=whole,
        ladders=len(found),
        left_out=len(ladders) - len(found),
        tasks=tasks,
        finding=judged(whole),
    )


def judged(rho: Interval | None) -> Finding:
    """Return what an interval of rho carries: a direction only where it leaves out 0."""
    if rho is None:
        return "not testable"
    if rho.low > 0:
        return "rises"
    return "cannot be told" if rho.high >= 0 else "falls"


def compared(cells: Sequence[ScalingCell]) -> list[MethodTest]:
    """Test every two of few methods over the tasks that both can learn, or every other of many against the first."""
    by_task = {method: _by_task(mine) for method, mine in _by_method(cells).items()}
    names = list(by_task)
    few = len(names) <= FEW_METHODS
    pairs = [(b, a) for a, b in combinations(names, 2)] if few else [(name, names[0]) for name in names[1:]]
    pairs = [(a, b) for a, b in pairs if by_task[a].keys() & by_task[b].keys()]
    each = [_differences(by_task[a], by_task[b]) for a, b in pairs]
    tested = [signed_rank(one) for one in each]
    corrected = holm([one.p for one in tested])
    return [
        MethodTest(
            a=a,
            b=b,
            tasks=len(differences),
            wins=one.wins,
            losses=one.losses,
            ties=one.ties,
            difference=float(np.mean(differences)),
            shift=interval(one.shift) if one.shift else None,
            p=one.p,
            p_holm=p_holm,
            least_p=one.least_p,
        )
        for (a, b), differences, one, p_holm in zip(pairs, each, tested, corrected, strict=True)
    ]


def _differences(a: dict[str, float], b: dict[str, float]) -> list[float]:
    return [0.0 if abs(a[task] - b[task]) <= SAME else a[task] - b[task] for task in a if task in b]


def _by_task(cells: Sequence[ScalingCell]) -> dict[str, float]:
    """Return the mean accuracy over the pairs of models of each task; there, every method has the same pairs."""
    found: dict[str, list[float]] = {}
    for cell in cells:
        found.setdefault(cell.task, []).append(cell.accuracy.value)
    return {task: float(np.mean(values)) for task, values in found.items()}


def _by_method(cells: Sequence[ScalingCell]) -> dict[str, list[ScalingCell]]:
    found: dict[str, list[ScalingCell]] = {}
    for cell in cells:
        found.setdefault(cell.method, []).append(cell)
    return found


def _value(cell: ScalingCell, figure: Figure) -> float | None:
    if figure == "accuracy":
        return cell.accuracy.value
    return cell.pgr.value if cell.pgr else None
