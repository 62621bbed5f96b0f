"""The page and the terminal summary of the deception study, of a small real result."""

from __future__ import annotations

import io
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from pages import assert_inert, assert_links_lead_somewhere
from rich.console import Console
from sample import HOSTILE, SCRIPT
from test_markup import Reader

from superalign import Deception, DeceptionResult, run
from superalign.report import deception_figures as figures
from superalign.report import render, summary, svg, words
from superalign.report.markup import clean
from superalign.store import Store


@pytest.fixture(scope="module")
def result(tiny: Callable[[str], Path], tmp_path_factory: pytest.TempPathFactory) -> DeceptionResult:
    folder = tmp_path_factory.mktemp("page")
    bert, llama = (f"hf:{tiny(name)}" for name in ("bert", "llama"))
    asked = Deception(
        weak=(bert, f"{bert},layer=1"),
        strong=(llama, f"{llama},layer=1"),
        through=(),
        target="facts,pairs=true,cities=120",
        seeds=2,
        fit="probe,steps=5",
        curve=(0.55, 0.75),
    )
    return run(asked, out=folder / "run", store=Store(folder / "store"))


@pytest.fixture(scope="module")
def page(result: DeceptionResult) -> str:
    return render(result)


def test_every_figure_of_the_result_is_on_the_page(result: DeceptionResult, page: str) -> None:
    text = Reader(page).text
    assert "could not be drawn" not in text
    for one in result.summary:
        listed = one.labels == "weak" or one.conflict != "none"
        for figure in (one.score if listed else None, one.blind_spot if one.labels != "truth" else None):
            if figure:
                assert f"{words.percent(figure.value)} {words.percents(figure)}" in text
        if one.labels == "weak" and one.conflict != "none":
            for region in one.regions:
                assert region.rate is None or words.percents(region.rate) in text
            for point in one.curve:
                assert point.score is None or words.percents(point.score) in text
    for pair in result.pairs:
        assert words.points(pair.gap) in text
    for claim in result.claims:
        assert claim.claim in text
        assert claim.status in text
        assert words.prose(claim.why) in text
    for sentence in result.verdict:
        assert clean(words.prose(sentence))[:550] in text
    assert result.config_sha256 in text


def test_nothing_on_the_page_can_run_or_leave_it(result: DeceptionResult, page: str) -> None:
    assert_inert(page)
    assert_links_lead_somewhere(page)
    evil = [one.model_copy(update={"weak": SCRIPT}) for one in result.summary]
    pairs = [one.model_copy(update={"weak": SCRIPT}) for one in result.pairs]
    assert_inert(render(result.model_copy(update={"summary": evil, "pairs": pairs, "other": SCRIPT})))


def test_figures_hold_every_pair_of_models(result: DeceptionResult) -> None:
    for conflict in ("explicit", "implicit"):
        tips = Reader(svg.draw(figures.gap(result, conflict), "x", "x")).text
        curve = Reader(svg.draw(figures.threshold_curve(result, conflict), "y", "y")).text
        for one in figures.plain(result, conflict):
            if one.score:
                assert words.percents(one.score) in tips
            assert all(point.score is None or words.percents(point.score) in curve for point in one.curve)


def test_without_any_tax_there_is_nothing_to_draw(result: DeceptionResult) -> None:
    bare = {"score": None, "tax": 0, "hidden": 0, "open_lift": None, "open_base": None}
    none = [
        one.model_copy(
            update={**bare, "curve": [point.model_copy(update={"score": None, "tax": 0}) for point in one.curve]}
        )
        for one in result.summary
    ]
    text = Reader(render(result.model_copy(update={"summary": none}))).text
    assert "There is nothing to draw" in text
    assert "no tax" in text


def test_without_vl_convert_the_tables_stand_in(result: DeceptionResult, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "vl_convert", None)
    page = render(result)
    assert "pip install 'superalign[report]'" in Reader(page).text
    assert "<details open>" in page


@pytest.mark.parametrize("width", [60, 100])
def test_the_terminal_shows_scores_and_claims_in_any_width(result: DeceptionResult, width: int) -> None:
    out = io.StringIO()
    Console(file=out, width=width).print(summary(result))
    text = out.getvalue()
    assert max(map(len, text.splitlines())) <= width
    assert "not reproduced" in text or "not testable here" in text or "reproduced" in text
    if width == 100:
        for one in figures.plain(result, "explicit"):
            assert words.count(one.tax) in text
            assert one.score is None or words.percents(one.score) in text


@pytest.mark.parametrize("text", HOSTILE)
def test_hostile_texts_send_nothing_to_the_terminal(result: DeceptionResult, text: str) -> None:
    out = io.StringIO()
    evil = [one.model_copy(update={"strong": text}) for one in result.summary]
    changed = result.model_copy(update={"summary": evil, "flags": [text]})
    Console(file=out, width=100).print(summary(changed))
    assert not {"\x07", "\x00", "\x9b", "‮", "\x1b"} & set(out.getvalue())
