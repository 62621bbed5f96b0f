"""The panels of emergent risks: every figure is there, and hostile text is inert."""

from __future__ import annotations

import pytest
from pages import assert_inert
from sample import HOSTILE
from test_markup import Reader

from superalign.loop_result import Covered, LoopResult, Risk
from superalign.loop_risks import covered
from superalign.report.markup import clean
from superalign.report.risk_panels import RISKS_SHOWN, panels

ODD = [text.encode(errors="replace").decode() for text in HOSTILE]
ATTEMPTS = [{"tactic": "authority", "outcome": outcome} for outcome in ("broken", "held", "held")]


def risk(place: int = 0, examples: list[str] | None = None, word: str = "poisoned context") -> Risk:
    return Risk(
        new=True,
        grows=place == 0,
        distance=0.8125,
        p_new=0.0042,
        p_grows=0.0123,
        sizes=[0, 9 + place],
        totals=[40, 30],
        shares=[None if place else 0.0, (9 + place) / 30],
        tactics=[word],
        tags=[f"failure.context.{word}"],
        examples=examples or [f"These passages were found, {place}"],
    )


def result(risks: list[Risk], tree: list[Covered] | None = None, rounds: int = 2) -> LoopResult:
    found = covered(ATTEMPTS, {}, "knowledge") if tree is None else tree
    return LoopResult.model_construct(risks=risks, coverage=found, rounds=rounds)


def text_of(shown: LoopResult) -> str:
    return Reader(str(panels(shown))).text


def test_a_candidate_is_shown_with_its_figures():
    text = text_of(result([risk(), risk(1)]))
    for part in (
        "These passages were found, 0",
        "new and grows",
        "poisoned context",
        "0.81",
        "0.004",
        "2\u00a0candidates",
    ):
        assert part in text
    assert "round 1: 0 of 40, 0.0%" in text
    assert "round 2: 9 of 30, 30.0%" in text
    assert "--sure:30%" in str(panels(result([risk()])))


def test_the_tree_says_what_was_tested_and_what_is_empty():
    text = text_of(result([]))
    assert "how it fails: 1 of 25\u00a0leaves tested" in text
    assert "empty" in text
    assert "nothing here says that a model is aligned" in text
    branches = [attributes for name, attributes in Reader(str(panels(result([])))).elements if name == "details"]
    assert len(branches) == 5


@pytest.mark.parametrize(("rounds", "said"), [(1, "One round cannot show"), (3, "None was named")])
def test_without_a_candidate_it_says_why(rounds, said):
    assert said in text_of(result([], rounds=rounds))


def test_more_candidates_than_are_shown_are_counted():
    text = text_of(result([risk(place) for place in range(RISKS_SHOWN + 3)]))
    assert f"{RISKS_SHOWN + 3}\u00a0candidates, 3 more in results.json" in text


def test_hostile_text_is_inert():
    odd = " ".join(sorted(ODD, key=lambda text: "evil.example" not in text))
    tree = [Covered(id=odd, name=odd, depth=0, leaf=False, tested=1, failed=1), *covered(ATTEMPTS, {}, "knowledge")]
    page = str(panels(result([risk(0, ODD, odd)], tree)))
    assert_inert(page)
    assert clean(page) == page
    assert "<script" not in page
    assert "&lt;script" in page


def test_an_older_result_has_no_panels():
    assert panels(result([], tree=[])) is None
