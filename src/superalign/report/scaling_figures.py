"""The figures of the scaling report: accuracy over size, a line a supervisor; the trends with their intervals."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from math import isfinite

from superalign.report import words
from superalign.report.chart import curves, rows_of_dots
from superalign.report.marks import Axis, Dot, Point, Rule, Spec
from superalign.report.markup import cut
from superalign.report.series import CEILING, CONTROL, INK, STUDENTS, WEAK, Book, Key, Series
from superalign.scaling_result import Figure, ScalingCell, ScalingResult
from superalign.scaling_verdict import trend

COLOURS = (*STUDENTS, WEAK, CONTROL, INK)
SHAPES = ("circle", "triangle-up", "square", "triangle-down", "diamond", "triangle-right", "cross")
BEST: Key = ("ceiling", "")
DRAWN = len(COLOURS)  # supervisors of a figure
FINDINGS = {"rises": STUDENTS[1], "falls": WEAK, "cannot be told": CONTROL, "not testable": CONTROL}


def book(result: ScalingResult) -> Book:
    """Return how each supervisor and the ceiling are drawn: alike in all figures; the smallest supervisors first."""
    used = {cell.weak for cell in result.cells}
    names = [size.model for size in result.sizes if size.model in used][:DRAWN]
    found: Book = {
        ("student", name): Series("student", name, f"by {cut(name, 36)}", COLOURS[place], SHAPES[place])
        for place, name in enumerate(names)
    }
    return {**found, BEST: Series("ceiling", "", "Strong ceiling", CEILING, "diamond")}


def over_size(result: ScalingResult, method: str, figure: Figure, who: Book) -> Spec:
    """Accuracy (or PGR) of students against the parameters of the strong model: means over the tasks."""
    parameters = {size.model: size.parameters for size in result.sizes}
    mine = [cell for cell in result.cells if cell.method == method]
    points = list[Point]()
    for key, series in who.items():
        cells = mine if key == BEST else [cell for cell in mine if cell.weak == key[1]]
        if key == BEST and figure == "PGR":
            continue
        for strong in sorted({cell.strong for cell in cells}, key=lambda name: parameters[name] or 0):
            at, y = parameters[strong], _mean([cell for cell in cells if cell.strong == strong], figure, key == BEST)
            if at and y is not None:
                said = words.percent(y / 100) if figure == "accuracy" else words.ratio(y)
                tip = f"{cut(strong, 40)}, {series.label}: {said}"
                points.append(Point(at / 1e6, y, y, y, series.label, series.colour.light, series.shape, tip))
    if not points:
        return curves([], Axis("", 0, 1), Axis("", 0, 1))
    low, high = min(point.x for point in points), max(point.x for point in points)
    across = Axis("parameters of the strong model, millions", low / 1.15, high * 1.15, log=True)
    return curves(points, across, _up(figure, [point.y for point in points]))


def trends(result: ScalingResult, method: str) -> Spec:
    """Spearman's rho of each trend of a method, with its interval."""
    dots = []
    for one in result.trends:
        if one.method == method and one.interval and one.rho is not None:
            colour = FINDINGS[one.finding].light
            said = f"{words.ratio(one.rho)} {words.ratios(one.interval)}: {one.finding}"
            name = trend(one).replace("parameters of the strong model", "parameters")
            dots.append(Dot(name, one.rho, one.interval.low, one.interval.high, colour, f"{name}: {said}"))
    return rows_of_dots(dots, Axis("Spearman's rho, mean over tasks", -1.05, 1.05), rules=[Rule(0, "no order")])


def _mean(cells: Sequence[ScalingCell], figure: Figure, best: bool) -> float | None:
    if figure == "PGR":
        known = [cell.pgr.value for cell in cells if cell.pgr]
        return sum(known) / len(known) if known else None
    values = [(cell.ceiling_accuracy if best else cell.accuracy).value for cell in cells]
    return 100 * sum(values) / len(values) if values else None


def _up(figure: Figure, values: Iterable[float]) -> Axis:
    edges = [value for value in values if isfinite(value)]
    room = 0.08 * (max(edges) - min(edges)) or (1.0 if figure == "accuracy" else 0.1)
    title = "accuracy on the test parts, %" if figure == "accuracy" else "performance gap recovered"
    return Axis(title, min(edges) - room, max(edges) + room)
