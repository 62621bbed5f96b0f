"""The figures of the loop's report: before and after, a player's measure over rounds, the path of the ledger."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from itertools import pairwise
from typing import Literal, NamedTuple

from superalign.loop_result import RoundRow
from superalign.report import words
from superalign.report.chart import curves, rows_of_dots
from superalign.report.loop_ledger import Standing
from superalign.report.marks import Axis, Dot, Point, Rule, Spec
from superalign.report.series import CONTROL, INK, STUDENTS, WEAK, Colour, Series
from superalign.result import Interval

ATTACKER = Series("student", "attacker", "Attacker", WEAK, "square")
CRITIC = Series("student", "critic", "Critic", STUDENTS[2], "triangle-up")
LEARNER = Series("student", "learner", "Learner", STUDENTS[0], "circle")
BEFORE = Series("student", "before", "Before", CONTROL, "circle")
AFTER = Series("student", "after", "After", STUDENTS[0], "circle")
SEEDS = ("circle", "triangle-up", "square", "diamond", "triangle-down", "triangle-right")
TICKS = 5  # counts up to this have a number at each
PER_CENT = tuple(float(value) for value in range(0, 101, 20))
APART, PAIR = 6, 64
"""Pixels that before and after stand off the middle of their row, and its height."""


Kind = Literal["share", "number", "count"]


class Pair(NamedTuple):
    """One share before and after; either may not be known."""

    name: str
    before: Interval | None
    after: Interval | None
    n: tuple[int, int]
    """Of how many; 0 where that is not counted."""


class Measure(NamedTuple):
    """One thing that is measured each round: its name, how it is read from a row, and how it is written."""

    name: str
    values: Mapping[tuple[int, int], float]
    """By seed and round; round 0 is before the first."""
    kind: Kind = "share"
    lighter: Mapping[tuple[int, int], float] = {}
    """Another measure, drawn in grey beside it."""
    kept: bool = False
    """Whether it is of the learner after the round, which a round that was rolled back does not leave."""


def before_and_after(pairs: Sequence[Pair], title: str) -> Spec:
    """Two dots a row: hollow and above before, filled and below after."""
    dots = [dot for pair in pairs for dot in _pair(pair)]
    return rows_of_dots(dots, Axis(title, -4, 104, values=PER_CENT), row=PAIR)


def over_rounds(measure: Measure, rows: Sequence[RoundRow], who: Series) -> Spec:
    """One measure over the rounds, a line a seed; a large cross is a round that was rolled back."""
    back = {(row.seed, row.round) for row in rows if not row.accepted}
    seeds = sorted({row.seed for row in rows})
    points = [_grey(seeds.index(seed), seed, at, value) for (seed, at), value in sorted(measure.lighter.items())]
    for place, seed in enumerate(seeds):
        mine = sorted((number, value) for (of, number), value in measure.values.items() if of == seed)
        for number, value in mine:
            gone = (seed, number) in back
            if not (gone and measure.kept):
                points.append(_point(number, value, measure, seed, place, who))
            if gone:
                points.append(_crossed(number, value, measure, seed, who))
    most = max((row.round for row in rows), default=1)
    numbers = tuple(float(number) for number in range(most + 1))
    first = min((point.x for point in points), default=1.0)
    across = Axis("", first - 0.3, most + 0.3, values=tuple(one for one in numbers if one >= first), whole=True)
    values = [point.y for point in points]
    most_counted = max([1.0, *values])
    ticks = tuple(float(n) for n in range(int(most_counted) + 1)) if most_counted <= TICKS else ()
    counts = Axis("", 0, 1.2 * most_counted, values=ticks, whole=True)
    up = {"share": Axis("", -6, 106, values=(0, 50, 100)), "count": counts, "number": _room(values)}[measure.kind]
    return curves(points, across, up, height=104, width=300)


def path(standings: Sequence[Standing]) -> Spec:
    """Competence and conformity from the start on, a path a seed; crosses are rounds that were rolled back."""
    points: list[Point] = []
    seeds = sorted({one.seed for one in standings})
    for place, seed in enumerate(seeds):
        mine = [one for one in standings if one.seed == seed]
        kept = [one for one in mine if one.accepted]
        colour = (STUDENTS[place % len(STUDENTS)]) if len(seeds) > 1 else INK
        for number, (one, two) in enumerate(pairwise(kept)):  # a line goes by x, a path does not: a piece of it each
            points += [_stand(each, f"{seed} {number}", colour) for each in (one, two)]
        points += [_stand(one, f"{seed} back {one.round}", colour) for one in mine if not one.accepted]
        points += [_stand(kept[0], f"{seed} start", colour)] if len(kept) == 1 else []
    across, up = _room([one.x for one in points]), _room([one.y for one in points])
    rules = [Rule(100, "as at the start")] if across.low < 100 < across.high else []
    titles = ("competence, % of the start", "conformity, %")
    across, up = (Axis(name, axis.low, axis.high) for name, axis in zip(titles, (across, up), strict=True))
    return curves(points, across, up, rules=rules, height=320)


def _pair(pair: Pair) -> Iterator[Dot]:
    for who, figure, n, shift in ((BEFORE, pair.before, pair.n[0], -APART), (AFTER, pair.after, pair.n[1], APART)):
        if figure:
            value, low, high = (100 * edge for edge in (figure.value, figure.low, figure.high))
            said = words.percent(figure.value)
            counted = f", n = {words.count(n)}" if n else ""
            tip = f"{pair.name}, {who.method}: {said} {words.percents(figure)}{counted}"
            side: Literal["above", "below"] = "above" if shift < 0 else "below"
            colour, hollow = who.colour.light, shift < 0
            yield Dot(pair.name, value, low, high, colour, tip, who.shape, said, hollow, side, shift)


def _point(number: int, value: float, measure: Measure, seed: int, place: int, who: Series) -> Point:
    y = 100 * value if measure.kind == "share" else value
    tip = f"{who.label}, seed {seed}, {_when(number)}: {_said(measure, value)}"
    return Point(number, y, y, y, f"{seed}", who.colour.light, SEEDS[place % len(SEEDS)], tip, 40)


def _grey(place: int, seed: int, number: int, value: float) -> Point:
    tip = f"seed {seed}, {_when(number)}: {words.quantity(value)}"
    return Point(number, value, value, value, f"{seed} grey", CONTROL.light, SEEDS[place % len(SEEDS)], tip, 40)


def _crossed(number: int, value: float, measure: Measure, seed: int, who: Series) -> Point:
    point = _point(number, value, measure, seed, 0, who)
    return replace(
        point, series=f"{seed} back", colour=INK.light, shape="cross", tip=f"{point.tip}, rolled back", size=80
    )


def _stand(one: Standing, series: str, colour: Colour) -> Point:
    shape = "cross" if not one.accepted else "diamond" if one.round == 0 else "circle"
    x, y = 100 * one.competence, 100 * one.conformity
    said = f"competence {words.percent(one.competence)}, conformity {words.percent(one.conformity)}"
    back = "" if one.accepted else ", rolled back"
    label = str(one.round) if one.round else ""
    tip = f"seed {one.seed}, {_when(one.round)}: {said}{back}"
    return Point(x, y, y, y, series, colour.light, shape, tip, 90, label)


def _when(number: int) -> str:
    return f"round {number}" if number else "before the first round"


def _said(measure: Measure, value: float) -> str:
    return words.percent(value) if measure.kind == "share" else words.quantity(value)


def _room(values: Sequence[float]) -> Axis:
    low, high = min(values, default=0.0), max(values, default=1.0)
    room = 0.12 * (high - low) or 0.1 * abs(high) or 1.0
    return Axis("", low - room, high + room)
