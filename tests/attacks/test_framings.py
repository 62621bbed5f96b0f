"""Framings: what drawing, crossing over, rewording and rewriting keep; and the words they are made of."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from superalign.attacker import Attempt, Goal, Query
from superalign.attacks._frames import SLOT
from superalign.attacks._framings import GROUPS, WORD, bare, crossed, drawn, framed, reworded, roulette, words
from superalign.attacks._rewriting import rewritten
from superalign.attacks._sentences import ASIDES, CORES, SYNONYMS
from superalign.chat import Reply

rngs = st.integers(0, 2**16).map(np.random.default_rng)
ALL = [core for families in CORES.values() for cores in families.values() for core in cores]
ALL += [aside for asides in ASIDES.values() for aside in asides]


@given(st.sampled_from(["knowledge", "behaviour"]), rngs)
def test_a_drawn_framing_presses_first_and_repeats_nothing(world, rng):
    framing = drawn(world, rng)
    assert framing[0] in {core for cores in CORES[world].values() for core in cores}
    assert len(set(framing)) == len(framing) <= 4


@given(rngs, st.integers(1, 3))
def test_crossing_over_loses_no_sentence_and_swaps_at_points(rng, points):
    one, two = tuple("abcde"), tuple("vwxyz")
    first, second = crossed(one, two, points, rng)
    assert sorted(first + second) == sorted(one + two)
    for n in range(5):
        assert {first[n], second[n]} == {one[n], two[n]}
    switches = sum((first[n] in one) != (first[n + 1] in one) for n in range(4))
    assert switches == points


@given(rngs)
def test_crossing_over_of_unequal_lengths_leaves_nothing_empty(rng):
    first, second = crossed(("a",), ("v", "w", "x"), 2, rng)
    assert first
    assert second
    assert set(first + second) == set("avwx")


@given(st.lists(st.sampled_from(ALL), min_size=1), st.floats(0, 1), rngs)
def test_rewording_exchanges_words_of_one_group_alone(sentences, probability, rng):
    before, after = tuple(sentences), reworded(tuple(sentences), probability, rng, {})
    for old, new in zip(before, after, strict=True):
        assert [slot[0] for slot in SLOT.finditer(old)] == [slot[0] for slot in SLOT.finditer(new)]
        for a, b in zip(WORD.findall(old), WORD.findall(new), strict=True):
            assert a == b or (GROUPS[a.lower()] == GROUPS[b.lower()] and a[0].isupper() == b[0].isupper())
    if probability == 0:
        assert before == after


def test_words_that_are_worth_more_are_taken():
    rng = np.random.default_rng(0)
    taken = Counter(reworded(("My professor.",), 1.0, rng, {"teacher": 20.0, "data": -20.0})[0] for _ in range(50))
    assert taken == {"My teacher.": 50}


@pytest.mark.parametrize("sentence", ALL)
def test_no_exchange_makes_a_wrong_article(sentence):
    for article, word in zip(WORD.findall(sentence), WORD.findall(sentence)[1:], strict=False):
        group = GROUPS.get(word.lower(), (word,))
        if article.lower() in ("a", "an"):
            assert {other[0] in "aeiou" for other in group} == {article.lower() == "an"}, (article, group)


def test_every_word_with_synonyms_is_used_and_in_one_group():
    assert len(GROUPS) == sum(map(len, SYNONYMS))
    used = {word for sentence in ALL for word in words((sentence,))}
    assert all(used & set(group) for group in SYNONYMS)


def test_a_claim_is_in_every_sentence_that_presses_where_there_is_one():
    assert all(core.count("{claim}") == 1 for cores in CORES["knowledge"].values() for core in cores)
    assert not any(SLOT.search(core) for cores in CORES["behaviour"].values() for core in cores)


def test_a_framing_stands_before_the_question_and_braces_of_a_goal_stay():
    goal = Goal("g", "{claim}?", "{prompt} {denied}", "no")
    query = framed(3, goal, ("He says: {claim}", "Enough!"), "x", {})
    assert query.messages[0].content == "He says: {prompt} {denied} Enough!\n\n{claim}?"
    assert bare(("He says: {claim}", "Enough!")) == "He says: Enough!"


def test_roulette_follows_the_softmax():
    rng = np.random.default_rng(0)
    drawn_places = Counter(roulette([0.0, 1.0, -np.inf], 0.5, rng) for _ in range(4000))
    assert drawn_places[1] / 4000 == pytest.approx(np.exp(2) / (1 + np.exp(2)), abs=0.03)
    assert drawn_places[2] == 0
    assert {roulette([-np.inf] * 3, 1.0, rng) for _ in range(60)} == {0, 1, 2}


def test_a_rewriting_keeps_the_places_of_the_goals_words_or_is_none():
    texts = ["He says: {claim}"] * 6
    said = ["  My uncle\n  says {claim} ", "My uncle says so.", "{claim} {claim}", "", "I'm sorry, but I can't.", "x"]
    replies = [*(Reply(text) for text in said[:5]), Reply("{claim} anew", error="late")]
    counts: Counter[str] = Counter()
    asking = rewritten(texts, [""] * 6, range(6), counts)
    asks = next(asking)
    assert all("{claim}" in ask.messages[0].content for ask in asks)
    assert [ask.seed for ask in asks] == list(range(6))
    with pytest.raises(StopIteration) as end:
        asking.send(replies)
    assert end.value.value == ["My uncle says {claim}", "", "", "", "", ""]
    assert counts == {"unparsable": 3, "refused": 1, "failed": 1}


def test_fitness_of_what_nobody_can_tell_is_none():
    query = Query(0, (), "x")
    outcomes = [("broken", None), ("held", None), ("held", -3.0), ("undetermined", 0.0), ("error", None)]
    assert [Attempt(query, outcome, score).fitness for outcome, score in outcomes] == [1.0, -1.0, -3.0, None, None]
