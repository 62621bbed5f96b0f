"""The panels of the error lab's report: what is survived, imitation, claims, and where the errors were."""

from __future__ import annotations

from collections.abc import Callable

from superalign.report import words
from superalign.report.chart import rows_of_dots
from superalign.report.figures import ACCURACY
from superalign.report.frame import Frame, Rows, differences, numbers, share, tabled
from superalign.report.heat import Cell, heat
from superalign.report.marks import Axis, Band, Dot, Rule
from superalign.report.markup import Column, Markup, cut, join, table, tag
from superalign.report.overview import card
from superalign.report.panels import by_seed
from superalign.report.series import CEILING, STUDENTS, WEAK, Series
from superalign.result import Interval
from superalign.structure_result import ErrorLabResult, StructureSummary, StructureTest

STRUCTURE, METHOD = Column("Errors"), Column("Method")
CARDS = 6
LabFrame = Frame[ErrorLabResult]


def cards(result: ErrorLabResult) -> Markup:
    """Return the floor, the ceiling, and the first method on the first structures."""
    one = result.summary[0]
    n = f"n = {words.count(one.n)}, {words.plural(one.seeds, 'seed')}"
    ends = [
        card(Series("weak", "", "Weak model", WEAK, "square"), result.weak_accuracy, n),
        card(Series("ceiling", "", "Strong ceiling", CEILING, "diamond"), result.ceiling_accuracy, n),
    ]
    shown = [one for one in result.summary if one.method == result.methods[0]][:CARDS]
    for place, one in enumerate(shown):
        label = f"{cut(one.method, 20)}, {cut(one.structure, 24)}"
        who = Series("student", one.method, label, STUDENTS[place % len(STUDENTS)], "circle")
        ends.append(card(who, one.accuracy, n, tag("p", f"PGR {_pgr(one)}", class_="pgr")))
    return tag("div", *ends, class_="cards")


def survival(result: ErrorLabResult) -> Markup:
    """Return PGR by structure and method as a heat map; where there is no gap, accuracy."""
    names = [cut(one.structure, 30) for one in result.structures]
    cells = {}
    for one in result.summary:
        known = one.pgr or one.accuracy
        written = f"{words.ratio(known.value)} {words.ratios(known)}"
        text = join(tag("b", written), tag("br"), one.outcome) if one.pgr else f"{words.percent(known.value)}"
        tip = f"{one.method} on {one.structure} errors: accuracy {words.percent(one.accuracy.value)}"
        place = cut(one.structure, 30), cut(one.method, 30)
        cells[place] = Cell(text, min(1.0, max(0.0, 1 - known.value)), f"{tip} {words.percents(one.accuracy)}")
    title = "Performance gap recovered, by the place of the errors" if result.reason is None else "Accuracy"
    what = (
        "Every cell is a method on labels with the same number of errors in other places. The darker, the less of the "
        "gap from the weak model (0) to the ceiling (1) it recovers; 95% intervals in brackets. Survived and not "
        "survived are on either side of a half with the whole interval."
        if result.reason is None
        else f"No PGR is given: {words.prose(result.reason)}."
    )
    return tabled("survival", title, what, heat(names, [cut(one, 30) for one in result.methods], cells, title))


def accuracy(frame: LabFrame) -> Markup:
    """Accuracy of the first method on every structure, and of all in the table."""
    result = frame.result
    rows: Rows = [
        [
            cut(one.structure, 60),
            cut(one.method, 60),
            *share(one.accuracy),
            _pgr(one),
            words.points(one.gain),
            words.lost(one.loss),
            words.error(one.ece),
            words.percent(one.label_accuracy),
            words.percent(one.kept),
        ]
        for one in result.summary
    ]
    names = ["Accuracy", "95% interval", "PGR", "Above its supervisor", "Below the ceiling", "ECE", "Labels right"]
    first = [one for one in result.summary if one.method == result.methods[0]]
    dots = [
        _dot(one.structure, one.accuracy, STUDENTS[0].light, f"{one.method} on {one.structure} errors") for one in first
    ]
    bands = [
        Band(100 * one.low, 100 * one.high, colour.light)
        for one, colour in ((result.weak_accuracy, WEAK), (result.ceiling_accuracy, CEILING))
    ]
    chance = 100 / len(result.task.classes)
    ranges = [*((one.low, one.high) for one in dots), *((one.low, one.high) for one in bands)]
    edges = [chance, *(edge for pair in ranges for edge in pair)]
    axis = Axis(ACCURACY, max(0.0, min(edges) - 1), min(100.0, max(edges) + 1))
    drawing = rows_of_dots(dots, axis, bands=bands, rules=[Rule(chance, "an even guess", side="left")])
    title = f"Accuracy of {cut(result.methods[0], 40)} with errors in each place"
    what = (
        "A mark is the mean over seeds with its 95% interval. The shaded bands are the intervals of the weak model, "
        "whose number of errors all structures have, and of the ceiling. All methods are in the table."
    )
    counts = f"n = {words.count(first[0].n)}, {words.plural(first[0].seeds, 'seed')}."
    data = table([STRUCTURE, METHOD, *numbers(*names, "Labels kept")], rows, title)
    more = by_seed(
        [STRUCTURE, METHOD],
        result.rows,
        lambda row: [cut(row.structure, 60) or "none (ceiling)", cut(row.method, 60)],
    )
    return frame.panel("accuracy", title, what, drawing, counts, data, after=more, wide=True)


