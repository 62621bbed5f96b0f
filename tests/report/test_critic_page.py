"""The page and the terminal summary of the critic-eval study."""

from __future__ import annotations

import io
import re
from typing import Any

import pytest
from critic_sample import critic_sample
from pages import assert_inert, assert_links_lead_somewhere
from rich.console import Console
from sample import HOSTILE, SCRIPT
from test_markup import Reader

from superalign.critic_result import CriticEvalResult
from superalign.critic_verdict import ranked, ratio
from superalign.report import critic_figures as figures
from superalign.report import render, summary, svg, words
from superalign.report.finding import headline
from superalign.report.markup import clean
from superalign.report.series import PALETTE
from superalign.verdict import differs

VARIANTS: dict[str, dict[str, Any]] = {
    "default": {},
    "one critic": {"critics": ("keywords",), "annotators": False, "planted": False},
    "pairs": {"pairwise": True},
    "held out": {"held": ("gpt4", "llama2new")},
    "one is mute": {"mute": ("self",)},
    "all are mute": {"mute": ("keywords", "trained"), "critics": ("keywords", "trained")},
    "many critics": {"critics": tuple(f"trained,seed={place}" for place in range(12))},
    "hostile": {"critics": (SCRIPT, '"><b onclick=x>', "</style>"), "hostile": True, "held": (HOSTILE[1],)},
}


@pytest.fixture(params=VARIANTS, scope="module")
def variant(request: pytest.FixtureRequest) -> CriticEvalResult:
    return critic_sample(**VARIANTS[request.param])


@pytest.fixture(scope="module")
def page(variant: CriticEvalResult) -> str:
    return render(variant)


def printed(result: CriticEvalResult, width: int = 80) -> str:
    out = io.StringIO()
    Console(file=out, width=width).print(summary(result))
    return out.getvalue()


def test_every_figure_of_the_result_is_on_the_page(variant: CriticEvalResult, page: str) -> None:
    text = Reader(page).text
    assert "could not be drawn" not in text
    for one in variant.summary:
        for share in (one.accuracy, one.coverage, one.precision, one.recall):
            if share:
                assert words.percent(share.value) in text
                assert words.percents(share) in text
        for figure in (one.kappa, one.auroc):
            if figure:
                assert words.ratio(figure.value) in text
                assert words.ratios(figure) in text
        if one.rate and one.rate.corrected:
            assert words.percents(one.rate.corrected) in text
        if one.planted and one.planted.detected:
            assert words.percents(one.planted.detected) in text
        if one.position:
            assert words.percents(one.position.consistent) in text
        assert words.quantity(one.cost.seconds) in text
        for reason, count in one.undetermined.items():
            assert f"{reason} {words.count(count)}" in text
    for test in variant.tests:
        assert words.points(test.difference) in text
        assert words.p_value(test.p_holm) in text
    for made in variant.refinements:
        for figure in (made.gain, made.harm):
            assert figure
            assert f"{words.percent(figure.value)} {words.percents(figure)}" in text
        assert made.beyond is None or words.points(made.beyond) in text
    for concord in variant.annotators:
        assert clean(concord.b) in text
    for sentence in [*variant.verdict, *variant.flags]:
        assert clean(words.prose(sentence))[:300] in text
    assert variant.config_sha256 in text


def test_nothing_on_the_page_can_run_or_leave_it(page: str) -> None:
    assert_inert(page)


def test_ids_are_unique_and_links_lead_somewhere(page: str) -> None:
    assert_links_lead_somewhere(page)


def test_what_is_not_there_has_no_section() -> None:
    page = render(critic_sample(critics=("keywords",), annotators=False, planted=False))
    panels = re.findall(r'class="panel[^"]*" id="([\w-]+)"', page)
    assert panels == ["agreement", "rates", "calibration", "verdicts"]
    whole = re.findall(r'class="panel[^"]*" id="([\w-]+)"', render(critic_sample()))
    inside = ["planted", "order", "rates", "annotators", "refinements"]
    assert whole == ["agreement", "tests", *inside, "calibration", "verdicts"]


def test_figures_hold_every_critic_in_the_palette() -> None:
    result = critic_sample()
    book = figures.who(result)
    for spec in (figures.kappa(result, book), figures.planted(result, book)):
        drawing = svg.draw(spec, "x", "x")
        tips = Reader(drawing).text
        assert all(who.label in tips for who in book.values())
        paints = {attrs.get(key) for _, attrs in Reader(drawing).elements for key in ("fill", "stroke")}
        assert paints - {None, "none", "transparent"} <= {colour.light for colour in PALETTE}
    many = figures.who(critic_sample(critics=tuple("x" * 60 + str(place) for place in range(12))))
    assert len({who.label for who in many.values()}) == 12
    assert len({(who.colour, who.shape) for who in many.values()}) == 12


def test_the_summary_holds_the_figures_at_eighty_columns(variant: CriticEvalResult) -> None:
    text = printed(variant)
    assert max(map(len, text.splitlines())) <= 80
    for one in variant.summary:
        assert one.kappa is None or words.ratios(one.kappa) in text
        assert clean(one.critic)[:8] in text
    assert not re.search(r"[\x00-\x08\x0b-\x1f\x7f\u202e]", text)


def test_the_headline_names_the_best_critic_or_says_that_there_is_none() -> None:
    result = critic_sample()
    best = result.summary[0].kappa
    assert best
    assert headline(result) == (
        f"keywords agrees with the truth best: kappa {words.ratio(best.value)} {words.ratios(best)}"
    )
    assert [one.critic for one in ranked(result.summary)] == [one.critic for one in result.summary]
    assert "No critic gave verdicts" in headline(critic_sample(mute=("keywords",), critics=("keywords",)))
    assert "beyond chance" in headline(critic_sample(critics=("x", "x", "x", "x", "x")).model_copy(
        update={"summary": [critic_sample(critics=("a", "b", "c", "d", "e")).summary[4]]}
    ))  # fmt: skip


def test_the_verdict_claims_only_what_is_shown() -> None:
    result = critic_sample()
    said = " ".join(result.verdict)
    for test in result.tests:
        assert (f"{test.a} is right more often than {test.b}" in said) == differs(test)
    for one in result.summary:
        assert one.kappa
        assert ratio(one.kappa) in said
    alike = [one for one in result.summary if one.planted and one.planted.detected and one.planted.false_alarms]
    unsure = [one for one in alike if one.planted.detected.low <= one.planted.false_alarms.high]
    assert said.count("not clearly more") == len(unsure) > 0
    assert "cannot be told from chance" in " ".join(critic_sample(critics=tuple("abcde")).verdict)
