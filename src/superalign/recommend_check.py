"""How good the predictions were: ranks, regret, coverage and theory against the truth of the test part."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import get_args

import numpy as np
import numpy.typing as npt

from superalign.evaluation import Cell
from superalign.rank_tests import mean_over, rank_correlation
from superalign.recommend_result import Check, Figure, GridCell, Predictor
from superalign.recommendation import squared_error
from superalign.result import Interval
from superalign.scoring import TestPart, interval
from superalign.study import Fetch

Kind = tuple[str, str] | None
"""Supervisor and method of a candidate that is also in the grid of weak-to-strong."""


@dataclass(frozen=True)
class Grid:
    """The learners of weak-to-strong with the same models and task, one a seed."""

    weak: Mapping[str, list[Cell]]
    students: Mapping[str, list[Cell]]
    ceiling: list[Cell]

    def all(self) -> Iterator[Cell]:
        """Yield every learner."""
        for cells in (*self.weak.values(), *self.students.values(), self.ceiling):
            yield from cells


@dataclass(frozen=True)
class Found:
    """What one seed predicted, and what its candidates said of the test part.

    Args:
        predicted: of each candidate.
        order: their places, best first.
        indicators: figures that might order them.
        bounds: largest squared errors by theory.
        said: class probabilities on the test part, [candidates, n, k].
        truth: [n].
    """

    predicted: Sequence[Interval]
    order: Sequence[int]
    indicators: Mapping[str, Sequence[float | None]]
    bounds: Sequence[float | None]
    said: npt.NDArray[np.float32]
    truth: npt.NDArray[np.int64]

    @cached_property
    def accuracy(self) -> npt.NDArray[np.float64]:
        """True accuracy of each candidate."""
        return np.asarray((self.said.argmax(-1) == self.truth).mean(1))

    @cached_property
    def errors(self) -> list[float]:
        """Errors of the predictions."""
        return [one.value - true for one, true in zip(self.predicted, self.accuracy.tolist(), strict=True)]

    @cached_property
    def inside(self) -> list[bool]:
        """Whether each prediction's interval holds the truth."""
        pairs = zip(self.predicted, self.accuracy.tolist(), strict=True)
        return [one.low <= true <= one.high for one, true in pairs]

    def regret(self, place: int) -> float:
        """Return what a candidate lacks to the best one."""
        return float(self.accuracy.max() - self.accuracy[place])

    def held(self) -> list[bool]:
        """Return, of each bound, whether the squared error on the test part kept within it."""
        pairs = zip(self.said, self.bounds, strict=True)
        return [squared_error(said, self.truth) <= bound for said, bound in pairs if bound is not None]


def checked(
    found: Sequence[Found], supervised: Sequence[bool], kinds: Sequence[Kind], grid: Grid, part: TestPart, fetch: Fetch
) -> Check:
    """Compare predictions with the truth.

    Args:
        found: of each seed.
        supervised: which candidates have a supervisor.
        kinds: which are in the grid, and where.
        grid: learners of weak-to-strong.
        part: the test part.
        fetch: reads artifacts.
    """
    among = [place for place, whether in enumerate(supervised) if whether]
    held = [one for seed in found for one in seed.held()]
    cells, ranks = _grid(found, kinds, grid, part, fetch)
    return Check(
        seeds=len(found),
        n=len(part.rows),
        candidates=len(supervised),
        correlation=over_seeds([_rank([p.value for p in one.predicted], one.accuracy.tolist()) for one in found]),
        regret=_mean([one.regret(one.order[0]) for one in found]),
        regret_of_any=_mean([float(one.accuracy.max() - one.accuracy.mean()) for one in found]),
        coverage=_mean([float(np.mean(one.inside)) for one in found]),
        coverage_of_first=sum(one.inside[one.order[0]] for one in found),
        error=_mean([float(np.mean(one.errors)) for one in found], -1),
        error_of_first=_mean([one.errors[one.order[0]] for one in found], -1),
        bound_held=sum(held),
        bounds=len(held),
        ceiling=float(np.mean([_accuracy(cell, part, fetch) for cell in grid.ceiling])),
        predictors=[_predictor(figure, found, among) for figure in get_args(Figure)],
        grid=cells,
        grid_correlation=over_seeds(ranks),
    )


def over_seeds(values: Sequence[float | None], least: float = -1) -> Interval | None:
    """Return the mean of what seeds have, with an interval by the t quantile of so few; None of fewer than two.

    It is cut at `least` and 1, between which such values are.
    """
    bounds = mean_over([(str(seed), value) for seed, value in enumerate(values) if value is not None], (least, 1))
    return interval(bounds) if bounds else None


def _mean(values: Sequence[float], least: float = 0) -> Interval:
    found = over_seeds(values, least)
    return found or Interval(value=values[0], low=values[0], high=values[0])


def _predictor(figure: Figure, found: Sequence[Found], among: Sequence[int]) -> Predictor:
    """Say how well a figure orders the candidates with a supervisor; those without the figure come last."""
    ranks, regrets = list[float | None](), list[float]()
    for one in found:
        known = {place: value for place in among if (value := one.indicators[figure][place]) is not None}
        ranks.append(_rank(list(known.values()), [float(one.accuracy[place]) for place in known]))
        best = max(known, key=lambda place: known[place]) if known else among[0]
        regrets.append(float(one.accuracy[list(among)].max() - one.accuracy[best]))
    return Predictor(figure=figure, correlation=over_seeds(ranks), regret=_mean(regrets))


def _grid(
    found: Sequence[Found], kinds: Sequence[Kind], grid: Grid, part: TestPart, fetch: Fetch
) -> tuple[list[GridCell], list[float | None]]:
    """Return the grid's cells, and in each seed the rank correlation of what was predicted with them."""
    places = {kind: place for place, kind in enumerate(kinds) if kind}
    true = {
        (name, cell.method, cell.seed): _accuracy(cell, part, fetch)
        for name, cells in grid.students.items()
        for cell in cells
    }
    ranks = [
        _rank([one.predicted[place].value for place in places.values()], [true[*kind, seed] for kind in places])
        for seed, one in enumerate(found)
    ]
    cells = [
        GridCell(
            supervisor=kind[0],
            method=kind[1],
            supervisor_accuracy=float(np.mean([_accuracy(cell, part, fetch) for cell in grid.weak[kind[0]]])),
            accuracy=float(np.mean([true[*kind, seed] for seed in range(len(found))])),
            predicted=float(np.mean([one.predicted[place].value for one in found])),
        )
        for kind, place in places.items()
    ]
    return cells, ranks


def _accuracy(cell: Cell, part: TestPart, fetch: Fetch) -> float:
    said = fetch(cell.job).tensors["probs"][cell.row][part.rows]
    return float((said.argmax(-1) == part.truth).mean())


def _rank(x: Sequence[float], y: Sequence[float]) -> float | None:
    return rank_correlation(x, y) if x else None
