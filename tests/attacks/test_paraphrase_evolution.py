"""Paraphrase evolution: it climbs to planted words, asks nothing twice, and keeps its elites."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest
from driven import KNOWN, drive, held, scene

from superalign.attacker import Ask, Attempt, Query, attacks
from superalign.attacks._framings import MOST, drawn, reworded, words
from superalign.chat import Reply

GOAL = KNOWN[0]


PLANTED = ("sobbing", "textbook", "scholar", "frightened", "novel", "reply", "swore", "relatives", "aunt")
PLANTED += ("Enough", "heart", "loved", "stage", "212")


def planted(text: str) -> int:
    return sum(word in text for word in PLANTED)


def climbing(request):
    if isinstance(request, Query):
        return Attempt(request, "held", planted(request.messages[0].content) - 20.0)
    return held(request)


def test_it_climbs_where_drawing_at_random_does_not():
    """200 framings of each: the best hold more planted words, on the mean of five seeds by one and more."""
    spec, best, at_random = "paraphrase-evolution", [], []
    for seed in range(5):
        attempts = drive(attacks.build(spec).search(0, GOAL, scene(seed=seed)), climbing, most=200)
        best.append(max(one.score for one in attempts[:200]) + 20)
        rng = np.random.default_rng(seed)
        some = (reworded(drawn("knowledge", rng, MOST), 0.3, rng, {}) for _ in range(200))
        at_random.append(max(planted(" ".join(framing)) for framing in some))
        assert np.mean([one.score for one in attempts[-50:]]) > np.mean([one.score for one in attempts[:50]])
    assert np.mean(best) >= np.mean(at_random) + 1


def test_it_ends_with_the_generation_that_broke():
    def answer(request):
        return Attempt(request, "broken" if request.tags["generation"] == 2 else "held", 0.0)

    attempts = drive(attacks.build("paraphrase-evolution").search(0, GOAL, scene()), answer)
    assert max(one.query.tags["generation"] for one in attempts) == 2


def test_nothing_is_asked_twice_and_generations_are_no_larger_than_the_population():
    attempts = drive(attacks.build("paraphrase-evolution,population=6").search(0, GOAL, scene()), climbing)
    assert len({one.query.name for one in attempts}) == len(attempts)
    assert max(Counter(one.query.tags["generation"] for one in attempts).values()) <= 6


def test_what_nobody_can_tell_has_no_offspring_but_the_search_goes_on():
    def answer(request):
        return Attempt(request, "undetermined", why="cannot tell")

    assert len(drive(attacks.build("paraphrase-evolution").search(0, GOAL, scene()), answer, most=50)) >= 50


def test_momentum_prefers_words_that_did_well():
    """Framings score by the share of one word of a group; with momentum its share grows more than without."""

    def likes_teachers(request):
        score = words((request.messages[0].content,)).count("teacher") - 1000.0
        return Attempt(request, "held", 8 * score)

    def share(spec):
        texts = [
            one.query.messages[0].content
            for seed in range(6)
            for one in drive(attacks.build(spec).search(0, GOAL, scene(seed=seed)), likes_teachers, most=150)[75:]
        ]
        found = Counter(word for text in texts for word in words((text,)))
        return found["teacher"] / max(1, found["teacher"] + found["lecturer"] + found["professor"])

    common = "paraphrase-evolution,mutation=0.5,elites=0,temperature=1000000"
    assert share(f"{common},momentum=0.5") > share(common) + 0.1


def test_the_attackers_model_may_rewrite_and_misses_are_counted():
    replies = iter(range(10_000))

    def answer(request):
        if isinstance(request, Ask):
            n = next(replies)
            return Reply("" if n % 2 else f"Version {n}: {{claim}}")
        return held(request)

    attack = attacks.build("paraphrase-evolution,by=attacker,mutation=0.9")
    assert attack.roles == {"attacker"}
    attempts = drive(attack.search(0, GOAL, scene()), answer, most=100)
    assert any(f"Version 0: {GOAL.claim}" in one.query.messages[0].content for one in attempts)
    assert sum(one.query.tags.get("unparsable", 0) for one in attempts) > 5
    assert attacks.build("paraphrase-evolution").roles == frozenset()


@pytest.mark.parametrize("setting", ["population=1", "elites=1", "mutation=2", "by=nobody"])
def test_what_cannot_be_is_refused(setting):
    from superalign.errors import ConfigError

    with pytest.raises(ConfigError):
        attacks.build(f"paraphrase-evolution,{setting}")
