"""The panels of the scaling report: heat maps, curves over size, trends, methods over tasks, what is left out."""

from __future__ import annotations

from collections.abc import Sequence

from superalign.report import scaling_figures as figures
from superalign.report import words
from superalign.report.frame import Frame, Rows, numbers, share, tabled
from superalign.report.heat import Cell, heat
from superalign.report.markup import Child, Column, Markup, cut, table, tag
from superalign.result import Interval
from superalign.scaling_result import MethodSummary, ScalingCell, ScalingResult
from superalign.scaling_verdict import trend
from superalign.verdict import CLAIM

MAPS = 60  # of single tasks on the page
CELLS = 400  # in the table of the page
PAIRS = 200  # that are left out, listed
DRAWN = 4  # methods with maps and curves of their own; of more, those that differ from another over the tasks go first
ScalingFrame = Frame[ScalingResult]


def drawn(result: ScalingResult) -> list[str]:
    """Return the methods that have maps and curves: the first, those that differ over the tasks, then the others."""
    apart = [name for test in result.tests if test.p_holm < CLAIM for name in (test.a, test.b)]
    return list(dict.fromkeys([result.methods[0], *apart, *result.methods]))[:DRAWN]


def cards(result: ScalingResult) -> Markup:
    """Return one card a method that is drawn: the PGR over the grid, in how many cells there is one, who is above."""
    shown = drawn(result)
    return tag("div", *(_card(one) for one in result.summary if one.method in shown), class_="cards")


def summary(result: ScalingResult) -> Markup | None:
    """Return every method over the grid, where not all are drawn."""
    if len(result.methods) <= DRAWN:
        return None
    rows: Rows = [
        [
            cut(one.method, 60),
            words.count(one.cells),
            words.count(one.defined),
            words.ratio(one.median),
            _ratio(one.pgr),
            words.count(one.above),
            words.count(one.below),
        ]
        for one in result.summary
    ]
    columns = [Column("Method"), *numbers("Cells", "With a PGR", "Median PGR", "Mean PGR, 95% over tasks")]
    columns += numbers("Above the supervisor", "Below")
    what = (
        f"{words.plural(len(rows), 'method')}. Those with maps and curves are the first one, and those that differ "
        "from another over the tasks. Above and below count cells where the interval of student minus supervisor "
        "leaves out 0."
    )
    return tabled("summary", "Every method over the grid", what, table(columns, rows, "Every method over the grid"))


