"""The figures of the label-noise report: accuracy, and the difference from the first method, against the noise rate."""

from __future__ import annotations

from collections.abc import Iterable
from math import isfinite

from superalign.noise_result import LabelNoiseResult, NoiseSummary
from superalign.noise_verdict import written
from superalign.report import words
from superalign.report.chart import lines
from superalign.report.figures import ACCURACY
from superalign.report.marks import Axis, Point, Rule, Spec
from superalign.report.markup import cut
from superalign.report.series import CONTROL, INK, STUDENTS, WEAK, Series
from superalign.result import Interval

COLOURS = (INK, *STUDENTS, WEAK, CONTROL)  # the first method is the one that others are compared with
SHAPES = ("circle", "triangle-up", "square", "triangle-down", "diamond", "triangle-right", "cross")
SHOWN = len(COLOURS)
Who = dict[str, Series]


def who(result: LabelNoiseResult) -> Who:
    """Return how each objective is drawn: alike in all figures, whatever filtered its labels."""
    names = list(dict.fromkeys(one.objective for one in result.summary))
    found: Who = {}
    for place, name in enumerate(names):
        look = place % SHOWN
        found[name] = Series("student", name, cut(name, 26), COLOURS[look], SHAPES[look])
    return found


def drawn(result: LabelNoiseResult, after: str | None) -> list[NoiseSummary]:
    """Return what is drawn of one filter's methods: all, or the first and those that score best at the highest rate."""
    mine = [one for one in result.summary if one.filter == after]
    worst = max(result.rates)
    ranked = sorted((one for one in mine if one.rate == worst), key=lambda one: -one.accuracy.value)
    names = [mine[0].method, *(one.method for one in ranked if one.method != mine[0].method)][:SHOWN]
    return [one for one in mine if one.method in names]


def accuracy(result: LabelNoiseResult, after: str | None, book: Who) -> Spec:
    """Accuracy of the methods of one filter at each rate."""
    points = [_point(one, one.accuracy, words.percent(one.accuracy.value), book) for one in drawn(result, after)]
    every = [one.accuracy for one in result.summary]
    guess = Rule(100 * result.guess, "commonest class")
    return lines(points, _rates(result), _axis(ACCURACY, every, (0.0, 100.0), guess.at), level=guess)


def differences(result: LabelNoiseResult, after: str | None, book: Who) -> Spec:
    """Difference of accuracy from the first method at each rate."""
    first, points = result.methods[0], []
    known = {(test.a, test.rate): test for test in result.tests}
    for one in drawn(result, after):
        if one.method != first:
            test = known[one.method, one.rate]
            said = f"{words.points(test.difference)} points, p (Holm) {words.p_value(test.p_holm)}"
            points.append(_point(one, test.difference, said, book))
    axis = _axis("difference of accuracy, points", [test.difference for test in result.tests], (-100.0, 100.0), 0.0)
    return lines(points, _rates(result), axis, level=Rule(0, "no difference"))


def _point(one: NoiseSummary, figure: Interval, said: str, book: Who) -> Point:
    drawn = book[one.objective]
    tip = f"{cut(one.method, 60)}, {written(one.rate)} wrong labels: {said}"
    y, low, high = (100 * value for value in (figure.value, figure.low, figure.high))
    return Point(100 * one.rate, y, low, high, drawn.label, drawn.colour.light, drawn.shape, tip)


def _rates(result: LabelNoiseResult) -> Axis:
    rates = [100 * rate for rate in sorted(result.rates)]
    low, high = (rates[0], rates[-1]) if len(rates) > 1 else (rates[0] - 1, rates[0] + 1)
    return Axis("wrong labels, %", low, high, values=tuple(rates))


def _axis(title: str, figures: Iterable[Interval], ends: tuple[float, float], *more: float) -> Axis:
    """Return an axis that holds all figures of the study, so that figures of different filters can be compared."""
    edges = [100 * edge for one in figures for edge in (one.value, one.low, one.high) if isfinite(edge)]
    low, high = min([*edges, *more]), max([*edges, *more])
    room = max(1.0, 0.06 * (high - low))
    return Axis(title, max(ends[0], low - room), min(ends[1], high + room))
