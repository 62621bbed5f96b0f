"""The result of `recommend` as a terminal shows it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from superalign.recommend_result import RecommendResult
from superalign.recommend_verdict import called, told_apart
from superalign.report import words
from superalign.report.markup import cut
from superalign.report.text import framed, grid, shared
from superalign.result import Interval

if TYPE_CHECKING:
    from rich.console import RenderableType
    from rich.table import Table

SHOWN = 20


def summary(result: RecommendResult) -> RenderableType:
    """Return what a terminal shows of a result: the candidates in their order, the supervisors, the check."""
    from rich.text import Text

    note = (
        f"Predicted from {words.count(result.gold)} gold labels; gain: over its supervisor, on these. A dot: not told "
        "apart from the first. In brackets: 95% intervals."
    )
    parts: list[RenderableType] = [_candidates(result), Text(note, style="dim"), Text(), _supervisors(result), Text()]
    if result.check:
        parts += [_predictors(result), Text("Means over seeds; candidates with a supervisor.", style="dim"), Text()]
    return framed(result, parts)


def _candidates(result: RecommendResult) -> Table:
    from rich.text import Text

    table = grid("", "", "predicted", "gain, points", text=2)
    for one in result.candidates[:SHOWN]:
        mark = "" if told_apart(one) else " ·"
        head = map(Text, (f"{one.rank}{mark}", cut(called(one).replace("embedded:", ""), 60)))
        table.add_row(*head, shared(one.predicted), Text(words.points(one.gain) if one.gain else words.NONE))
    return table


def _supervisors(result: RecommendResult) -> Table:
    from rich.text import Text

    table = grid("supervisor", "accuracy", "squared error", "errors like strong", text=1)
    for one in result.supervisors:
        figures = (words.error(one.squared_error), words.ratio(one.error_similarity))
        table.add_row(Text(cut(one.model.replace("embedded:", ""), 50)), shared(one.accuracy), *map(Text, figures))
    return table


def _predictors(result: RecommendResult) -> Table:
    from rich.text import Text

    table = grid("figure", "rho with the truth", "regret, points", text=1)
    for one in result.check.predictors if result.check else ():
        table.add_row(Text(one.figure), Text(rho(one.correlation)), Text(words.lost(one.regret)))
    return table


def rho(figure: Interval | None) -> str:
    """Write a rank correlation with its interval."""
    return f"{words.ratio(figure.value)} {words.ratios(figure)}" if figure else words.NONE
