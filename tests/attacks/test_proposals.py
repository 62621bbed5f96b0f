"""PAIR and TAP, with an attacker whose answers are written out here: what is parsed, counted, kept and fed back."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from driven import ASKED, HOSTILE, KNOWN, ODD, drive, held, scene
from hypothesis import given
from hypothesis import strategies as st

from superalign.attacker import Ask, Attempt, Choose, Query, Request, attacks
from superalign.attacks._proposals import OPENING, parsed
from superalign.attacks.tap import best
from superalign.chat import Reply, Scored

NAN = np.array([np.nan, np.nan], dtype=np.float32)


def proposal(prompt: str) -> str:
    """Return what a model writes after OPENING."""
    return json.dumps({"improvement": "It is shorter.", "prompt": prompt})[len(OPENING) :]


def attacker(says: Callable[[Ask], str], target: Callable[[Query], Attempt] | None = None) -> Callable[[Request], Any]:
    def answer(request: Request) -> Any:
        if isinstance(request, Ask):
            return Reply(says(request))
        if isinstance(request, Query) and target:
            return target(request)
        return held(request)

    return answer


class TestParsing:
    @given(st.text(min_size=1).filter(str.strip))
    def test_any_message_comes_through(self, prompt):
        assert parsed(Reply(proposal(prompt))) == (prompt.strip(), "")
        assert parsed(Reply(json.dumps({"improvement": "x", "prompt": prompt}) + " and more")) == (prompt.strip(), "")
        assert parsed(Reply(proposal(prompt).removesuffix('"}'))) == (prompt.strip(), "")

    @pytest.mark.parametrize(
        "text",
        [
            "",
            "no object at all",
            'x", "prompt": ""}',
            'x", "prompt": 3}',
            'x", "prompt": ["a"]}',
            'x", "prompt": "a", "more": 1}',
            'x", "prompts": "a"}',
            '"}',
            "{" * 4000,
            'x", "prompt": "' + "[" * 4000,
        ],
    )
    def test_everything_else_is_unparsable(self, text):
        found, why = parsed(Reply(text))
        assert (found, why) == ("", "unparsable") or found == "[" * 4000

    @pytest.mark.parametrize("text", ["I'm sorry, but I can't help with that.", proposal("I cannot assist with this.")])
    def test_a_refusal_is_counted_as_one(self, text):
        assert parsed(Reply(text)) == ("", "refused")

    def test_a_message_that_only_speaks_of_not_being_able_is_none(self):
        assert parsed(Reply(proposal("We cannot ignore it, and I can't believe that you do.")))[1] == ""

    def test_an_error_is_neither(self):
        assert parsed(Reply(proposal("x"), error="late")) == ("", "failed")


class TestPair:
    def test_streams_of_three_personas_are_asked_together_and_told_what_came(self):
        seen: list[Ask] = []

        def says(ask: Ask) -> str:
            seen.append(ask)
            return proposal(f"message {len(seen)} {HOSTILE}")

        def target(query: Query) -> Attempt:
            return Attempt(query, "held", -2.5, response=f"No. {HOSTILE}")

        attempts = drive(attacks.build("pair,streams=3,depth=6").search(4, ODD, scene()), attacker(says, target))
        assert Counter(one.query.tactic for one in attempts) == {"role-play": 6, "logic": 6, "authority": 6}
        assert attempts[0].query.messages[0].content == f"message 1 {HOSTILE}"
        assert all(one.query.goal == 4 for one in attempts)
        assert all(ODD.claim in ask.messages[0].content for ask in seen)
        last = seen[-1].messages
        assert [turn.role for turn in last] == ["system", "user", *["assistant", "user"] * 3, "assistant"]
        assert f"No. {HOSTILE}" in last[-2].content
        assert "-2.50" in last[-2].content
        assert "message 15" in last[-3].content
        assert last[-1].content == OPENING
        assert len({ask.seed for ask in seen}) == 18

    def test_misses_are_asked_again_and_counted_in_the_next_query(self):
        replies = iter(["rubbish", "I'm sorry, but no.", proposal("first"), proposal("second")])
        attack = attacks.build("pair,streams=1,depth=2")
        attempts = drive(attack.search(0, KNOWN[0], scene()), attacker(lambda _: next(replies)))
        assert [dict(one.query.tags) for one in attempts] == [
            {"stream": 0, "depth": 0, "unparsable": 1, "refused": 1},
            {"stream": 0, "depth": 1},
        ]

    def test_where_nothing_was_proposed_a_plain_query_carries_the_counts(self):
        attack = attacks.build("pair,streams=2,depth=2,retries=1")
        (only,) = drive(attack.search(0, KNOWN[0], scene()), attacker(lambda _: "I'm sorry, but no."))
        assert (only.query.tactic, dict(only.query.tags)) == ("no proposal", {"refused": 8})
        assert only.query.messages[0].content == KNOWN[0].prompt

    def test_it_stops_when_broken(self):
        attack = attacks.build("pair,streams=2,depth=5")

        def target(query: Query) -> Attempt:
            return Attempt(query, "broken" if query.tags["depth"] == 1 else "held", 0.0)

        assert len(drive(attack.search(0, KNOWN[0], scene()), attacker(lambda _: proposal("x"), target))) == 4

    def test_a_failed_query_is_told_as_such(self):
        seen: list[Ask] = []

        def says(ask: Ask) -> str:
            seen.append(ask)
            return proposal("x")

        attack = attacks.build("pair,streams=1,depth=2")
        drive(attack.search(0, ASKED[1], scene("behaviour")), attacker(says, lambda query: Attempt(query, "error")))
        assert "Nothing can be said" in seen[-1].messages[-2].content


class TestTap:
    def test_the_tree_is_never_wider_than_w_and_grows_from_the_best(self):
        said = iter(range(10_000))

        def target(query: Query) -> Attempt:
            return Attempt(query, "held", -float(query.messages[0].content.split()[1]))

        attempts = drive(
            attacks.build("tap,branches=4,width=3,depth=4").search(0, KNOWN[0], scene()),
            attacker(lambda _: proposal(f"message {next(said)}"), target),
        )
        by_depth = Counter(one.query.tags["depth"] for one in attempts)
        assert by_depth == {0: 3, 1: 3, 2: 3, 3: 3}
        names = {one.query.name for one in attempts if one.query.tags["depth"] == 0}
        assert {one.query.tags["parent"] for one in attempts if one.query.tags["depth"] == 1} <= names

    def test_the_leaves_are_the_fittest_and_equals_are_drawn(self):
        query = Query(0, (), "x")
        scores = [0.0, None, 2.0, 0.0, 0.0, 1.0]
        attempts = [Attempt(query, "undetermined" if s is None else "held", s) for s in scores]
        drawn = [best(attempts, 3, np.random.default_rng(seed)) for seed in range(60)]
        assert {tuple(places[:2]) for places in drawn} == {(2, 5)}
        assert {places[2] for places in drawn} == {0, 3, 4}
        assert best(attempts, 6, np.random.default_rng(0))[-1] == 1

    @pytest.mark.parametrize(
        ("verdict", "counted"),
        [
            (Scored(np.array([-2, -1], dtype=np.float32), np.ones(2, dtype=np.int64)), "off_topic"),
            (Scored(np.array([-1, -1], dtype=np.float32), np.ones(2, dtype=np.int64)), "topic_undetermined"),
            (Scored(NAN, np.ones(2, dtype=np.int64)), "topic_undetermined"),
            (Scored(NAN, np.ones(2, dtype=np.int64), error="late"), "topic_undetermined"),
        ],
    )
    def test_what_is_not_said_to_be_on_topic_is_not_asked(self, verdict, counted):
        def answer(request: Request) -> Any:
            return verdict if isinstance(request, Choose) else attacker(lambda _: proposal("x"))(request)

        (only,) = drive(attacks.build("tap,branches=5").search(0, KNOWN[0], scene()), answer)
        assert (only.query.tactic, dict(only.query.tags)) == ("no proposal", {counted: 5})

    def test_the_critic_sees_message_and_aim_as_they_are(self):
        seen: list[Choose] = []

        def answer(request: Request) -> Any:
            if isinstance(request, Choose):
                seen.append(request)
            return attacker(lambda _: proposal(f"message {HOSTILE}"))(request)

        drive(attacks.build("tap,depth=1,branches=1").search(0, ODD, scene()), answer)
        assert seen[0].answers == ("Yes", "No")
        assert f"<<message {HOSTILE}>>" in seen[0].messages[0].content
        assert f"<<{ODD.claim}>>" in seen[0].messages[0].content
