"""The result of the label-noise study as a terminal shows it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from superalign.noise_result import LabelNoiseResult
from superalign.noise_verdict import written
from superalign.report import words
from superalign.report.markup import cut
from superalign.report.text import framed, grid, shared

if TYPE_CHECKING:
    from rich.console import RenderableType
    from rich.table import Table

RATES_SHOWN = 5  # columns that a narrow terminal holds beside the names


def summary(result: LabelNoiseResult) -> RenderableType:
    """Return what a terminal shows of a result: accuracy at each rate, the highest rate in full, the verdict."""
    from rich.text import Text

    one = result.summary[0]
    worst = written(max(result.rates))
    said = (
        f"Accuracy on {words.plural(one.n, 'test item')}, {words.plural(one.seeds, 'seed')}, by the share of wrong "
        "labels; its intervals are in the report and in results.json."
    )
    full = f"At {worst} wrong labels. In brackets: 95% intervals, in points."
    parts: list[RenderableType] = [_rates(result), Text(said, style="dim"), Text()]
    return framed(result, [*parts, _worst(result), Text(full, style="dim"), Text()])


def _rates(result: LabelNoiseResult) -> Table:
    """Return accuracy by method and rate; of many rates, some that are spread evenly with both ends."""
    from rich.text import Text

    rates = sorted(result.rates)
    if len(rates) > RATES_SHOWN:
        places = {round(i * (len(rates) - 1) / (RATES_SHOWN - 1)) for i in range(RATES_SHOWN)}
        rates = [rates[place] for place in sorted(places)]
    table = grid("", *(written(rate) for rate in rates), text=1)
    for method in result.methods:
        figures = [words.percent(result.at(method, rate).accuracy.value) for rate in rates]
        table.add_row(Text(cut(method, 60)), *map(Text, figures))
    return table


def _worst(result: LabelNoiseResult) -> Table:
    """Return accuracy, loss and the difference from the first method at the highest rate."""
    from rich.text import Text

    worst = max(result.rates)
    tests = {test.a: test for test in result.tests if test.rate == worst}
    table = grid("", "accuracy", "loss", *(["p (Holm)"] if tests else []), text=1)
    for method in result.methods:
        one, test = result.at(method, worst), tests.get(method)
        loss = f"{words.percent(one.loss.value, unit=False)} {words.percents(one.loss)}" if one.loss else words.NONE
        p = [words.p_value(test.p_holm) if test else ""] if tests else []
        table.add_row(Text(cut(method, 60)), shared(one.accuracy), *map(Text, [loss, *p]))
    return table
