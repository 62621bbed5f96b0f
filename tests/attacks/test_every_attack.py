"""What every attack keeps to: valid conversations, the same ones again, nobody's words changed."""

from __future__ import annotations

import inspect
import json
from pathlib import Path
from typing import Any

import pytest
from driven import GOALS, HOSTILE, drive, run, scene

from superalign.attacker import Attack, GoalByGoal, attacks
from superalign.registry import Registry

MOST = 12  # queries of each search that are looked at
CUTS_CLAIMS = ("incomplete-sentence", "bandit")
DRAW_NOTHING = (
    "plain",
    "pressure",
    "pair",
    "tap",
    "learned",
)  # the last three draw seeds of the attacker's model, which is not here
CHANGES_LETTERS = ("best-of-n",)


READS = {"map-elites": [pytest.mark.model]}  # classifies what it makes by an embedded model
EVERY = [
    pytest.param(name, world, marks=READS.get(name, []))
    for name in attacks.names()
    for world in sorted(attacks.get(name).worlds)
    if not attacks.get(name).white_box
]


@pytest.fixture(autouse=True)
def home_with_models(request):
    """Give attacks that read with an embedded model a home that has it."""
    if request.node.get_closest_marker("model"):
        request.getfixturevalue("embedded_home")


@pytest.mark.parametrize(("name", "world"), EVERY)
class TestContract:
    def test_queries_are_valid_conversations(self, name, world):
        attempts = run(attacks.build(name), GOALS[world], scene(world), most=MOST)
        assert attempts
        for query in (attempt.query for attempt in attempts):
            assert 0 <= query.goal < len(GOALS[world])
            assert query.messages
            assert query.messages[-1].role in ("user", "assistant")
            roles = [turn.role for turn in query.messages if turn.role != "system"]
            assert roles == (["user", "assistant"] * len(roles))[: len(roles)]
            assert all(turn.content for turn in query.messages)
            assert query.tactic
            json.dumps(dict(query.tags), allow_nan=False)

    def test_the_same_seed_asks_the_same_and_another_does_not(self, name, world):
        def asked(seed):
            attempts = run(attacks.build(name), GOALS[world], scene(world, seed), most=MOST)
            return [(one.query.name, dict(one.query.tags)) for one in attempts]

        assert asked(0) == asked(0)
        if name not in DRAW_NOTHING:
            assert asked(0) != asked(1)

    def test_hostile_words_of_a_goal_pass_unharmed(self, name, world):
        attack = attacks.build(name)
        goals = [goal for goal in GOALS[world] if goal.id == "odd"]
        attempts = run(attack, goals, scene(world), most=MOST)
        kept = HOSTILE[:30] if name in CUTS_CLAIMS else HOSTILE
        if name not in CHANGES_LETTERS:
            for attempt in attempts:
                assert any(kept in turn.content for turn in attempt.query.messages), attempt.query

    def test_a_goal_is_gone_for_alone_whatever_the_others_are(self, name, world):
        attack = attacks.build(name)
        if isinstance(attack, GoalByGoal):
            first, second = GOALS[world][:2]
            together = drive(list(attack.searches([first, second], scene(world)))[1][1], most=MOST)
            alone = drive(attack.search(1, second, scene(world)), most=MOST)
            assert [one.query for one in alone] == [one.query for one in together]


@pytest.mark.parametrize("name", attacks.names())
def test_an_attack_says_where_it_comes_from_and_what_it_does(name):
    cls = attacks.get(name)
    assert cls.source
    assert inspect.getdoc(cls)
    assert all(field.description for field in cls.model_fields.values())


@pytest.mark.parametrize("name", attacks.names())
def test_its_text_form_builds_it_again(name):
    attack = attacks.build(name)
    assert attacks.build(str(attack)) == attack
    assert attacks.build(attack.spec()) == attack


def test_the_documents_example_is_an_attack(monkeypatch):
    text = (Path(__file__).parents[2] / "docs/extending.md").read_text().partition("## An attack")[2]
    monkeypatch.setattr("superalign.attacker.attacks", Registry("attack", "superalign.attacks", Attack))
    place: dict[str, Any] = {"__name__": "example"}
    exec(text.partition("```python")[2].partition("```")[0], place)
    attempts = run(place["Insist"](times=3), GOALS["knowledge"], scene())
    assert [one.query.messages[0].content.count(GOALS["knowledge"][0].claim) for one in attempts[:3]] == [1, 2, 3]


def test_every_black_box_attack_is_in_the_documents():
    text = (Path(__file__).parents[2] / "docs/attacks.md").read_text()
    assert [name for name in attacks.names() if not attacks.get(name).white_box and f"`{name}`" not in text] == []
