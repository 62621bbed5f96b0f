"""The panels of the report on balance: all arms, the trade-off between axes, differences, interference, claims."""

from __future__ import annotations

from collections.abc import Callable
from itertools import combinations

from superalign import pareto
from superalign.balance_result import ArmSummary, BalanceResult, BalanceTest, Kind
from superalign.report import words
from superalign.report.chart import curves, rows_of_dots
from superalign.report.frame import Frame, Rows, difference, differences, numbers, share, tabled
from superalign.report.marks import Axis, Dot, Point, Rule, Spec
from superalign.report.markup import Column, Markup, cut, table, tag
from superalign.report.overview import legend
from superalign.report.series import CEILING, CONTROL, INK, STUDENTS, WEAK, Series
from superalign.result import Interval

BalanceFrame = Frame[BalanceResult]
DRAWN: dict[Kind, Series] = {
    "base": Series("control", "", "The model itself", CONTROL, "square"),
    "expert": Series("ceiling", "", "Experts of one axis", CEILING, "diamond"),
    "mixture": Series("weak", "", "Mixtures of data", WEAK, "triangle-up"),
    "merge": Series("student", "", "Merges of experts", STUDENTS[0], "circle"),
}
NAMED: dict[Kind, str] = {"base": "the model itself", "expert": "expert ", "mixture": "mixture ", "merge": ""}
DRAWN_PAIRS = 3  # pairs of axes that are drawn
ROWS_SHOWN = 400
ARM = Column("Arm")


def arms(frame: BalanceFrame) -> Markup:
    """Return the average of the axes of every arm, and in the table all its scores."""
    result = frame.result
    axes = [axis.axis for axis in result.axes]
    rows: Rows = [
        [
            _name(one),
            *(cell for axis in axes for cell in share(one.scores[axis])),
            *share(one.average),
            *share(one.worst),
            words.percent(one.validation_average),
            words.percent(one.validation_worst),
            words.percent(one.front_share),
        ]
        for one in result.summary
    ]
    dots = [_dot(one, one.average) for one in result.summary]
    edges = [edge for one in dots for edge in (one.low, one.high)]
    axis = Axis("average of the axes, %", max(0.0, min(edges) - 1), min(100.0, max(edges) + 1))
    drawing = rows_of_dots(dots, axis, rules=[Rule(100 * result.summary[0].average.value, "the model itself")], row=28)
    names = [name for axis in axes for name in (cut(axis, 30), "95% interval")]
    more = ("Average", "95% interval", "Worst axis", "95% interval", "Validation: average", "worst", "On the front")
    what = (
        "A mark is the mean over seeds with its 95% interval. Chosen by the validation part are the merge "
        f"{cut(result.chosen.merge, 40)} and the mixture {cut(result.chosen.mixture, 40)}. On the front: share of the "
        "resamples in which no arm is at least as good on all axes and better on one."
    )
    title = "Every arm"
    data = table([ARM, *numbers(*names, *more)], rows, title)
    return frame.panel("arms", title, what, drawing, _counts(result), data, after=_by_seed(result), wide=True)


def tradeoff(frame: BalanceFrame) -> Markup:
    """Return a figure for each pair of axes: every arm, and those that none betters in both."""
    result = frame.result
    drawn = list[Markup]()
    for a, b in list(combinations([axis.axis for axis in result.axes], 2))[:DRAWN_PAIRS]:
        title = f"{cut(a, 24)} and {cut(b, 24)}"
        figure = frame.draw(f"tradeoff-{len(drawn)}", title, _picture(result, a, b))
        drawn.append(tag("figure", tag("figcaption", tag("h4", title)), figure))
    rows: Rows = [
        [
            _name(one),
            "yes" if one.front else "no",
            words.percent(one.front_share),
            *(words.points(one.changes[axis.axis]) for axis in result.axes),
        ]
        for one in result.summary
    ]
    what = (
        "Each mark is an arm, the mean over seeds. The line joins those that none betters on both axes of the figure; "
        "the table says who is bettered by none on all axes at once, and what each arm changes against the model "
        "itself. Intervals are in the tables: arms near to each other are often not told apart."
    )
    title = "What is gained and what is given up"
    columns = numbers("In the resamples", *(f"{cut(axis.axis, 24)}, points" for axis in result.axes))
    data = table([ARM, Column("None betters it"), *columns], rows, title)
    key = legend(list(DRAWN.values())) if frame.draws else None
    body = tag("div", *drawn, class_="players")
    return tag(
        "section",
        tag("h3", title),
        tag("p", what, class_="what"),
        key,
        body,
        frame.numbers(data),
        class_="panel wide",
        id="tradeoff",
    )


def tests(result: BalanceResult) -> Markup | None:
    """Return the paired comparisons; None when there are none."""
    if not result.tests:
        return None
    what = (
        "On the same probes, seeds averaged. Which merge and which mixture are compared was chosen by the validation "
        f"part. p (Holm) is corrected for all {words.count(len(result.tests))} comparisons."
    )
    title = "Merges against mixtures, and against each other"
    of: tuple[Column, Callable[[BalanceTest], str]] = (Column("Of the axes"), lambda one: one.measure)
    return tabled("tests", title, what, differences(result.tests, title, (Column("Difference"), difference), of))


