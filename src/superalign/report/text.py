"""The result of the weak-to-strong study as a terminal shows it, and what all such summaries share."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from superalign.report import words
from superalign.report.finding import headline, left_out
from superalign.report.markup import cut
from superalign.report.results import Shown
from superalign.report.series import NAMES
from superalign.result import PGR, Interval, Summary, WeakToStrongResult

if TYPE_CHECKING:
    from rich.console import RenderableType
    from rich.table import Table
    from rich.text import Text

MAX_WARNINGS = 5


def summary(result: WeakToStrongResult) -> RenderableType:
    """Return what a terminal shows of a result: finding, figures with intervals, tests, warnings, what was left out.

    All text is shown as it is: markup and terminal escape sequences in it have no effect.
    """
    from rich.text import Text

    parts: list[RenderableType] = [*_accuracy(result), *_refusals(result), *_uneven(result), Text()]
    if result.tests:
        parts += [_tests(result), Text()]
    return framed(result, parts)


def framed(result: Shown, figures: Sequence[RenderableType]) -> RenderableType:
    """Return the figures of a study below its headline and above its verdict, warnings and what was left out."""
    from rich.console import Group
    from rich.text import Text

    parts: list[RenderableType] = [Text(cut(headline(result), 200), style="bold"), Text(), *figures]
    parts += [Text(cut(words.prose(sentence), 400)) for sentence in result.verdict] + [Text()]
    parts += [Text(f"Warning: {cut(flag, 400)}", style="yellow") for flag in result.flags]
    parts += [Text(f"Data: {cut(warning, 400)}", style="yellow") for warning in result.task.warnings[:MAX_WARNINGS]]
    missing = left_out(result)
    parts += [Text(f"Left out: {cut(why, 400)}", style="dim") for item in missing for why in item.why]
    if not missing:
        parts.append(Text("Left out: nothing.", style="dim"))
    return Group(*parts)


def _accuracy(result: WeakToStrongResult) -> list[RenderableType]:
    """Return a row for each learner. What is the same in all rows stands below, so that 80 columns hold the rest."""
    from rich.text import Text

    roles = [one.role for one in result.summary]
    sizes = [(words.plural(one.n, "test item"), words.plural(one.seeds, "seed")) for one in result.summary]
    alike = len(set(sizes)) == 1
    table = grid("", "accuracy", "PGR", *(() if alike else ("test items", "seeds")), text=1)
    recovered = {pgr.method: pgr for pgr in result.pgr}
    for one in result.summary:
        student = one.role == "student"
        name = _name(one, roles.count(one.role))
        sized = () if alike else (words.count(one.n), str(one.seeds))
        cells = (_pgr(recovered.get(one.method) if student else None), *sized)
        table.add_row(Text(name, style="bold" if student else ""), shared(one.accuracy), *map(Text, cells))
    said = ["In brackets: 95% intervals", *(sizes[0] if alike and sizes else ())]
    return [table, Text(f"{', '.join(said)}.", style="dim")]


def _name(one: Summary, of_role: int) -> str:
    return f"{NAMES[one.role]} · {cut(one.method, 40)}" if one.role == "student" or of_role > 1 else NAMES[one.role]


def _uneven(result: WeakToStrongResult) -> list[RenderableType]:
    """Return the scores that do not follow the commonest class, where there is one."""
    from rich.text import Text

    if not result.uneven or result.majority is None:
        return []
    roles = [one.role for one in result.summary]
    table = grid("", "balanced accuracy", "weighted F1", text=1)
    for one in result.summary:
        table.add_row(Text(_name(one, roles.count(one.role))), shared(one.balanced_accuracy), shared(one.weighted_f1))
    said = f"To say the commonest class always is right on {words.percent(result.majority)} of the test items."
    return [Text(), table, Text(said, style="dim")]


def _pgr(pgr: PGR | None) -> str:
    if pgr is None:
        return ""
    return f"{words.ratio(pgr.pooled.value)} {words.ratios(pgr.pooled)}" if pgr.pooled else "refused"


def _refusals(result: WeakToStrongResult) -> list[RenderableType]:
    from rich.text import Text

    reasons = {pgr.reason or "no reason was recorded" for pgr in result.pgr if pgr.pooled is None}
    return [Text(cut(f"No PGR is given: {words.prose(reason)}.", 400), style="yellow") for reason in sorted(reasons)]


def _tests(result: WeakToStrongResult) -> Table:
    from rich.text import Text

    table = grid("", "points", "95% interval", "p", "p (Holm)", text=1)
    for test in result.tests:
        value, _, interval = words.points(test.difference).partition(" ")
        cells = (
            f"{cut(test.a, 40)} − {cut(test.b, 40)}",
            value,
            interval,
            words.p_value(test.p),
            words.p_value(test.p_holm),
        )
        table.add_row(*map(Text, cells))
    return table


def grid(*columns: str, text: int) -> Table:
    """Return an empty table; after the first `text` columns come numbers, flush right and never folded."""
    from rich import box
    from rich.table import Table

    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, header_style="dim", show_edge=False)
    for place, name in enumerate(columns):
        text_like = place < text
        table.add_column(name, justify="left" if text_like else "right", no_wrap=not text_like, overflow="fold")
    return table


def shared(figure: Interval | None) -> Text:
    """Return a cell with a share and its interval, a dash where there is none."""
    from rich.text import Text

    if figure is None:
        return Text(words.NONE)
    return Text.assemble((words.percent(figure.value), "bold"), " ", words.percents(figure))
