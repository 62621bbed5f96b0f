"""The result as a terminal shows it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from superalign.report import words
from superalign.report.finding import headline, left_out
from superalign.report.markup import cut
from superalign.report.series import NAMES
from superalign.result import PGR, WeakToStrongResult

if TYPE_CHECKING:
    from rich.console import RenderableType
    from rich.table import Table

MAX_WARNINGS = 5


def summary(result: WeakToStrongResult) -> RenderableType:
    """Return what a terminal shows of a result: finding, figures with intervals, tests, warnings, what was left out.

    All text is shown as it is: markup and terminal escape sequences in it have no effect.
    """
    from rich.console import Group
    from rich.text import Text

    parts: list[RenderableType] = [Text(cut(headline(result), 200), style="bold"), Text()]
    parts += [_accuracy(result), *_refusals(result), Text()]
    if result.tests:
        parts += [_tests(result), Text()]
    parts += [Text(cut(words.prose(sentence), 400)) for sentence in result.verdict] + [Text()]
    parts += [Text(f"Warning: {cut(flag, 400)}", style="yellow") for flag in result.flags]
    parts += [Text(f"Data: {cut(warning, 400)}", style="yellow") for warning in result.task.warnings[:MAX_WARNINGS]]
    missing = left_out(result)
    parts += [Text(f"Left out: {cut(why, 400)}", style="dim") for item in missing for why in item.why]
    if not missing:
        parts.append(Text("Left out: nothing.", style="dim"))
    return Group(*parts)


def _accuracy(result: WeakToStrongResult) -> Table:
    from rich.text import Text

    table = _table("", "method", "accuracy", "95% interval", "PGR", "95% interval", "n", "seeds")
    recovered = {pgr.method: pgr for pgr in result.pgr}
    for one in result.summary:
        pgr = recovered.get(one.method) if one.role == "student" else None
        table.add_row(
            Text(NAMES[one.role], style="bold" if one.role == "student" else ""),
            Text(cut(one.method, 40)),
            Text(words.percent(one.accuracy.value), style="bold"),
            Text(words.percents(one.accuracy)),
            *map(Text, _pgr(pgr)),
            Text(words.count(one.n)),
            Text(str(one.seeds)),
        )
    return table


def _pgr(pgr: PGR | None) -> tuple[str, str]:
    if pgr is None:
        return "", ""
    return (words.ratio(pgr.pooled.value), words.ratios(pgr.pooled)) if pgr.pooled else ("refused", "")


def _refusals(result: WeakToStrongResult) -> list[RenderableType]:
    from rich.text import Text

    reasons = {pgr.reason or "no reason was recorded" for pgr in result.pgr if pgr.pooled is None}
    return [Text(cut(f"No PGR is given: {words.prose(reason)}.", 400), style="yellow") for reason in sorted(reasons)]


def _tests(result: WeakToStrongResult) -> Table:
    from rich.text import Text

    table = _table("", "points", "95% interval", "p", text=1)
    for test in result.tests:
        value, _, interval = words.points(test.difference).partition(" ")
        cells = (f"{cut(test.a, 40)} − {cut(test.b, 40)}", value, interval, words.p_value(test.p))
        table.add_row(*map(Text, cells))
    return table


def _table(*columns: str, text: int = 2) -> Table:
    from rich import box
    from rich.table import Table

    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, header_style="dim", show_edge=False)
    for place, name in enumerate(columns):
        table.add_column(name, justify="left" if place < text else "right", no_wrap=place >= text)
    return table
