"""A heat map as a table: every cell has its value in words, and a level that colours it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from superalign.report import words
from superalign.report.markup import Child, Markup, cut, tag


class Cell(NamedTuple):
    """What stands in a cell, its level in 0 to 1, and more about it."""

    text: Child
    level: float
    tip: str


def heat(down: Sequence[str], across: Sequence[str], cells: Mapping[tuple[str, str], Cell], label: str) -> Markup:
    """Return a heat map; cells that are missing are dashes.

    Args:
        down: names of the rows.
        across: names of the columns.
        cells: by row and column.
        label: what it shows.
    """
    head = tag("tr", tag("th", "", scope="col"), *(tag("th", cut(one, 30), scope="col") for one in across))
    rows = [
        tag("tr", tag("th", cut(row, 30), scope="row"), *(_cell(cells.get((row, column))) for column in across))
        for row in down
    ]
    whole = tag("table", tag("thead", head), tag("tbody", *rows), class_="heat")
    return tag("div", whole, class_="scroll", role="region", aria_label=label, tabindex=0)


def _cell(cell: Cell | None) -> Markup:
    if cell is None:
        return tag("td", words.NONE, class_="empty")
    return tag("td", cell.text, style=f"--level:{round(70 * cell.level)}%", title=cut(cell.tip, 300))
