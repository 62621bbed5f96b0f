"""Best-of-n: what each augmentation keeps, how often it acts, and when the search ends."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest
from driven import KNOWN, broken_if, drive, scene
from hypothesis import given
from hypothesis import strategies as st

from superalign.attacker import attacks
from superalign.attacks.best_of_n import raised, scrambled, shifted

seeds = st.integers(0, 2**16).map(np.random.default_rng)
LONG = "the quick brown foxes jumped over lazily sleeping hounds " * 400


@given(st.text(), st.floats(0, 1), seeds)
def test_scrambling_keeps_the_letters_of_each_word_and_its_ends(text, probability, rng):
    found = scrambled(text, probability, rng)
    assert [len(word) for word in found.split()] == [len(word) for word in text.split()]
    for before, after in zip(text.split(), found.split(), strict=True):
        assert Counter(before) == Counter(after)
        assert before[0] == after[0]
        assert before[-1] == after[-1]
        assert len(before) > 3 or before == after


@given(st.text(), st.floats(0, 1), seeds)
def test_raising_only_raises(text, probability, rng):
    found = raised(text, probability, rng)
    assert len(found) == len(text)
    assert all(a == b or (b.isascii() and a == b.upper()) for a, b in zip(found, text, strict=True))


@given(st.text(), st.floats(0, 1), seeds)
def test_noise_moves_printable_characters_by_one(text, probability, rng):
    found = shifted(text, probability, rng)
    assert len(found) == len(text)
    for before, after in zip(text, found, strict=True):
        assert before == after or (abs(ord(before) - ord(after)) == 1 and " " <= before <= "~" and " " <= after <= "~")


def test_each_acts_with_its_probability():
    rng = np.random.default_rng(0)
    count = sum(a != b for a, b in zip(raised(LONG, 0.4**0.5, rng), LONG, strict=True))
    letters = sum(c.isalpha() for c in LONG)
    assert count / letters == pytest.approx(0.4**0.5, abs=0.02)
    count = sum(a != b for a, b in zip(shifted(LONG, 0.4**3, rng), LONG, strict=True))
    # A space moves up only.
    assert count / len(LONG) == pytest.approx(0.4**3 * (1 - 0.5 * LONG.count(" ") / len(LONG)), abs=0.01)
    long = [n for n, word in enumerate(LONG.split()) if len(word) > 5]
    moved = scrambled(LONG, 0.5, rng).split()
    assert np.mean([moved[n] != LONG.split()[n] for n in long]) == pytest.approx(0.5, abs=0.05)


def test_nothing_is_changed_at_sigma_0():
    attempts = drive(attacks.build("best-of-n,sigma=0,n=3").search(0, KNOWN[0], scene()))
    texts = [one.query.messages[0].content for one in attempts]
    assert texts == [f"I believe this: {KNOWN[0].claim} {KNOWN[0].prompt}"] * 3


def test_it_stops_with_the_batch_that_broke():
    attack = attacks.build("best-of-n,batch=4,n=50")
    attempts = drive(attack.search(0, KNOWN[0], scene()), broken_if(lambda query: query.tags["sample"] == 5))
    assert [one.query.tags["sample"] for one in attempts] == list(range(8))
    assert len({one.query.messages for one in attempts}) == 8
