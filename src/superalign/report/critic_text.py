"""The result of the critic-eval study as a terminal shows it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from superalign.critic_result import CriticEvalResult, CriticSummary
from superalign.critic_verdict import ranked
from superalign.report import words
from superalign.report.markup import cut
from superalign.report.text import framed, grid

if TYPE_CHECKING:
    from rich.console import RenderableType


def summary(result: CriticEvalResult) -> RenderableType:
    """Return what a terminal shows of a result: agreement, verdicts, planted flaws, cost, the verdict."""
    from rich.text import Text

    names = ["", "accuracy", "kappa", "verdicts", "s / 1,000"]
    planted = any(one.planted and one.planted.detected for one in result.summary)
    table = grid(*names, *(["flaws found"] if planted else []), text=1)
    for one in ranked(result.summary):
        accuracy, kappa = words.NONE, words.NONE
        if one.accuracy:
            accuracy = f"{words.percent(one.accuracy.value)} {words.percents(one.accuracy)}"
        if one.kappa:
            kappa = f"{words.ratio(one.kappa.value)} {words.ratios(one.kappa)}"
        cells = [accuracy, kappa, words.percent(one.coverage.value), words.quantity(one.cost.seconds)]
        table.add_row(Text(cut(one.critic, 60)), *map(Text, [*cells, *([_found(one)] if planted else [])]))
    said = f"{words.plural(result.summary[0].n, 'test case')}. In brackets: 95% intervals. {_flaws(planted)}".rstrip()
    return framed(result, [table, Text(said, style="dim"), Text()])


def _found(one: CriticSummary) -> str:
    if one.planted is None or one.planted.detected is None:
        return words.NONE
    alarms = one.planted.false_alarms
    found = words.percent(one.planted.detected.value)
    return f"{found} ({words.percent(alarms.value)})" if alarms else found


def _flaws(planted: bool) -> str:
    return "Of planted flaws, in parentheses: called bad untouched." if planted else ""
