"""The finding of the scaling study in plain sentences: nothing is claimed that its interval does not carry."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from superalign.result import Interval
from superalign.scaling_result import MethodSummary, MethodTest, ScalingCell, Trend
from superalign.verdict import CLAIM, p_value, points

SPELT_OUT = 6  # comparisons of methods; of more, only those that differ are
METHODS = 4  # of which all is said; of more, what they have in common


def verdict(
    cells: Sequence[ScalingCell],
    excluded: int,
    summary: Sequence[MethodSummary],
    trends: Sequence[Trend],
    tests: Sequence[MethodTest],
) -> list[str]:
    """Return one sentence a finding.

    Args:
        cells: of the grid.
        excluded: pairs of models that are no cells.
        summary: each method.
        trends: what moves with size.
        tests: methods against each other.
    """
    return [_setup(cells, excluded), *_recoveries(summary), *_trends(trends, len(summary)), *_methods(tests)]


def ratios(figure: Interval) -> str:
    """Write a ratio with its interval: 0.42 [0.10, 0.71]."""
    return f"{figure.value:.2f} [{figure.low:.2f}, {figure.high:.2f}]"


def trend(one: Trend) -> str:
    """Write what a trend is of: accuracy against ceiling."""
    return f"{one.figure} against {one.against}"


def _setup(cells: Sequence[ScalingCell], excluded: int) -> str:
    tasks, methods = len({one.task for one in cells}), len({one.method for one in cells})
    pairs = len({(one.weak, one.strong) for one in cells})
    out = f"; {_count(excluded, 'pair')} left out, their weak model is not the smaller one" if excluded else ""
    seeds = cells[0].seeds
    return (
        f"{_count(len(cells), 'cell')}: {_count(pairs, 'pair')} of models, {_count(tasks, 'task')}, "
        f"{_count(methods, 'method')}, {_count(seeds, 'seed')}{out}."
    )


def _recoveries(summary: Sequence[MethodSummary]) -> Iterator[str]:
    """Yield a sentence a method; of many, one of the first, and what lies between the least and the most."""
    if len(summary) <= METHODS:
        yield from map(_recovered, summary)
        return
    yield _recovered(summary[0])
    known = sorted((one.median, one.method) for one in summary if one.median is not None)
    if known:
        (low, least), (high, most) = known[0], known[-1]
        yield f"The median PGR of {len(known)} methods lies between {low:.2f} ({least}) and {high:.2f} ({most})."


def _recovered(one: MethodSummary) -> str:
    refused = one.cells - one.defined
    why = f"; in {refused} the ceiling is not above the weak model beyond noise, and none is given" if refused else ""
    mean = f", mean {ratios(one.pgr)}" if one.pgr else ""
    pgr = f" (median {one.median:.2f}{mean})" if one.median is not None else ""
    return (
        f"{one.method}: a PGR in {one.defined} of {one.cells} cells{pgr}{why}. The student is above its supervisor in "
        f"{one.above} cells and below it in {one.below}, each by its own interval."
    )


def _trends(trends: Sequence[Trend], methods: int) -> Iterator[str]:
    for finding, said in (
        ("rises", "rises"),
        ("falls", "falls"),
        ("cannot be told", "cannot be told to move"),
    ):
        mine = [one for one in trends if one.finding == finding]
        if mine:
            told = map(_rho, mine) if methods <= METHODS else _counted(mine, methods)
            yield f"What {said}, each by its own interval: {'; '.join(told)}."
    untested = [one for one in trends if one.finding == "not testable"]
    if untested:
        why = "that takes three sizes in a row on each of two tasks"
        yield f"Not testable in {len(untested)} of {len(trends)} trends: {why}."


def _rho(one: Trend) -> str:
    known = f" {ratios(one.interval)}" if one.interval else ""
    return f"{trend(one)}, {one.method}: rho{known} over {_count(one.tasks, 'task')}"


def _counted(trends: Sequence[Trend], methods: int) -> Iterator[str]:
    """Yield each trend with the number of methods that have it, and the first one's rho."""
    alike: dict[str, list[Trend]] = {}
    for one in trends:
        alike.setdefault(trend(one), []).append(one)
    for mine in alike.values():
        yield f"{_rho(mine[0])}{f' (so of {len(mine)} of {methods} methods)' if len(mine) > 1 else ''}"


def _methods(tests: Sequence[MethodTest]) -> Iterator[str]:
    apart = [test for test in tests if test.p_holm < CLAIM]
    for test in apart if len(tests) > SPELT_OUT else tests:
        yield _said(test, len(tests))
    if len(tests) > SPELT_OUT and len(apart) < len(tests):
        yield f"{len(tests) - len(apart)} of {len(tests)} comparisons cannot tell two methods apart over the tasks."


def _said(test: MethodTest, family: int) -> str:
    side = "above" if test.difference > 0 else "below"
    found = f"is {side}" if test.p_holm < CLAIM else "cannot be told from"
    corrected = f", {test.p_holm:.3f} corrected for {family}" if family > 1 else ""
    shift = f", shift {points(test.shift)}" if test.shift else ""
    least = f"; {_count(test.tasks, 'task')} can give no p below {test.least_p:.3f}" if test.least_p >= CLAIM else ""
    return (
        f"{test.a} {found} {test.b}: better on {test.wins} of {_count(test.tasks, 'task')}, worse on {test.losses}, "
        f"mean {100 * test.difference:+.1f} points{shift}; Wilcoxon p {p_value(test.p)}{corrected}{least}."
    )


def _count(n: int, noun: str) -> str:
    return f"{n:,} {noun}{'' if n == 1 else 's'}"
