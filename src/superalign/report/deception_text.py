"""The result of the deception study as a terminal shows it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from superalign.deception_result import DeceptionResult
from superalign.deception_verdict import told
from superalign.report import words
from superalign.report.deception_figures import pair
from superalign.report.markup import cut
from superalign.report.text import framed, grid, shared

if TYPE_CHECKING:
    from rich.console import RenderableType
    from rich.table import Table


def summary(result: DeceptionResult) -> RenderableType:
    """Return what a terminal shows of a result: the scores of weak labels, the claims, the verdict."""
    from rich.text import Text

    one = result.summary[0]
    said = (
        f"Score: share of the tax (right without the conflict, wrong with it) that only the strong model knows, with "
        f"Wilson's 95% interval; chance: their share among what could be taxed. {words.plural(one.n, 'test pair')}, "
        f"{words.plural(one.seeds, 'seed')}."
    )
    parts: list[RenderableType] = [_scores(result), Text(said, style="dim"), Text()]
    return framed(result, [*parts, _claims(result), Text()])


def _scores(result: DeceptionResult) -> Table:
    from rich.text import Text

    table = grid("weak > strong", "conflict", "tax", "score", "chance", "", text=2)
    for one in result.summary:
        if one.labels == "weak" and one.conflict != "none":
            cells = (words.percent(one.open_base), told(one))
            table.add_row(
                Text(pair(one, 60)),
                Text(one.conflict),
                Text(words.count(one.tax)),
                shared(one.score),
                *map(Text, cells),
            )
    return table


def _claims(result: DeceptionResult) -> Table:
    from rich.text import Text

    table = grid("claim", "here", text=2)
    for one in result.claims:
        table.add_row(Text(cut(one.claim, 160)), Text(one.status))
    return table