def tests(result: ErrorLabResult) -> Markup | None:
    """Every method on each structure against itself on random errors; None when there are none."""
    if not result.tests:
        return None
    what = (
        "Difference of accuracy of the same method on the same test items, seeds averaged, with its 95% interval. p "
        f"(Holm) is corrected for all {words.count(len(result.tests))} comparisons."
    )
    title = "Difference from random errors"
    errors: tuple[Column, Callable[[StructureTest], str]] = (STRUCTURE, lambda t: f"{cut(t.structure, 60)} − random")
    method: tuple[Column, Callable[[StructureTest], str]] = (METHOD, lambda t: cut(t.method, 60))
    return tabled("tests", title, what, differences(result.tests, title, errors, method))


def imitation(frame: LabFrame) -> Markup:
    """Agreement with the supervisor where it is wrong and where it is right."""
    result = frame.result
    rows: Rows = [
        [
            cut(one.structure, 60),
            cut(one.method, 60),
            *(_both(one.agrees_wrong)),
            *(_both(one.agrees_right)),
        ]
        for one in result.summary
    ]
    dots = []
    for one in [one for one in result.summary if one.method == result.methods[0]]:
        for figure, wrong in ((one.agrees_wrong, True), (one.agrees_right, False)):
            if figure:
                said = f"{one.method} on {one.structure} errors, supervisor {'wrong' if wrong else 'right'}"
                dots.append(_dot(one.structure, figure, (WEAK if wrong else STUDENTS[0]).light, said, hollow=wrong))
    axis = Axis("says what the supervisor says, %", -4, 104, values=tuple(range(0, 101, 20)))
    title = f"Agreement of {cut(result.methods[0], 40)} with its supervisor"
    what = (
        "Hollow: test items where the supervisor of the structure is wrong. Filled: where it is right. A learner that "
        "imitates has both far to the right; one that leaves the errors behind has the hollow marks to the left. "
        "Random errors show what agreement is left where nothing can be imitated."
    )
    columns = [STRUCTURE, METHOD, *numbers("Supervisor wrong", "95% interval", "Supervisor right", "95% interval")]
    counts = f"n = {words.count(result.summary[0].n)} test items, split anew by seed and structure."
    return frame.panel(
        "agreement", title, what, rows_of_dots(dots, axis), counts, table(columns, rows, title), wide=True
    )


def claims(result: ErrorLabResult) -> Markup:
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
    return tag("section", tag("h2", title), tag("p", what, class_="what"), table(columns, rows, title), id="claims")


def places(result: ErrorLabResult) -> Markup:
    """Return what each structure made of the labels."""
    classes = [cut(name, 20) for name in result.task.classes]
    rows: Rows = [
        [
            cut(one.structure, 60),
            words.count(round(sum(one.errors) / len(one.errors))),
            words.count(one.n),
            words.percent(one.shared),
            *(words.percent(part) for part in one.balance),
            cut("; ".join(_decided(facts) for facts in one.facts if _decided(facts)) or words.NONE, 300),
        ]
        for one in result.structures
    ]
    rows.append(["truth", words.count(0), words.count(result.structures[0].n), words.NONE])
    rows[-1] += [*(words.percent(part) for part in result.truth), words.NONE]
    what = (
        "Wrong labels of the transfer part, mean over seeds; how many of them the weak model makes too; the share of "
        "labels in each class; what a structure decided, by seed."
    )
    columns = [STRUCTURE, *numbers("Wrong", "Labels", "Shared with the weak model", *classes), Column("Decided")]
    title = "Where the errors were"
    return tag("section", tag("h2", title), tag("p", what, class_="what"), table(columns, rows, title), id="places")


def _decided(facts: dict[str, int | float]) -> str:
    more = {name: value for name, value in facts.items() if name not in ("errors", "shared")}
    return ", ".join(f"{name} {value:.3g}" for name, value in more.items())


def _dot(row: str, figure: Interval, colour: str, said: str, hollow: bool = False) -> Dot:
    value, low, high = (100 * part for part in (figure.value, figure.low, figure.high))
    tip = f"{cut(said, 80)}: {words.percent(figure.value)} {words.percents(figure)}"
    text = words.percent(figure.value, unit=False)
    return Dot(cut(row, 30), value, low, high, colour, tip, text=text, hollow=hollow)


def _pgr(one: StructureSummary) -> str:
    return f"{words.ratio(one.pgr.value)} {words.ratios(one.pgr)}" if one.pgr else "refused"


def _both(figure: Interval | None) -> tuple[str, str]:
    return share(figure) if figure else (words.NONE, words.NONE)
