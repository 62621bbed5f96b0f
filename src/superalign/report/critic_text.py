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
    from rich.table import Table


def summary(result: CriticEvalResult) -> RenderableType:
    """Return what a terminal shows of a result: agreement, verdicts, planted flaws, cost, the verdict."""
    from rich.text import Text

    said = f"{words.plural(result.summary[0].n, 'test case')}. In brackets: 95% intervals."
    parts: list[RenderableType] = [_agreement(result), Text(said, style="dim"), Text()]
    planted = any(one.planted and one.planted.detected for one in result.summary)
    more = "Of 1,000 judgements." + (" In parentheses: untouched responses called bad." if planted else "")
    return framed(result, [*parts, _cost(result, planted), Text(more, style="dim"), Text()])


def _agreement(result: CriticEvalResult) -> Table:
    from rich.text import Text

    table = grid("", "accuracy", "kappa", "verdicts", text=1)
    for one in ranked(result.summary):
        accuracy, kappa = words.NONE, words.NONE
        if one.accuracy:
            accuracy = f"{words.percent(one.accuracy.value)} {words.percents(one.accuracy)}"
        if one.kappa:
            kappa = f"{words.ratio(one.kappa.value)} {words.ratios(one.kappa)}"
        table.add_row(Text(cut(one.critic, 60)), *map(Text, [accuracy, kappa, words.percent(one.coverage.value)]))
    return table


def _cost(result: CriticEvalResult, planted: bool) -> Table:
    """Return what 1,000 judgements take, and where flaws were planted who finds them."""
    from rich.text import Text

    table = grid("", "seconds", "tokens", *(["flaws found"] if planted else []), text=1)
    for one in ranked(result.summary):
        tokens = words.quantity(one.cost.tokens_in + one.cost.tokens_out)
        cells = [words.quantity(one.cost.seconds), tokens, *([_found(one)] if planted else [])]
        table.add_row(Text(cut(one.critic, 60)), *map(Text, cells))
    return table


def _found(one: CriticSummary) -> str:
    if one.planted is None or one.planted.detected is None:
        return words.NONE
    alarms = one.planted.false_alarms
    found = words.percent(one.planted.detected.value)
    return f"{found} ({words.percent(alarms.value)})" if alarms else found