def interference(result: BalanceResult) -> Markup:
    """Return how experts stand in each other's way."""
    rows: Rows = [
        [
            f"{cut(one.first, 40)} and {cut(one.second, 40)}",
            words.ratio(one.cosine),
            words.percent(one.conflict),
            words.percent(one.conflict_large),
            words.ratio(one.overlap),
        ]
        for one in result.interference
    ]
    what = (
        "Of what two experts changed in the same weights, means over seeds. The cosine takes all layers as one vector. "
        "Sign conflicts: share of the elements that both changed whose signs differ (a half by chance), and the same "
        "among those that are in the largest fifth of their matrix in both. Overlap: mean squared cosine of the angles "
        "between the subspaces that they write to and read from, 0 where they are orthogonal. Singular task "
        f"interference of all experts, relative to their singular values: {words.ratio(result.singular)}."
    )
    title = "How the experts stand in each other's way"
    columns = numbers("Cosine", "Sign conflicts", "Among large changes", "Overlap")
    return tabled("between", title, what, table([Column("Experts"), *columns], rows, title))


def claims(result: BalanceResult) -> Markup:
    """Return the claims of the literature with what this run says of each."""
    rows: Rows = [
        [one.claim, tag("b", one.finding), words.prose(one.because), words.prose(one.rule), one.source]
        for one in result.claims
    ]
    title = "Claims of the literature"
    what = (
        "Each is decided by the rule beside it and by the figures of this run alone; the rules are ours. Not "
        "reproduced means that this run does not show it, which may be for its size."
    )
    columns = [Column(name) for name in ("Claim", "Here", "Because", "Reproduced if", "Source")]
    return tabled("claimed", title, what, table(columns, rows, title))


def made_of(result: BalanceResult) -> Markup:
    """Return what each axis was made of."""
    rows: Rows = [
        [
            cut(one.axis, 40),
            cut(one.spec, 120),
            words.count(one.test),
            words.count(one.groups),
            words.count(one.validation),
            words.count(min(one.pool)),
            words.count(one.unanswered),
            words.count(one.unasked),
        ]
        for one in result.axes
    ]
    title = "The axes"
    what = (
        "Probes of the test part, in groups of related items; probes that choose; pairs that mixtures choose from "
        "(least of the seeds); answers that are missing, over all arms; items of which nothing was made."
    )
    columns = numbers("Probes", "Groups", "Validation", "Pairs", "No answer", "No item")
    return tabled("made-of", title, what, table([Column("Axis"), Column("Made by"), *columns], rows, title))


def _picture(result: BalanceResult, a: str, b: str) -> Spec:
    """One axis across, another up; a line through those that none betters in both."""
    places = [(100 * one.scores[a].value, 100 * one.scores[b].value) for one in result.summary]
    best = sorted({place for place, kept in zip(places, pareto.front(places), strict=True) if kept})
    points = [Point(x, y, y, y, "front", INK.light, "circle", "bettered by none of these", 4) for x, y in best]
    for number, (one, (x, y)) in enumerate(zip(result.summary, places, strict=True)):
        who = DRAWN[one.kind]
        tip = f"{_name(one)}: {cut(a, 24)} {x:.1f}%, {cut(b, 24)} {y:.1f}%"
        points.append(Point(x, y, y, y, f"arm {number}", who.colour.light, who.shape, tip, 45))
    across, up = zip(*places, strict=True)
    return curves(points, _axis(a, across), _axis(b, up), height=220, width=300)


def _axis(name: str, values: tuple[float, ...]) -> Axis:
    room = 0.08 * (max(values) - min(values)) or 1.0
    return Axis(f"{cut(name, 24)}, %", min(values) - room, max(values) + room)


def _by_seed(result: BalanceResult) -> Markup:
    rows: Rows = [
        [
            f"{NAMED[row.kind]}{'' if row.kind == 'base' else cut(row.arm, 60)}",
            cut(row.axis, 40),
            row.seed,
            words.percent(row.score),
            words.count(row.n),
            words.percent(row.validation),
            words.NONE if row.pairs is None else words.count(row.pairs),
        ]
        for row in result.rows[:ROWS_SHOWN]
    ]
    rest = len(result.rows) - len(rows)
    more = tag("p", f"{words.plural(rest, 'more row')} in results.csv.", class_="beside") if rest else None
    columns = [ARM, Column("Axis"), *numbers("Seed", "Score", "n", "Validation", "Pairs")]
    return tag("details", tag("summary", "Numbers by seed"), table(columns, rows, "Scores by seed"), more)


def _dot(one: ArmSummary, figure: Interval) -> Dot:
    value, low, high = (100 * part for part in (figure.value, figure.low, figure.high))
    tip = f"{_name(one)}: {words.percent(figure.value)} {words.percents(figure)}"
    text = words.percent(figure.value, unit=False)
    return Dot(cut(_name(one), 30), value, low, high, DRAWN[one.kind].colour.light, tip, text=text)


def _name(one: ArmSummary) -> str:
    return NAMED[one.kind] + ("" if one.kind == "base" else cut(one.arm, 60))


def _counts(result: BalanceResult) -> str:
    n = sum(axis.test for axis in result.axes)
    return f"n = {words.count(n)} probes, {words.plural(result.summary[0].seeds, 'seed')}."
