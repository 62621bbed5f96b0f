"""The page, the terminal summary, the sentences and the claims of the error lab."""

from __future__ import annotations

import io
from typing import Any

import pytest
from pages import assert_inert, assert_links_lead_somewhere
from rich.console import Console
from sample import HOSTILE, SCRIPT
from structure_sample import structure_sample
from test_markup import Reader

from superalign.report import render, summary, words
from superalign.report.finding import headline
from superalign.report.markup import clean
from superalign.result import Interval
from superalign.structure_result import ErrorLabResult
from superalign.structure_verdict import outcome
from superalign.verdict import differs

VARIANTS: dict[str, dict[str, Any]] = {
    "default": {},
    "no gap": {"gap": False},
    "one structure": {"structures": ("weak",), "methods": ("naive",), "seeds": 1},
    "filters": {"filters": ("agreement", "knn")},
    "many methods": {"methods": ("naive", "logconf", "gce", "sce", "bootstrap", "forward")},
    "hostile": {"methods": (SCRIPT, '"><b onclick=x>'), "structures": ("</style>", "random"), "hostile": True},
}


@pytest.fixture(params=VARIANTS, scope="module")
def variant(request: pytest.FixtureRequest) -> ErrorLabResult:
    return structure_sample(**VARIANTS[request.param])


@pytest.fixture(scope="module")
def page(variant: ErrorLabResult) -> str:
    return render(variant)


def printed(result: ErrorLabResult, width: int = 100) -> str:
    out = io.StringIO()
    Console(file=out, width=width).print(summary(result))
    return out.getvalue()


def found(result: ErrorLabResult) -> dict[str, str]:
    """The finding of every claim, by its first words."""
    return {one.claim[:28]: one.finding for one in result.claims}


def test_every_figure_of_the_result_is_on_the_page(variant: ErrorLabResult, page: str) -> None:
    text = Reader(page).text
    assert "could not be drawn" not in text
    for one in variant.summary:
        assert f"{words.percent(one.accuracy.value)}{words.percents(one.accuracy)}" in text  # two cells
        if one.pgr:
            assert f"{words.ratio(one.pgr.value)} {words.ratios(one.pgr)}" in text
        for figure in (one.agrees_wrong, one.agrees_right):
            assert figure
            assert f"{words.percent(figure.value)}{words.percents(figure)}" in text
    for test in variant.tests:
        assert words.points(test.difference) in text
        assert words.p_value(test.p_holm) in text
    for claim in variant.claims:
        assert claim.claim in text
        assert claim.rule.split(" - ")[0] in text
        assert clean(words.prose(claim.because)) in text
    for sentence in variant.verdict:
        assert clean(words.prose(sentence))[:550] in text


def test_the_page_is_inert_and_its_links_lead_somewhere(page: str) -> None:
    assert_inert(page)
    assert_links_lead_somewhere(page)


def test_the_page_says_what_each_structure_did() -> None:
    text = Reader(render(structure_sample())).text
    assert "Structure simulable" in text
    assert "k 64, natural 0.97" in text
    assert "In every true class as many labels are wrong" in text


@pytest.mark.parametrize("width", [60, 80, 120])
def test_the_terminal_shows_all_in_any_width(variant: ErrorLabResult, width: int) -> None:
    text = printed(variant, width)
    assert max(map(len, text.splitlines())) <= width
    if width >= 80:
        for one in variant.summary:
            if one.method == variant.methods[0]:
                assert f"{words.percent(one.accuracy.value)} {words.percents(one.accuracy)}" in text
    assert "\x1b" not in text


@pytest.mark.parametrize("text", HOSTILE)
def test_hostile_texts_send_nothing_to_the_terminal(text: str) -> None:
    shown = printed(structure_sample(methods=("naive", text)))
    assert not {"\x07", "\x00", "\x9b", "\u202e", "\x1b"} & set(shown)


@pytest.mark.parametrize(
    ("low", "high", "said"),
    [(0.5, 0.9, "survived"), (0.1, 0.499, "not survived"), (0.499, 0.6, "not told"), (0.2, 0.5, "not told")],
)
def test_a_method_survives_by_its_whole_interval(low: float, high: float, said: str) -> None:
    assert outcome(Interval(value=(low + high) / 2, low=low, high=high)) == said
    assert outcome(None) == "no gap"


def test_the_headline_names_what_is_survived_and_what_is_not() -> None:
    said = headline(structure_sample(methods=("naive",)))
    assert said == "At the same error rate, naive survives random, not weak, ceiling-sure, simulable and trivial"
    assert headline(structure_sample(gap=False)).startswith("No gap to recover")
    wide = headline(structure_sample(methods=("naive",), structures=("weak", "random"), half=0.1))
    assert wide == "At the same error rate, naive is not shown to survive any"


def test_the_verdict_claims_only_corrected_differences() -> None:
    result = structure_sample(half=0.004)
    assert {differs(test) for test in result.tests} == {True}
    for test in result.tests:
        (line,) = [one for one in result.verdict if one.startswith(f"{test.method} differs from itself")]
        assert test.structure in line
        assert (words.points(test.difference).split()[0].replace("−", "-") in line) == (test.method == "naive")
    vague = structure_sample(half=0.4)
    assert not any("differs from itself" in said for said in vague.verdict)
    assert any("naive cannot be told from itself on random errors with weak" in said for said in vague.verdict)


def test_claims_are_decided_by_their_rules() -> None:
    sharp = found(structure_sample(half=0.004))
    assert sharp["At the same error rate, rand"] == "reproduced"
    assert sharp["Errors in adversarial places"] == "reproduced"
    assert sharp["Errors that the student can "] == "reproduced"
    assert sharp["Where the prompt says the we"] == "reproduced"
    assert sharp["The confidence loss mainly c"] == "reproduced"
    assert sharp["Larger students agree less w"] == "not testable here"
    vague = found(structure_sample(half=0.4))
    assert set(vague.values()) <= {"not reproduced", "not testable here"}
    assert set(found(structure_sample(gap=False)).values()) == {"not testable here"}


def test_a_claim_needs_what_it_is_about() -> None:
    bare = found(structure_sample(structures=("longest", "random"), methods=("gce",)))
    assert set(bare.values()) == {"not testable here"}
    turned = structure_sample(structures=("random", "weak"), methods=("naive",))
    assert found(turned)["Errors that the student can "] == "not testable here"
    assert found(turned)["At the same error rate, rand"] == "reproduced"


def test_figures_are_told_to_sinks() -> None:
    result = structure_sample()
    for one in result.summary:
        of = (one.structure, one.method)
        assert result.figures["accuracy", *of] == one.accuracy.value
        assert one.pgr
        assert result.figures["pgr", *of] == one.pgr.value
    assert not any(name[0].startswith("pgr") for name in structure_sample(gap=False).figures)
