"""The result of the error lab as a terminal shows it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from superalign.report import words
from superalign.report.markup import cut
from superalign.report.text import framed, grid, shared
from superalign.structure_result import ErrorLabResult, StructureSummary

if TYPE_CHECKING:
    from rich.console import RenderableType
    from rich.table import Table

METHODS_SHOWN = 4  # columns that a narrow terminal holds beside the names
MARKS = {"survived": "+", "not survived": "-", "not told": "?", "no gap": ""}


def summary(result: ErrorLabResult) -> RenderableType:
    """Return what a terminal shows of a result: PGR by structure and method, the first method in full, the claims."""
    from rich.text import Text

    one = result.summary[0]
    rest = len(result.methods) - METHODS_SHOWN
    what = "PGR" if result.reason is None else "Accuracy"
    said = (
        f"{what} on {words.plural(one.n, 'test item')}, {words.plural(one.seeds, 'seed')}, by where the errors are. "
        + ("+ survived, - not survived, ? not told (95% interval against a half). " if result.reason is None else "")
        + (f"{words.plural(rest, 'more method')} in the report. " if rest > 0 else "")
    )
    full = f"{one.method}. In brackets: 95% intervals. Last: its supervisor's errors on test items that it repeats."
    parts: list[RenderableType] = [_survival(result), Text(said.rstrip(), style="dim"), Text()]
    parts += [_first(result), Text(cut(full, 200), style="dim"), Text(), _claims(result), Text()]
    return framed(result, parts)


def _survival(result: ErrorLabResult) -> Table:
    from rich.text import Text

    methods = result.methods[:METHODS_SHOWN]
    table = grid("errors", *(cut(method, 22) for method in methods), text=1)
    for one in result.structures:
        cells = [_cell(result.at(one.structure, method)) for method in methods]
        table.add_row(Text(cut(one.structure, 30)), *map(Text, cells))
    return table


def _cell(one: StructureSummary) -> str:
    if one.pgr is None:
        return words.percent(one.accuracy.value)
    return f"{words.ratio(one.pgr.value)} {MARKS[one.outcome]}"


def _first(result: ErrorLabResult) -> Table:
    """Return accuracy, the difference from random errors and agreement with the errors, of the first method."""
    from rich.text import Text

    tests = {test.structure: test for test in result.tests if test.method == result.methods[0]}
    table = grid("errors", "accuracy", *(["p (Holm)"] if tests else []), "repeats", text=1)
    for name, figure in (("(weak model)", result.weak_accuracy), ("(ceiling)", result.ceiling_accuracy)):
        table.add_row(Text(name, style="dim"), shared(figure), *map(Text, [""] * (len(table.columns) - 2)))
    for facts in result.structures:
        one, test = result.at(facts.structure, result.methods[0]), tests.get(facts.structure)
        p = [words.p_value(test.p_holm) if test else ""] if tests else []
        wrong = words.percent(one.agrees_wrong.value) if one.agrees_wrong else words.NONE
        table.add_row(Text(cut(one.structure, 30)), shared(one.accuracy), *map(Text, [*p, wrong]))
    return table


def _claims(result: ErrorLabResult) -> Table:
    from rich.text import Text

    table = grid("claim", "here", text=2)
    for one in result.claims:
        table.add_row(Text(one.claim), Text(one.finding))
    return table
