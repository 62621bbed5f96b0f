"""The page, the terminal summary and the figures of the study of balance."""

from __future__ import annotations

import io

import pytest
from pages import assert_inert, assert_links_lead_somewhere
from rich.console import Console
from sample import SCRIPT
from test_markup import Reader

from balance_drawn import AXES, RATES, drawn
from superalign.balance_result import BalanceResult
from superalign.report import render, summary, words

VARIANTS = {
    "default": {},
    "one seed": {"seeds": 1},
    "all alike": {"rates": dict.fromkeys(RATES, (0.5, 0.5, 0.5))},
    "hostile": {
        "axes": (SCRIPT, '"><b onclick=x>', "</style>"),
        "rates": {
            arm if arm.kind != "expert" else type(arm)(name, "expert"): rate
            for (arm, rate), name in zip(
                RATES.items(), ["", SCRIPT, '"><b onclick=x>', "</style>", *[""] * 9], strict=False
            )
        },
    },
}


@pytest.fixture(params=VARIANTS, scope="module")
def result(request: pytest.FixtureRequest, tiny) -> BalanceResult:
    return drawn(tiny("llama"), **VARIANTS[request.param]).result


def test_every_figure_of_the_result_is_on_the_page(result: BalanceResult) -> None:
    page = render(result)
    assert_inert(page)
    assert_links_lead_somewhere(page)
    text = Reader(page).text
    assert "could not be drawn" not in text
    for one in result.summary:
        for figure in (one.average, one.worst, *one.scores.values()):
            assert f"{words.percent(figure.value)}{words.percents(figure)}" in text  # two cells
        assert all(words.points(change) in text for change in one.changes.values())
    for test in result.tests:
        assert words.points(test.difference) in text
    assert all(one.finding in text for one in result.claims)
    assert words.ratio(result.singular) in text


@pytest.mark.parametrize("width", [80, 120])
def test_the_terminal_shows_every_arm(result: BalanceResult, width: int) -> None:
    out = io.StringIO()
    Console(file=out, width=width).print(summary(result))
    text = out.getvalue()
    assert max(map(len, text.splitlines())) <= width
    for one in result.summary:
        assert f"{words.percent(one.average.value)} {words.percents(one.average)}" in text
    assert "\x1b" not in text


def test_the_figures_for_other_tools_are_those_of_the_arms(result: BalanceResult) -> None:
    for one in result.summary:
        assert result.figures["average", one.kind, one.arm] == one.average.value
        for axis, score in one.scores.items():
            assert result.figures["score_low", one.kind, one.arm, axis] == score.low


def test_the_terminal_marks_what_was_chosen(tiny) -> None:
    out = io.StringIO()
    found = drawn(tiny("llama")).result
    Console(file=out, width=100).print(summary(found))
    assert f">{found.chosen.merge} " in out.getvalue()
    assert f">mix {found.chosen.mixture} " in out.getvalue()
    assert all(axis in out.getvalue() for axis in AXES)
