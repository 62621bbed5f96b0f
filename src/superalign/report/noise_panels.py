"""The panels of the label-noise report: accuracy, tests, and what the labels were like."""

from __future__ import annotations

from collections.abc import Callable

from superalign.noise_result import LabelNoiseResult, NoiseTest
from superalign.noise_verdict import written
from superalign.report import noise_figures as figures
from superalign.report import words
from superalign.report.frame import Frame, Rows, difference, differences, numbers, share
from superalign.report.markup import Child, Column, Markup, cut, join, table, tag
from superalign.report.noise_figures import Who
from superalign.report.overview import card
from superalign.report.panels import by_seed

METHOD = Column("Method")
CARDS = 8
NoiseFrame = Frame[LabelNoiseResult]


def cards(result: LabelNoiseResult, book: Who) -> Markup:
    """Return one card for each of the first methods without a filter: accuracy and loss at the highest rate."""
    worst = max(result.rates)
    made = []
    for one in [one for one in result.summary if one.rate == worst and one.filter is None][:CARDS]:
        lost = tag("p", f"loss {words.lost(one.loss)}", class_="pgr") if one.loss else None
        n = f"{written(worst)} wrong labels, n = {words.count(one.n)}"
        made.append(card(book[one.objective], one.accuracy, n, lost))
    return tag("div", *made, class_="cards")


def accuracy(frame: NoiseFrame, after: str | None, place: int, book: Who) -> Markup:
    """Accuracy against the noise rate of the methods without a filter, or after one."""
    result = frame.result
    mine = [one for one in result.summary if one.filter == after]
    rows: Rows = [
        [
            cut(one.method, 60),
            written(one.rate),
            *share(one.accuracy),
            words.lost(one.loss) if one.loss else words.NONE,
            words.error(one.ece),
            one.seeds,
            words.count(one.n),
        ]
        for one in mine
    ]
    columns = [METHOD, *numbers("Wrong labels", "Accuracy", "95% interval", "Loss", "ECE", "Seeds", "n")]
    what = (
        "Each line is a method, each upright line a 95% interval; points of one rate stand side by side. Intervals of "
        "two methods may overlap where their paired difference is certain: the tests below tell."
    )
    hidden = len({one.method for one in mine}) - len({one.method for one in figures.drawn(result, after)})
    counts = f"n = {words.count(mine[0].n)}, {words.plural(mine[0].seeds, 'seed')}."
    counts += f" {words.plural(hidden, 'method')} in the table only." if hidden else ""
    title = f"Accuracy against the noise rate{f', labels after {cut(after, 40)}' if after else ''}"
    data, drawing = table(columns, rows, title), figures.accuracy(result, after, book)
    name = f"accuracy-{place}" if place else "accuracy"
    who = [METHOD, *numbers("Wrong labels")]
    more = None if place else by_seed(who, result.rows, lambda row: [cut(row.method, 60), written(row.rate)])
    return frame.panel(name, title, what, drawing, counts, data, after=more, wide=True)


def overview(result: LabelNoiseResult) -> Markup:
    """Return accuracy with its interval of every method at every rate, as one table."""
    rates = sorted(result.rates)
    rows: Rows = []
    for method in result.methods:
        found = [result.at(method, rate).accuracy for rate in rates]
        cells: list[Child] = [join(tag("b", words.percent(one.value)), f" {words.percents(one)}") for one in found]
        rows.append([cut(method, 60), *cells])
    title = "Accuracy at each rate"
    columns = [METHOD, *numbers(*(f"{written(rate)} wrong" for rate in rates))]
    return tag("section", tag("h3", title), table(columns, rows, title), class_="panel wide", id="rates")


def tests(frame: NoiseFrame, after: str | None, place: int, book: Who) -> Markup | None:
    """Paired tests of the methods of one filter against the first method; None when there are none."""
    result = frame.result
    mine = {one.method for one in result.summary if one.filter == after}
    found = [test for test in result.tests if test.a in mine]
    if not found:
        return None
    wrong: tuple[Column, Callable[[NoiseTest], str]] = (Column("Wrong labels", number=True), lambda t: written(t.rate))
    first = cut(result.methods[0], 40)
    what = (
        f"Difference of accuracy from {first} on the same test items, seeds averaged, with its 95% interval. p is "
        "two-sided and of the same bootstrap over test groups and seeds as the interval; p (Holm) is corrected for "
        f"all {words.count(len(result.tests))} comparisons of methods and rates."
    )
    counts = f"n = {words.count(found[0].n)} in {words.plural(found[0].groups, 'group')}."
    title = f"Difference from {first}{f', labels after {cut(after, 40)}' if after else ''}"
    data = differences(found, title, (Column("Difference"), difference), wrong)
    drawing = figures.differences(result, after, book)
    return frame.panel(f"tests-{place}" if place else "tests", title, what, drawing, counts, data, wide=True)


def labels(result: LabelNoiseResult) -> Markup | None:
    """Return what the labels were like where a filter changed them or their noise was estimated; else None."""
    rows: Rows = [
        [
            cut(one.method, 60),
            written(one.rate),
            words.percent(one.kept),
            words.percent(1 - one.label_accuracy),
            words.percent(one.estimated_noise),
        ]
        for one in result.summary
        if one.filter or one.estimated_noise is not None
    ]
    if not rows:
        return None
    what = (
        "What a method learned from, means over seeds: how many labels a filter left, how many of those were wrong "
        "(the truth, which no learner sees), and how many the method took for wrong, for an objective that must know."
    )
    columns = [METHOD, *numbers("Noise", "Labels kept", "Wrong among them", "Estimated wrong")]
    title = "What was left in the labels"
    listed = table(columns, rows, title)
    return tag("section", tag("h2", title), tag("p", what, class_="what"), listed, id="labels")
