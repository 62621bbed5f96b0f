"""The result of the attack study as a terminal shows it."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

from superalign.attack_result import AttackResult
from superalign.report import words
from superalign.report.markup import cut
from superalign.report.text import framed, grid, shared

if TYPE_CHECKING:
    from rich.console import RenderableType
    from rich.table import Table

TACTICS_SHOWN = 14


def summary(result: AttackResult) -> RenderableType:
    """Return what a terminal shows of a result: attacks, the strongest tactics, the verdict."""
    from rich.text import Text

    said = "Broken goals, with the median query that broke one; attempts by tactic. In brackets: 95% intervals."
    return framed(result, [_attacks(result), Text(), _tactics(result), Text(said, style="dim"), Text()])


def _attacks(result: AttackResult) -> Table:
    from rich.text import Text

    errors = Counter(row.attack for row in result.rows if row.outcome == "error")
    table = grid("", "goals broken", "n", "queries", "median", *(["errors"] if errors else []), text=1)
    for one in result.summary:
        median = f"{one.queries_to_success:g}" if one.queries_to_success else words.NONE
        cells = [str(one.n), words.count(one.queries), median, *([str(errors[one.attack])] if errors else [])]
        table.add_row(Text(cut(one.attack, 40)), shared(one.success), *map(Text, cells))
    return table


def _tactics(result: AttackResult) -> Table:
    from rich.text import Text

    table = grid("tactic", "attempts broken", "n", "undetermined", text=1)
    known = [one for one in result.tactics if one.success]
    known.sort(key=lambda one: -(one.success.value if one.success else 0.0))
    for one in known[:TACTICS_SHOWN]:
        cells = (str(one.n), str(one.undetermined))
        table.add_row(Text(cut(result.named(one), 40)), shared(one.success), *map(Text, cells))
    return table
