"""The panels that compare roles and methods: accuracy, PGR, agreement, paired tests."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TypeVar

from superalign.report import figures, words
from superalign.report.frame import WHO, Frame, Rows, differences, numbers, share
from superalign.report.markup import Child, Column, Markup, cut, table, tag
from superalign.report.overview import beside, refusals
from superalign.result import Row, ScoredRow, WeakToStrongResult

R = TypeVar("R", bound=ScoredRow)
ROWS_SHOWN = 300


def accuracy(frame: Frame[WeakToStrongResult]) -> Markup:
    """Accuracy of every role, method and seed."""
    result = frame.result
    rows: Rows = [
        [
            frame.name(s.role, s.method),
            *share(s.accuracy),
            *(
                cell
                for figure in (s.balanced_accuracy, s.weighted_f1)
                if result.uneven and figure
                for cell in share(figure)
            ),
            words.error(s.ece),
            s.seeds,
            words.count(s.n),
        ]
        for s in result.summary
    ]
    by_class = ("Balanced accuracy", "95% interval", "Weighted F1", "95% interval") if result.uneven else ()
    columns = [WHO, *numbers("Accuracy", "95% interval", *by_class, "ECE", "Seeds", "n")]
    data = table(columns, rows, "Accuracy")
    what = (
        "A large mark is the mean over seeds with its 95% interval, a small ring one seed. The shaded bands are the "
        "intervals of the floor (the weak supervisor) and of the ceiling (the strong model trained on the truth)."
    )
    n = max((s.n for s in result.summary), default=0)
    drawing, counts = figures.accuracy(result, frame.book), f"n = {words.count(n)}."
    if result.uneven and result.majority is not None:
        counts += f" The commonest class has {words.percent(result.majority)} of them."
    more = by_seed([WHO], result.rows, lambda row: [frame.name(row.role, row.method)])
    return frame.panel("accuracy", "Accuracy", what, drawing, counts, data, after=more)


def recovered(frame: Frame[WeakToStrongResult]) -> Markup:
    """Performance gap recovered, or why it is refused."""
    result, title = frame.result, "Performance gap recovered"
    gap = f"Ceiling − weak is {words.points(result.gap)} points."
    if all(one.pooled is None for one in result.pgr):
        counts = beside(result, gap, pgr=True)
        return tag("section", tag("h3", title), refusals(result), counts, class_="panel", id="pgr")
    rows: Rows = []
    for one in result.pgr:
        value, interval = ("refused", None)
        if one.pooled:
            value, interval = words.ratio(one.pooled.value), words.ratios(one.pooled)
        seeds = [f"{s.seed}:\u00a0{'refused' if s.value is None else words.ratio(s.value)}" for s in one.seeds]
        rows.append([cut(one.method, 60), value, interval, ", ".join(seeds)])
    data = table([Column("Method"), *numbers("PGR", "95% interval"), Column("By seed")], rows, title)
    low, high = figures.PGR_AXIS
    beyond = sum(s.value is not None and not low <= s.value <= high for one in result.pgr for s in one.seeds)
    hidden = f" {words.plural(beyond, 'seed')} beyond the axis." if beyond else ""
    what = (
        "The part of the way from supervisor (0) to ceiling (1) that a student makes: "
        "(student − weak) / (ceiling − weak). Rings are single seeds."
    )
    drawing = figures.pgr(result, frame.book)
    return frame.panel("pgr", title, what, drawing, gap + hidden, data, after=refusals(result), pgr=True)


def agreement(frame: Frame[WeakToStrongResult]) -> Markup:
    """Agreement with the supervisor, split by whether the supervisor is right."""
    result, title = frame.result, "Agreement with the supervisor"
    rows: Rows = []
    for key in frame.book:
        mine = [row for row in result.rows if (row.role, row.method) == key and row.agreement is not None]
        if mine:
            fields = ("agreement", "agreement_when_right", "agreement_when_wrong", "label_accuracy")
            rows.append([frame.name(*key), *(words.percent(_mean(mine, field)) for field in fields)])
    columns = [WHO, *numbers("All", "Supervisor right", "Supervisor wrong", "Accuracy of its labels")]
    what = (
        "Filled: test items where the supervisor is right. Hollow: where it is wrong. A student that only imitates "
        "has both far to the right; one that goes beyond its supervisor leaves the mistakes behind."
    )
    wrong = [row.n_supervisor_wrong for row in result.rows if row.n_supervisor_wrong is not None]
    counts = f"The supervisor is wrong on {_range(wrong)} test items, by seed." if wrong else ""
    drawing, data = figures.agreement(result, frame.book), table(columns, rows, title)
    return frame.panel("agreement", title, what, drawing, counts, data)


def tests(frame: Frame[WeakToStrongResult]) -> Markup:
    """Paired tests between learners."""
    what = (
        "Difference of accuracy on the same test items, seeds averaged, with its 95% interval. "
        "p is two-sided and of the same bootstrap over test groups and seeds as the interval; p (Holm) is corrected "
        "for all comparisons with the supervisor, or for all among methods."
    )
    first = frame.result.tests[0]
    counts = f"n = {words.count(first.n)} in {words.plural(first.groups, 'group')}."
    data = differences(frame.result.tests, "Paired tests")
    return frame.panel("tests", "Paired tests", what, figures.tests(frame.result), counts, data)


def by_seed(who: list[Column], rows: Sequence[R], names: Callable[[R], list[Child]]) -> Markup:
    """Return the figures of every learner and seed, folded.

    Args:
        who: columns that say which learner it is.
        rows: of the result.
        names: what stands in those columns.
    """
    shown: Rows = [
        [
            *names(row),
            row.seed,
            words.percent(row.accuracy),
            words.count(row.correct),
            words.count(row.n),
            words.error(row.ece),
            cut(", ".join(f"{name} {value}" for name, value in row.facts.items()), 160),
        ]
        for row in rows[:ROWS_SHOWN]
    ]
    columns = [*who, *numbers("Seed", "Accuracy", "Right", "n", "ECE"), Column("Training")]
    rest = len(rows) - len(shown)
    more = tag("p", f"{words.plural(rest, 'more row')} in results.csv.", class_="beside") if rest else None
    return tag("details", tag("summary", "Numbers by seed"), table(columns, shown, "Accuracy by seed"), more)


def _mean(rows: list[Row], field: str) -> float | None:
    known = [value for row in rows if (value := getattr(row, field)) is not None]
    return sum(known) / len(known) if known else None


def _range(values: list[int]) -> str:
    low, high = min(values), max(values)
    return words.count(low) if low == high else f"{words.count(low)} to {words.count(high)}"
