"""The page, the terminal summary and the sentences of the scaling study."""

from __future__ import annotations

import io
import re
from typing import Any

import pytest
from pages import assert_inert, assert_links_lead_somewhere
from rich.console import Console
from sample import SCRIPT
from scaling_sample import scaling_sample
from test_markup import Reader

from superalign.report import render, scaling_figures, summary, words
from superalign.report import scaling_panels as panels
from superalign.report.finding import headline
from superalign.scaling_result import ScalingResult
from superalign.scaling_trends import judged
from superalign.scaling_verdict import ratios

VARIANTS: dict[str, dict[str, Any]] = {
    "default": {},
    "one cell": {"weak": ("a",), "strong": ("b",), "tasks": ("facts",), "methods": ("naive",), "seeds": 1},
    "no gap": {"gap": 0.0},
    "many methods": {"methods": tuple(f"gce,q=0.{place}" for place in range(1, 8))},
    "not for every task": {"unsuited": ("facts",)},
    "many models": {"weak": tuple(f"w{i}" for i in range(9)), "strong": tuple(f"s{i}" for i in range(9))},
    "sizes not known": {"unknown": True},
    "hostile": {"methods": (SCRIPT, "</style>"), "weak": (SCRIPT, "a"), "tasks": (SCRIPT, "b"), "hostile": True},
}


@pytest.fixture(params=VARIANTS, scope="module")
def variant(request: pytest.FixtureRequest) -> ScalingResult:
    return scaling_sample(**VARIANTS[request.param])


def test_the_page_holds_every_figure_and_nothing_that_runs(variant: ScalingResult) -> None:
    page = render(variant)
    assert_inert(page)
    assert_links_lead_somewhere(page)
    text = Reader(page).text
    assert "could not be drawn" not in text
    for one in variant.summary:
        many = len(variant.methods) > panels.DRAWN
        assert many or f"a PGR in {one.defined} of" in text
        assert one.method in text or one.method == SCRIPT
        if one.pgr:
            assert words.ratios(one.pgr) in text
    for trend in variant.trends:
        if trend.method not in panels.drawn(variant):
            continue
        assert trend.finding in text
        if trend.interval:
            assert f"{words.ratio(trend.rho)}" in text
    for test in variant.tests:
        assert f"{test.wins} / {test.losses} / {test.ties}" in text
    for cell in [cell for cell in variant.cells if cell.method in panels.drawn(variant)][:40]:
        if cell.pgr and len(variant.names) > 1:
            assert f"{words.ratio(cell.pgr.value)} {words.ratios(cell.pgr)}" in text


def test_the_terminal_shows_it(variant: ScalingResult) -> None:
    out = io.StringIO()
    Console(file=out, width=110).print(summary(variant))
    said = out.getvalue()
    assert re.sub(r"\W", "", words.count(len(variant.cells))) in re.sub(r"\W", "", said)
    assert "\x1b" not in said
    for one in variant.summary:
        assert words.count(one.cells) in said


def test_headline_and_sentences() -> None:
    result = scaling_sample()
    assert headline(result).startswith("What naive recovers falls with a stronger student")
    said = "\n".join(result.verdict)
    assert "2 pairs left out" not in said
    assert "1 pair left out" in said
    test = result.tests[0]
    assert (test.a, test.b, test.tasks, test.wins) == ("logconf", "naive", 3, 3)
    assert "logconf cannot be told from naive: better on 3 of 3 tasks" in said
    assert "3 tasks can give no p below 0.250" in said
    refused = sum(cell.pgr is None for cell in result.cells if cell.method == "naive")
    assert refused
    assert f"in {refused} the ceiling is not above the weak model" in said
    falls = next(one for one in result.trends if (one.method, one.figure, one.against) == ("naive", "PGR", "ceiling"))
    assert falls.interval
    assert falls.finding == judged(falls.interval) == "falls"
    assert ratios(falls.interval) in said


def test_no_gap_anywhere_is_said() -> None:
    result = scaling_sample(gap=0.0)
    assert headline(result).startswith("No gap to recover")
    assert all(one.pgr is None and one.median is None for one in result.summary)
    assert all(one.finding == "not testable" for one in result.trends if one.figure == "PGR")


def test_one_task_gives_no_interval_over_tasks() -> None:
    result = scaling_sample(tasks=("facts",))
    assert all(one.interval is None and one.finding == "not testable" for one in result.trends)
    assert any(one.rho is not None for one in result.trends)
    assert result.tests[0].p == result.tests[0].least_p == 1


def test_curves_are_means_over_tasks() -> None:
    result = scaling_sample()
    spec = scaling_figures.over_size(result, "naive", "accuracy", scaling_figures.book(result))
    points = [row for layer in spec["layer"] for row in layer["data"]["values"] if "tip" in row]
    mine = [
        cell.accuracy.value
        for cell in result.cells
        if (cell.weak, cell.strong, cell.method) == ("embedded:vader", "embedded:smollm2", "naive")
    ]
    assert any(row["y"] == pytest.approx(100 * sum(mine) / len(mine)) for row in points)
