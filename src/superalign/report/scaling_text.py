"""The result of the scaling study as a terminal shows it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from superalign.report import words
from superalign.report.markup import cut
from superalign.report.text import framed, grid
from superalign.scaling_result import ScalingResult
from superalign.scaling_verdict import trend

if TYPE_CHECKING:
    from rich.console import RenderableType
    from rich.table import Table


def summary(result: ScalingResult) -> RenderableType:
    """Return what a terminal shows of a result: each method over the grid, PGR by pair, what moves with size."""
    from rich.text import Text

    first = result.methods[0]
    grid_of = (
        f"Mean PGR of {cut(first, 40)} over tasks, and how many have one; rows are weak models, columns strong ones, "
        "smallest first."
    )
    parts: list[RenderableType] = [_methods(result), Text()]
    parts += [_pairs(result, first), Text(grid_of, style="dim"), Text()]
    parts += [
        _trends(result),
        Text("Spearman's rho within a task, mean over tasks, 95% interval.", style="dim"),
        Text(),
    ]
    return framed(result, parts)


def _methods(result: ScalingResult) -> Table:
    from rich.text import Text

    table = grid("", "mean PGR", "median", "cells", "with PGR", "above weak", "below", text=1)
    for one in result.summary:
        mean = f"{words.ratio(one.pgr.value)} {words.ratios(one.pgr)}" if one.pgr else words.NONE
        counts = map(words.count, (one.cells, one.defined, one.above, one.below))
        table.add_row(Text(cut(one.method, 60)), *map(Text, (mean, words.ratio(one.median), *counts)))
    return table


def _pairs(result: ScalingResult, method: str) -> Table:
    from rich.text import Text

    strong = [size.model for size in result.sizes if any(cell.strong == size.model for cell in result.cells)]
    table = grid("", *(_short(name) for name in strong), text=1)
    for weak in (size.model for size in result.sizes if any(cell.weak == size.model for cell in result.cells)):
        cells = []
        for name in strong:
            mine = [c for c in result.cells if (c.weak, c.strong, c.method) == (weak, name, method)]
            known = [c.pgr.value for c in mine if c.pgr]
            shown = f"{words.ratio(sum(known) / len(known))} ({len(known)})" if known else "none"
            cells.append(shown if mine else words.NONE)
        table.add_row(Text(_short(weak)), *map(Text, cells))
    return table


def _trends(result: ScalingResult) -> Table:
    from rich.text import Text

    table = grid("", "method", "rho", "95% interval", "", text=2)
    for one in result.trends:
        interval = words.ratios(one.interval) if one.interval else words.NONE
        table.add_row(*map(Text, (trend(one), cut(one.method, 40), words.ratio(one.rho), interval, one.finding)))
    return table


def _short(name: str) -> str:
    """Return a model's name without the kind that most of them share, for narrow columns."""
    return cut(name.removeprefix("embedded:"), 28)
