"""The figures of the report, one function each: a result in, a Vega-Lite spec out."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import replace

from superalign.critic_result import CriticEvalResult
from superalign.report import words
from superalign.report.chart import curves, rows_of_dots
from superalign.report.marks import Axis, Band, Dot, Mark, Point, Rule, Spec
from superalign.report.markup import cut
from superalign.report.series import CEILING, INK, WEAK, Book, Key, Series
from superalign.result import DifficultyBin, Interval, ReliabilityBin, WeakToStrongResult

LOG_SPAN = 10.0
PGR_AXIS = (-1.0, 2.0)
SEEDS_DRAWN = 50
ACCURACY = "accuracy on the test part, %"


def accuracy(result: WeakToStrongResult, book: Book) -> Spec:
    """Accuracy of every role and method, between the bands of floor and ceiling."""
    dots, marks = [], []
    for s in result.summary:
        who = book[s.role, s.method]
        dots.append(_dot(who, s.accuracy, 100, _said(who, s.accuracy), words.percent(s.accuracy.value, unit=False)))
        mine = [(row.seed, row.accuracy) for row in result.rows if (row.role, row.method) == (s.role, s.method)]
        marks += [_seed(who, seed, 100 * share, words.percent(share)) for seed, share in mine[:SEEDS_DRAWN]]
    chance = 100 / len(result.task.classes)
    axis = _accuracy_axis([*_edges(dots), *(mark.value for mark in marks), chance])
    rules = [Rule(chance, "an even guess", side="left")]
    return rows_of_dots(dots, axis, marks=marks, bands=_floor_and_ceiling(result), rules=rules)


def pgr(result: WeakToStrongResult, book: Book) -> Spec:
    """Performance gap recovered of every method that has one, between 0 (the supervisor) and 1 (the ceiling)."""
    dots, marks = [], []
    for one in result.pgr:
        if one.pooled is None:
            continue
        who, value = book["student", one.method], words.ratio(one.pooled.value)
        dots.append(_dot(who, one.pooled, 1, f"{who.label}: PGR {value} {words.ratios(one.pooled)}", value))
        known = [(seed.seed, seed.value) for seed in one.seeds[:SEEDS_DRAWN] if seed.value is not None]
        marks += [_seed(who, seed, value, f"PGR {words.ratio(value)}") for seed, value in known]
    values = [0.0, 1.0, *_edges(dots), *(mark.value for mark in marks)]
    axis = Axis("performance gap recovered", max(PGR_AXIS[0], min(values) - 0.08), min(PGR_AXIS[1], max(values) + 0.08))
    rules = [Rule(0, "supervisor", WEAK.light), Rule(1, "ceiling", CEILING.light)]
    return rows_of_dots(dots, axis, marks=marks, rules=rules)


def layers(result: WeakToStrongResult, book: Book) -> Spec:
    """Accuracy of probes on each layer of the strong model."""
    points = [_point(book[p.role, p.method], p.layer, p.accuracy, f"layer {p.layer}") for p in result.layers]
    floor = _floor_and_ceiling(result, "weak")
    numbers = [result.strong.layer, *(p.layer for p in result.layers)]
    across = Axis("layer of the strong model", min(numbers) - 0.4, max(numbers) + 0.4)
    axis = _accuracy_axis([*_edges(points), *_edges(floor)])
    return curves(points, across, axis, bands=floor, rules=[Rule(result.strong.layer, f"layer {result.strong.layer}")])


def reliability(bins: list[ReliabilityBin], who: Series, low: float) -> Spec:
    """How often one is right, by how sure it is; larger points are more answers.

    Both axes start at `low`, in per cent.
    """
    most = max(b.n for b in bins)
    points = []
    for b in bins:
        tip = f"{words.plural(b.n, 'answer')}: sure {words.percent(b.confidence)}, right {words.percent(b.accuracy)}"
        size = 12 + 140 * b.n / most
        x, y = 100 * b.confidence, 100 * b.accuracy
        points.append(Point(x, y, y, y, who.label, who.colour.light, "circle", tip, size))
    numbers = (0.0, 25.0, 50.0, 75.0, 100.0)
    confidence, right = Axis("confidence, %", low, 103, values=numbers), Axis("right, %", low, 103, values=numbers)
    return curves(points, confidence, right, diagonal=True, height=150, width=210)


def difficulty(bins: list[DifficultyBin], book: Book) -> Spec:
    """Accuracy by one tag of the items, such as the population of a city."""
    low, high = min(b.low for b in bins), max(b.high for b in bins)
    log = logarithmic([(b.low, b.high) for b in bins])
    points = []
    for b in bins:
        middle = math.sqrt(b.low * b.high) if log else (b.low + b.high) / 2
        where = f"{words.quantity(b.low)} to {words.quantity(b.high)}, {words.plural(b.n, 'item')}"
        points.append(_point(book[b.role, b.method], middle, b.accuracy, where))
    across = Axis(cut(bins[0].tag, 40), low, high, log, _ticks(low, high) if log else ())
    return curves(points, across, _accuracy_axis(_edges(points)))


def agreement(result: WeakToStrongResult, book: Book) -> Spec:
    """How often each learner says what its supervisor says, where the supervisor is right and where it is wrong."""
    dots, marks = [], []
    for key, who in book.items():
        right, wrong = agreements(result, key, True), agreements(result, key, False)
        for supervisor, shares, other in (("right", right, wrong), ("wrong", wrong, right)):
            if not shares:
                continue
            mean, against = _mean(shares), _mean(other)
            tip = f"{who.label}, supervisor {supervisor}: agrees {words.percent(mean)}"
            left = mean < against or (mean == against and supervisor == "wrong")
            dot = _dot(who, Interval(value=mean, low=mean, high=mean), 100, tip, words.percent(mean, unit=False))
            dots.append(replace(dot, hollow=supervisor == "wrong", side="left" if left else "right"))
            marks += [_seed(who, seed, 100 * share, words.percent(share)) for seed, share in shares[:SEEDS_DRAWN]]
    axis = Axis("says what the supervisor says, %", -4, 104, values=tuple(range(0, 101, 20)))
    return rows_of_dots(dots, axis, marks=marks)


def agreements(result: WeakToStrongResult, key: Key, right: bool) -> list[tuple[int, float]]:
    """Return (seed, share) of the agreement of a role and method where its supervisor is right, or is wrong."""
    rows = [row for row in result.rows if (row.role, row.method) == key and row.role != "weak"]
    shares = [(row.seed, row.agreement_when_right if right else row.agreement_when_wrong) for row in rows]
    return [(seed, share) for seed, share in shares if share is not None]


def tests(result: WeakToStrongResult | CriticEvalResult) -> Spec:
    """Difference of accuracy of each pair of learners that was tested."""
    dots = []
    for t in result.tests:
        name, found = cut(f"{t.a} − {t.b}", 60), words.points(t.difference)
        p = f"p {'' if t.p < 0.001 else '= '}{words.p_value(t.p)}"
        tip = f"{name}: {found} points, {p}"
        value, low, high = 100 * t.difference.value, 100 * t.difference.low, 100 * t.difference.high
        dots.append(Dot(name, value, low, high, INK.light, tip, text=f"{found.partition(' ')[0]},  {p}"))
    edges = [0.0, *_edges(dots)]
    room = 0.08 * (max(edges) - min(edges)) or 1.0
    axis = Axis("difference of accuracy, percentage points", min(edges) - room, max(edges) + room)
    return rows_of_dots(dots, axis, rules=[Rule(0, "no difference")])


def logarithmic(edges: list[tuple[float, float]]) -> bool:
    """Tell whether bins (low, high), made to hold equal numbers of items, are more even in width on a log scale."""
    low, high = min(a for a, _ in edges), max(b for _, b in edges)
    if low <= 0 or high < LOG_SPAN * low:
        return False
    plain = [b - a for a, b in edges if b > a]
    logs = [math.log(b / a) for a, b in edges if b > a]
    return max(logs) / min(logs) < max(plain) / min(plain)


def _dot(who: Series, figure: Interval, scale: float, tip: str, text: str) -> Dot:
    value, low, high = scale * figure.value, scale * figure.low, scale * figure.high
    return Dot(who.label, value, low, high, who.colour.light, tip, who.shape, text)


def _seed(who: Series, seed: int, value: float, said: str) -> Mark:
    return Mark(who.label, value, who.colour.light, f"{who.label}, seed {seed}: {said}")


def _point(who: Series, x: float, figure: Interval, where: str) -> Point:
    y, low, high = 100 * figure.value, 100 * figure.low, 100 * figure.high
    return Point(x, y, low, high, who.label, who.colour.light, who.shape, f"{where}, {_said(who, figure)}")


def _said(who: Series, figure: Interval) -> str:
    return f"{who.label}: {words.percent(figure.value)} {words.percents(figure)}"


def _edges(drawn: Iterable[Dot | Point | Band]) -> list[float]:
    return [edge for one in drawn for edge in (one.low, one.high) if math.isfinite(edge)]


def _accuracy_axis(values: list[float]) -> Axis:
    room = max(1.0, 0.06 * (max(values) - min(values)))
    return Axis(ACCURACY, max(0.0, min(values) - room), min(100.0, max(values) + room))


def _ticks(low: float, high: float) -> tuple[float, ...]:
    decades = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
    steps = [step * 10.0**decade for decade in decades for step in (1, 2, 5)]
    return tuple(step for step in steps if low <= step <= high)


def _mean(shares: list[tuple[int, float]]) -> float:
    return math.fsum(share for _, share in shares) / len(shares) if shares else math.nan


def _floor_and_ceiling(result: WeakToStrongResult, *roles: str) -> list[Band]:
    colours = {"weak": WEAK.light, "ceiling": CEILING.light}
    wanted = [s for s in result.summary if s.role in (roles or colours)]
    return [Band(100 * s.accuracy.low, 100 * s.accuracy.high, colours[s.role]) for s in wanted]
