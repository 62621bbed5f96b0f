"""The result of the study of balance as a terminal shows it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from superalign.balance_result import BalanceResult
from superalign.report import words
from superalign.report.markup import cut
from superalign.report.text import framed, grid, shared

if TYPE_CHECKING:
    from rich.console import RenderableType
    from rich.table import Table

AXES_SHOWN = 3  # columns that a narrow terminal holds
NAMED = {"base": "model itself", "expert": "expert ", "mixture": "mix ", "merge": ""}


def summary(result: BalanceResult) -> RenderableType:
    """Return what a terminal shows of a result: every arm by axis, and the claims."""
    from rich.text import Text

    n, seeds = sum(axis.test for axis in result.axes), result.summary[0].seeds
    rest = len(result.axes) - AXES_SHOWN
    said = (
        f"Share of probes answered as wanted; {words.plural(n, 'test probe')}, {words.plural(seeds, 'seed')}. In "
        f"brackets: 95% intervals. * bettered by none on all axes. > chosen by validation ({result.chosen.by})."
        + (f" {words.plural(rest, 'more axis', f'{rest} more axes')} in the report." if rest > 0 else "")
    )
    parts: list[RenderableType] = [_arms(result), Text(said, style="dim"), Text()]
    return framed(result, [*parts, _claims(result), Text()])


def _arms(result: BalanceResult) -> Table:
    from rich.text import Text

    axes = [axis.axis for axis in result.axes][:AXES_SHOWN]
    table = grid("", *(cut(axis, 14) for axis in axes), "worst", "average", text=1)
    chosen = {("merge", result.chosen.merge), ("mixture", result.chosen.mixture)}
    for one in result.summary:
        mark = ">" if (one.kind, one.arm) in chosen else " "
        name = NAMED[one.kind] + ("" if one.kind == "base" else cut(one.arm, 24))
        cells = [words.percent(one.scores[axis].value, unit=False) for axis in axes]
        worst = words.percent(one.worst.value, unit=False)
        table.add_row(
            Text(f"{mark}{name}{' *' if one.front else ''}"), *map(Text, cells), Text(worst), shared(one.average)
        )
    return table


def _claims(result: BalanceResult) -> Table:
    from rich.text import Text

    table = grid("claim", "here", text=2)
    for one in result.claims:
        table.add_row(Text(one.claim), Text(one.finding))
    return table