def maps(result: ScalingResult, method: str, place: int) -> Markup:
    """Return the heat map of a method's PGR over all tasks, and folded below it that of each task."""
    mine = [cell for cell in result.cells if cell.method == method]
    what = (
        "PGR by weak model (rows, smallest first) and strong model (columns): the darker, the more of the gap is "
        f"recovered. Each cell is the mean over the tasks that have a PGR, and how many do. {words.NONE} is no cell of "
        "the grid: its weak model is not the smaller one. “none” has no PGR in any task: nowhere is the ceiling above "
        "the weak model beyond noise."
    )
    whole = _map(result, mine, f"PGR of {cut(method, 40)} over all tasks")
    names = [name for name in result.names if len(result.names) > 1][: MAPS // len(drawn(result))]
    single = [
        tag("details", tag("summary", cut(name, 80)), _map(result, [c for c in mine if c.task == name], name))
        for name in names
    ]
    hidden = len(result.names) - len(names) if len(result.names) > 1 else 0
    rest = tag("p", f"{words.plural(hidden, 'more task')} in results.json.", class_="beside") if hidden else None
    return tabled(f"map-{place}", f"PGR of {cut(method, 60)}", what, whole, *single, rest)


def sizes(frame: ScalingFrame, method: str, place: int) -> list[Markup]:
    """Return the curves of a method over the size of the strong model: accuracy and PGR."""
    result, rows = frame.result, list[list[Child]]()
    parameters = {size.model: size.parameters for size in result.sizes}
    for cell in result.cells:
        if cell.method == method and len(rows) < CELLS:
            at = parameters[cell.strong]
            rows.append(
                [
                    cut(cell.strong, 60),
                    cut(cell.weak, 60),
                    cut(cell.task, 60),
                    words.count(at) if at is not None else words.NONE,
                    *share(cell.accuracy),
                    words.percent(cell.ceiling_accuracy.value),
                    _ratio(cell.pgr),
                ]
            )
    columns = [
        Column("Strong"),
        Column("Weak"),
        Column("Task"),
        *numbers("Parameters", "Accuracy", "95% interval", "Ceiling", "PGR"),
    ]
    made = []
    for figure, what in (
        ("accuracy", "Students by their supervisor, and the ceiling, against the parameters of the strong model."),
        ("PGR", "Part of the gap that is recovered, against the parameters of the strong model."),
    ):
        title = f"{'Accuracy' if figure == 'accuracy' else 'PGR'} over size, {cut(method, 40)}"
        spec = figures.over_size(result, method, "accuracy" if figure == "accuracy" else "PGR", frame.book)
        known = [key for key in frame.book if figure == "accuracy" or key != figures.BEST]
        counts = (
            f"Means over {words.plural(len(result.tasks), 'task')}, without intervals: those of the cells are below."
        )
        data = table(columns, rows, title)
        made.append(frame.panel(f"size-{figure.lower()}-{place}", title, what, spec, counts, data, known))
    return made


def trends(frame: ScalingFrame, method: str, place: int) -> Markup:
    """Return what of a method moves with size."""
    rows: Rows = [
        [
            trend(one),
            words.ratio(one.rho),
            words.ratios(one.interval) if one.interval else words.NONE,
            one.finding,
            words.count(one.ladders),
            words.count(one.left_out),
            one.tasks,
        ]
        for one in frame.result.trends
        if one.method == method
    ]
    columns = [Column("Trend"), *numbers("rho", "95% interval"), Column("Finding")]
    columns += numbers("Ladders", "Left out", "Tasks")
    title = f"What moves with size, {cut(method, 40)}"
    what = (
        "Spearman's rho along ladders: cells of one task that differ in one model only. The mean over ladders has a "
        "bootstrap over tasks; a direction is named where the interval leaves out 0. PGR holds ceiling and weak "
        "accuracy in itself, so that some order between them and PGR is arithmetic."
    )
    counts = "Intervals are over tasks, not over the cells of one task."
    spec = figures.trends(frame.result, method)
    return frame.panel(f"trends-{place}", title, what, spec, counts, table(columns, rows, title))


def tests(result: ScalingResult) -> Markup | None:
    """Return the methods against each other over the tasks; None of one method."""
    if not result.tests:
        return None
    rows: Rows = [
        [
            f"{cut(t.a, 60)} − {cut(t.b, 60)}",
            f"{t.wins} / {t.losses} / {t.ties}",
            words.points(Interval(value=t.difference, low=t.difference, high=t.difference)).partition(" ")[0],
            words.points(t.shift) if t.shift else words.NONE,
            words.p_value(t.p),
            words.p_value(t.p_holm),
            words.p_value(t.least_p),
        ]
        for t in result.tests
    ]
    columns = [Column("Difference"), *numbers("Better / worse / equal", "Mean, points", "Shift", "p", "p (Holm)")]
    columns += numbers("Least p")
    what = (
        "Wilcoxon's signed-rank test over the tasks, exact: a task counts once, by the mean accuracy over its pairs of "
        "models. The shift is the Hodges-Lehmann estimate with its 95% interval, where so many tasks have one. Least p "
        "is the smallest that so many tasks can give."
    )
    return tabled("tests", "Methods over the tasks", what, table(columns, rows, "Methods over the tasks"))


def refused(result: ScalingResult) -> Markup:
    """Return the cells without a PGR, and the pairs that are no cells."""
    without = {(c.task, c.weak, c.strong): c for c in result.cells if c.pgr is None}.values()
    rows: Rows = [[cut(c.task, 60), cut(c.weak, 60), cut(c.strong, 60), cut(c.reason or "", 200)] for c in without]
    columns = [Column("Task"), Column("Weak"), Column("Strong"), Column("Why")]
    pairs: Rows = [[cut(one.weak, 60), cut(one.strong, 60), cut(one.why, 200)] for one in result.excluded]
    unsuited: Rows = [[cut(one.task, 60), cut(one.method, 60), cut(one.why, 200)] for one in result.unsuited]
    what = (
        f"On {words.plural(len(without), 'pair')} of models and a task no method has a PGR. "
        f"{words.plural(len(pairs), 'pair')} of models {'is' if len(pairs) == 1 else 'are'} no cell of the grid. "
        f"{words.plural(len(unsuited), 'method')} cannot learn a task."
    )
    first = tag("details", tag("summary", "Without a PGR"), table(columns, rows[:CELLS], "Cells without a PGR"))
    second = tag("details", tag("summary", "No cells"), table(columns[1:], pairs[:PAIRS], "Pairs left out"))
    labels = [Column("Task"), Column("Method"), Column("Why")]
    third = tag("details", tag("summary", "Cannot be learnt"), table(labels, unsuited[:CELLS], "Methods left out"))
    folded = [one for one, some in ((first, rows), (second, pairs), (third, unsuited)) if some]
    return tabled("refused", "Where no figure is given", what, *folded)


def _card(one: MethodSummary) -> Markup:
    big = words.ratio(one.pgr.value if one.pgr else one.median)
    kind = "mean PGR" if one.pgr else "median PGR"
    interval = f"95% {words.ratios(one.pgr)}, over tasks" if one.pgr else "in cells of one task: no interval over tasks"
    cells = f"a PGR in {words.count(one.defined)} of {words.plural(one.cells, 'cell')}"
    sides = f"above the supervisor in {words.count(one.above)}, below in {words.count(one.below)}"
    name = tag("h2", f"{cut(one.method, 40)}: {kind}")
    lines = [tag("p", interval, class_="interval"), tag("p", cells, class_="n"), tag("p", sides, class_="n")]
    return tag("div", name, tag("p", big, class_="big"), *lines, class_="card")


def _map(result: ScalingResult, cells: Sequence[ScalingCell], title: str) -> Markup:
    order = [size.model for size in result.sizes]
    down = [name for name in order if any(cell.weak == name for cell in result.cells)]
    across = [name for name in order if any(cell.strong == name for cell in result.cells)]
    found: dict[tuple[str, str], list[ScalingCell]] = {}
    for cell in cells:
        found.setdefault((cell.weak, cell.strong), []).append(cell)
    return heat(down, across, {pair: _cell(mine) for pair, mine in found.items()}, title)


def _cell(cells: Sequence[ScalingCell]) -> Cell:
    known = [cell.pgr for cell in cells if cell.pgr]
    if not known:
        return Cell("none", 0.0, cells[0].reason or "")
    mean = sum(one.value for one in known) / len(known)
    level = min(1.0, max(0.0, mean))
    if len(cells) == 1:
        one = cells[0]
        tip = f"weak {words.percent(one.weak_accuracy.value)}, student {words.percent(one.accuracy.value)}, "
        tip += f"ceiling {words.percent(one.ceiling_accuracy.value)}"
        return Cell(f"{words.ratio(mean)} {words.ratios(known[0])}", level, tip)
    return Cell(f"{words.ratio(mean)} ({len(known)})", level, f"{len(known)} of {len(cells)} tasks have a PGR")


def _ratio(figure: Interval | None) -> str:
    return f"{words.ratio(figure.value)} {words.ratios(figure)}" if figure else "none"
