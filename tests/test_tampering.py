"""Planted flaws: one known place is changed, the rest is not, and the same seed plants the same flaw."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from superalign.tampering import KINDS, PLANTERS, Tampered, tamper

STORY = (
    "The library opened in 1903 in Lisbon. It was built by Ana Duarte. Its roof is made of copper.\n"
    "About 2,500 people can read there."
)
OTHER = "The harbour of Oslo has 12 piers. It can hold 40 ships. Its keeper was Erik Lund."


def of_kind(kind: str) -> Tampered:
    found = [made for seed in range(200) if (made := tamper(STORY, [OTHER], seed)) and made.kind == kind]
    assert found, kind
    return found[0]


@given(st.text(max_size=200), st.lists(st.text(max_size=100), max_size=3), st.integers(0, 50))
def test_only_the_known_place_is_changed(text: str, others: list[str], seed: int) -> None:
    made = tamper(text, others, seed)
    if made is None:
        return
    assert made.text[: made.start] + made.was + made.text[made.end :] == text
    assert made.text != text
    assert made == tamper(text, others, seed)


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_of_flaw_is_planted(kind: str) -> None:
    made = of_kind(kind)
    if kind == "dropped sentence":
        assert made.quote == ""
        assert len(made.was.split()) >= 3
        assert not made.text.startswith(made.was)
        assert not made.found_in(made.text)  # what is missing cannot be quoted
    else:
        assert made.found_in(made.quote)
        assert made.found_in(made.text)
        assert not made.found_in("")
        assert not made.found_in("not in it")


def test_each_kind_does_what_it_says() -> None:
    number, name, negation, inserted = map(of_kind, ("wrong number", "swapped entity", "negation", "inserted sentence"))
    assert number.was in ("1903", "2,500")
    assert float(number.quote.replace(",", "")) != float(number.was.replace(",", ""))
    assert ("," in number.quote) == ("," in number.was)
    assert name.was in ("Lisbon", "Ana Duarte")
    assert name.quote in OTHER
    assert negation.quote == f"{negation.was} not"
    assert inserted.was == ""
    assert inserted.quote.strip() in OTHER


def test_a_name_is_not_swapped_for_one_that_could_be_true() -> None:
    text, sibling = "The city of Lyon is in France.", "The city of Nice is in France."
    kinds = {made.kind for seed in range(60) if (made := tamper(text, [sibling], seed))}
    assert kinds == {"negation"}  # Nice is in France too


def test_the_numbers_of_a_list_are_left_alone() -> None:
    text = "1. Take the pan\n2. Heat 30 grams of butter"
    made = [one for seed in range(60) if (one := tamper(text, [], seed)) and one.kind == "wrong number"]
    assert {one.was for one in made} == {"30"}


def test_a_response_that_offers_nothing_is_left_alone() -> None:
    assert tamper("yes", ["no"], 0) is None
    assert tamper("", [], 0) is None
    assert set(PLANTERS) == set(KINDS)
