"""The bandit: it finds the arm that breaks, keeps each arm's search in order, and asks no broken goal again."""

from __future__ import annotations

from collections import Counter

import pytest
from driven import ASKED, KNOWN, broken_if, drive, held, run, scene

from superalign.attacker import Attempt, Goal, Query, attacks
from superalign.errors import ConfigError

ARMS = "bandit,attacks=cognitive-dissonance+negative-priming+incomplete-sentence"
MANY = [Goal(f"g{n}", f"Is it {n}?", f"It is {n + 1}.", f"It is {n}.") for n in range(60)]


def test_it_converges_to_the_arm_that_breaks():
    """Only queries of a few words of one arm break: one in four of that arm's, none of the others'."""

    def breaks(query: Query) -> bool:
        return query.tactic == "negative priming" and query.tags["primes"] == 1

    attempts = run(attacks.build(ARMS), MANY, scene(), broken_if(breaks), most=300)
    last = Counter(one.query.tactic for one in attempts[-120:])
    assert last["negative priming"] > 0.7 * last.total()
    first = Counter(one.query.tactic for one in attempts[:60])
    assert len(first) == 3


def test_a_broken_goal_is_left_and_the_others_go_on():
    attempts = run(attacks.build(ARMS), KNOWN, scene(), broken_if(lambda query: query.goal == 1), most=400)
    asked = Counter(one.query.goal for one in attempts)
    assert asked[1] == 1
    assert asked[0] == asked[2] == 36 + 16 + 6


def test_every_arm_goes_on_in_its_own_order():
    attempts = run(attacks.build(ARMS), KNOWN[:1], scene(), most=400)
    for arm in attacks.build(ARMS).attacks:
        alone = [one.query.name for one in run(arm, KNOWN[:1], scene())]
        assert [one.query.name for one in attempts if one.query.tags["arm"] == str(arm)] == alone


def test_an_arm_is_sent_back_what_came_of_each_of_its_queries():
    """It yields five samples at a time; the bandit asks them one by one and answers all five together."""
    attack = attacks.build({"name": "bandit", "attacks": ["best-of-n,n=7"]})
    attempts = run(attack, KNOWN[:1], scene())
    assert [one.query.tags["sample"] for one in attempts] == list(range(7))


def test_errors_teach_nothing():
    def answer(request):
        if isinstance(request, Query):
            return Attempt(request, "error", why="late")
        return held(request)

    attempts = run(attacks.build(ARMS), MANY, scene(), answer, most=600)
    pulled = Counter(one.query.tactic for one in attempts)
    assert min(pulled.values()) > 100  # as good as evenly, one draw being as likely as another


def test_what_cannot_be_an_arm_is_refused():
    with pytest.raises(ConfigError, match="does not go for each goal"):
        attacks.build({"name": "bandit", "attacks": [{"name": "bandit", "attacks": ["best-of-n"]}]})
    with pytest.raises(ConfigError, match="given twice"):
        attacks.build("bandit,attacks=best-of-n+best-of-n")
    with pytest.raises(ConfigError, match="unknown attack"):
        attacks.build("bandit,attacks=best-of-m")
    with pytest.raises(ConfigError, match="behaviour"):
        run(attacks.build("bandit,attacks=poisoned-context"), ASKED, scene("behaviour"))


def test_one_search_takes_all_goals():
    ((members, search),) = attacks.build(ARMS).searches(KNOWN, scene())
    assert list(members) == [0, 1, 2, 3]
    assert len(drive(search, most=4)) == 4
