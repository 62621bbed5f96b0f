"""The trade-off of the loop's aims: what every learner that the gate looked at is worth, and which none betters."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple

from superalign.loop_result import LoopResult, RoundRow
from superalign.pareto import front
from superalign.report import words
from superalign.report.chart import curves
from superalign.report.frame import Frame, Rows, numbers
from superalign.report.loop_figures import SEEDS
from superalign.report.loop_rounds import GATED, first
from superalign.report.marks import Axis, Point, Spec
from superalign.report.markup import Column, Markup, cut, table, tag
from superalign.report.series import CONTROL, INK, STUDENTS

WANTED = "steadfast"


class Stood(NamedTuple):
    """A learner that the gate looked at."""

    seed: int
    round: int
    """0 at the start."""
    part: float
    """Of the round's update; what was learnt before it stays."""
    kept: bool
    measures: Mapping[str, float]


def stood(rows: Sequence[RoundRow]) -> list[Stood]:
    """Return every learner whose attacks the gate looked at, and each seed's start."""
    found = [Stood(row.seed, 0, 0.0, True, _known(row.start)) for row in rows if row.round == 1]
    for row in rows:
        for one in row.tried:
            kept = row.accepted and one.part == row.part
            found.append(Stood(row.seed, row.round, one.part, kept, _known(one.measures)))
    return [one for one in found if WANTED in one.measures]


def tradeoff(frame: Frame[LoopResult]) -> Markup | None:
    """Return a figure for each other measure against attacks withstood; None with fewer than two learners."""
    rows = first(frame.result)
    found = stood(rows)
    known = dict.fromkeys(name for one in found for name in one.measures)
    names = [name for name in known if all(name in one.measures for one in found)]
    others = [name for name in names if name != WANTED]
    if len(found) < 2 or not others:
        return None
    drawn = [_figure(frame, found, name) for name in others]
    best = front([[one.measures[name] for name in names] for one in found])
    made: Rows = [
        [
            one.seed,
            one.round or "start",
            words.percent(one.part) if one.round else words.NONE,
            *(words.ratio(one.measures[name]) for name in names),
            "kept" if one.kept else "tried",
            "yes" if undominated else "no",
        ]
        for one, undominated in zip(found, best, strict=True)
    ]
    columns = numbers("Seed", "Round", "Part of its update", *(cut(name, 30) for name in names))
    listed = table([*columns, Column("Learner"), Column("None betters it")], made, "Learners that the gate looked at")
    what = (
        "Each dot is a learner that the gate looked at: the start (diamond), parts of updates that it tried (grey), "
        "and what was kept, by round. The line joins those that none betters on both axes. All of it is about the "
        "gate's items, without the truth and without intervals."
    )
    said = f"{sum(best)} of {words.plural(len(found), 'learner')} are bettered by none in all measures at once."
    body = tag("div", *drawn, class_="players")
    title = tag("h3", "What is gained and what is given up")
    data = frame.numbers(listed)
    return tag(
        "section", title, tag("p", what, class_="what"), body, tag("p", said), data, class_="panel wide", id="tradeoff"
    )


def picture(found: Sequence[Stood], name: str) -> Spec:
    """Attacks withstood across, another measure up; a line through those that none betters in both."""
    both = [{WANTED: 100 * one.measures[WANTED], name: _shown(name, one.measures[name])} for one in found]
    best = front([[one[WANTED], one[name]] for one in both])
    seeds = sorted({one.seed for one in found})
    points = list(_line([one for one, kept in zip(both, best, strict=True) if kept], name))
    for one, place in zip(found, both, strict=True):
        colour = STUDENTS[seeds.index(one.seed) % len(STUDENTS)] if one.kept else CONTROL
        shape = "diamond" if not one.round else SEEDS[seeds.index(one.seed) % len(SEEDS)]
        label = str(one.round) if one.kept and one.round else ""
        when = f"round {one.round}, {one.part:.0%} of its update" if one.round else "the start"
        tip = f"seed {one.seed}, {when}: withstands {place[WANTED]:.0f}%, {cut(name, 30)} {place[name]:.1f}"
        series = f"{one.seed} {one.round} {one.part}"  # each alone: only the front is joined
        x, y = place[WANTED], place[name]
        points.append(Point(x, y, y, y, series, colour.light, shape, tip, 60 if one.kept else 30, label))
    up = [one[name] for one in both]
    room = 0.15 * (max(up) - min(up)) or 1.0
    return curves(
        points,
        Axis("attacks withstood, %", -4, 104, values=(0, 50, 100)),
        Axis("", min(up) - room, max(up) + room),
        height=160,
        width=300,
    )


def _figure(frame: Frame[LoopResult], found: Sequence[Stood], name: str) -> Markup:
    title = GATED.get(name, f"{cut(name, 40)}, %")
    drawing = frame.draw(f"tradeoff-{name}", f"{title} against attacks withstood", picture(found, name))
    return tag("figure", tag("figcaption", tag("h4", title)), drawing)


def _line(best: Sequence[Mapping[str, float]], name: str) -> Iterator[Point]:
    for place in sorted({(one[WANTED], one[name]) for one in best}):
        x, y = place
        yield Point(x, y, y, y, "front", INK.light, "circle", "bettered by none", 4)


def _shown(name: str, value: float) -> float:
    return value if name == "text" else 100 * value


def _known(measures: Mapping[str, float | None]) -> dict[str, float]:
    return {name: value for name, value in measures.items() if value is not None and math.isfinite(value)}
