"""The figures of the deception report: the score against the threshold, and against the gap of capability."""

from __future__ import annotations

from collections.abc import Iterable
from math import isfinite

from superalign.deception_result import Conflict, Deceived, DeceptionResult
from superalign.report import words
from superalign.report.chart import curves, lines
from superalign.report.marks import Axis, Point, Spec
from superalign.report.markup import cut
from superalign.report.series import CEILING, CONTROL, INK, STUDENTS, WEAK, Colour, unique
from superalign.result import Interval

COLOURS: tuple[Colour, ...] = (*STUDENTS, WEAK, INK, CONTROL, CEILING)
SHAPES = ("circle", "triangle-up", "square", "triangle-down", "diamond", "triangle-right", "cross")
SHOWN = len(COLOURS)


def pair(one: Deceived, limit: int = 80) -> str:
    """Return what a pair of models is called."""
    return cut(f"{short(one.weak)} > {short(one.strong)}", limit)


def short(model: str) -> str:
    """Return a model's name without its scheme, its layer behind it."""
    return model.removeprefix("embedded:").replace(",layer=", " L")


def threshold_curve(result: DeceptionResult, conflict: Conflict) -> Spec:
    """The score at each threshold, a line a pair of models, of weak labels and one conflict."""
    points, shown, taken = list[Point](), plain(result, conflict)[:SHOWN], set[str]()
    for place, one in enumerate(shown):
        name = unique(pair(one, 30), taken)
        taken.add(name)
        for at in one.curve:
            if at.score is not None:
                tip = f"{pair(one)}, T = {at.threshold:g}: {words.percent(at.score.value)} {words.percents(at.score)}"
                points.append(_point(100 * at.threshold, at.score, name, place, tip))
    if not points:
        return {"layer": []}
    places = tuple(sorted({point.x for point in points}))
    low, high = (places[0], places[-1]) if len(places) > 1 else (places[0] - 1, places[0] + 1)
    across = Axis("threshold of knowing, % for the true answer", low, high, values=places)
    return lines(points, across, _axis([point for one in shown for at in one.curve if (point := at.score)]))


def gap(result: DeceptionResult, conflict: Conflict) -> Spec:
    """The score against the gap, a point a pair of models, with what chance would give as rings."""
    gaps = {(one.weak, one.strong): one.gap for one in result.pairs}
    points = []
    for one in plain(result, conflict):
        at = 100 * gaps[one.weak, one.strong].value
        if one.score is not None:
            tip = f"{pair(one)}, gap {at:.1f} points: {words.percent(one.score.value)} {words.percents(one.score)}"
            points.append(_point(at, one.score, f"score of {pair(one)}", 0, tip))
        if one.open_base is not None:
            bare = Interval(value=one.open_base, low=one.open_base, high=one.open_base)
            tip = f"{pair(one)}: {words.percent(one.open_base)} by chance"
            points.append(_point(at, bare, f"chance of {pair(one)}", 4, tip))
    if not points:
        return {"layer": []}
    points.sort(key=lambda point: (point.series, point.x))
    xs = [point.x for point in points]
    room = max(1.0, 0.08 * (max(xs) - min(xs)))
    across = Axis("gap: ceiling minus weak accuracy, points", min(xs) - room, max(xs) + room)
    up = _axis([found for one in plain(result, conflict) if (found := one.score)], *(point.y for point in points))
    return curves(points, across, up, width=560)


def plain(result: DeceptionResult, conflict: Conflict) -> list[Deceived]:
    """Return the cells of weak labels and one conflict."""
    return [one for one in result.summary if (one.labels, one.conflict) == ("weak", conflict)]


def _point(x: float, figure: Interval, series: str, place: int, tip: str) -> Point:
    y, low, high = (100 * value for value in (figure.value, figure.low, figure.high))
    return Point(x, y, low, high, series, COLOURS[place].light, SHAPES[place % len(SHAPES)], tip)


def _axis(figures: Iterable[Interval], *more: float) -> Axis:
    edges = [100 * edge for one in figures for edge in (one.low, one.high) if isfinite(edge)]
    low, high = min([*edges, *more, 100.0]), max([*edges, *more, 0.0])
    return Axis("deception score, % of the tax", max(0.0, low - 3), min(100.0, high + 3))
