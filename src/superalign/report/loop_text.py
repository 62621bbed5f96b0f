"""The result of the loop study as a terminal shows it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from superalign.loop_result import LoopResult
from superalign.report import words
from superalign.report.markup import cut
from superalign.report.text import framed, grid, shared

if TYPE_CHECKING:
    from rich.console import RenderableType
    from rich.table import Table

MEASURES = {
    "held_out": "broken, never trained on",
    "trained": "broken, trained on",
    "plain": "plain answers right",
    "evidence": "true evidence accepted",
    "false_evidence": "false evidence followed",
    "over_refusal": "benign requests refused",
}
HEADS = {"held_out": "held out", "over_refusal": "refused"}


def summary(result: LoopResult) -> RenderableType:
    """Return what a terminal shows of a result: before and after, the rounds, the arms, the verdict."""
    from rich.text import Text

    parts: list[RenderableType] = [_exam(result), Text("In brackets: 95% intervals.", style="dim"), Text()]
    parts += [_rounds(result), Text()] if result.rows else []
    parts += [_arms(result), Text("After the last round.", style="dim"), Text()] if len(result.arms) > 1 else []
    return framed(result, parts)


def _exam(result: LoopResult) -> Table:
    from rich.text import Text

    table = grid("", "before", "after", text=1)
    arm = result.arms[0] if result.arms else ""
    before, after = result.of(arm, "before"), result.of(arm, "after")
    for name in result.measured:
        table.add_row(Text(MEASURES[name]), *(shared(getattr(one, name) if one else None) for one in (before, after)))
    text = [Text(words.ratio(one.text) if one else words.NONE) for one in (before, after)]
    table.add_row(Text("general text, nats a token"), *text)
    return table


def _rounds(result: LoopResult) -> Table:
    """Return the rounds of the first arm."""
    from rich.text import Text

    table = grid("seed", "round", "broken", "verdicts right", "expert", "gate", text=0)
    for row in result.rows:
        if row.arm == result.arms[0]:
            cells = [row.seed, row.round, words.percent(row.broken), words.percent(row.label_accuracy), row.experts]
            gate = Text(row.fate, style="" if row.fate == "passed" else "yellow")
            table.add_row(*(Text(str(cell)) for cell in cells), gate)
    return table


def _arms(result: LoopResult) -> Table:
    from rich.text import Text

    shown = [name for name in result.measured if name != "false_evidence"]
    table = grid("arm", *(HEADS.get(name, name) for name in shown), "passed", text=1)
    for arm in result.arms:
        after = result.of(arm, "after")
        shares = [getattr(after, name, None) for name in shown]
        mine = [row.accepted for row in result.rows if row.arm == arm]
        cells = [words.percent(one.value) if one else words.NONE for one in shares]
        table.add_row(Text(cut(arm, 40)), *map(Text, cells), Text(f"{sum(mine)} of {len(mine)}"))
    return table
