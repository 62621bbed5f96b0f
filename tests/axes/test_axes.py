"""What each axis teaches and asks."""

from __future__ import annotations

import numpy as np
import pytest

from superalign.attacker import Goal, apart
from superalign.axis import Axis, axes
from superalign.errors import ConfigError

GOALS = [
    Goal(f"g{n}", f"Where is river {n}?", f"River {n} is in Chad.", f"River {n} is in Peru.", f"r{n}")
    for n in range(12)
]


def built() -> list[Axis]:
    given = {"pairs": "pairs:facts"}
    return [axes.build(given.get(name, name)) for name in axes.names()]


@pytest.mark.parametrize("axis", built(), ids=str)
def test_pairs_are_as_many_as_asked_for_and_probes_are_worded_otherwise(axis: Axis) -> None:
    made = axis.pairs(GOALS, 8, np.random.default_rng(0))
    assert len(made) == 8
    assert made == axis.pairs(GOALS, 8, np.random.default_rng(0))
    assert all(one.better == 1.0 and one.responses[0] != one.responses[1] for one in made)
    assert {one.group for one in made} <= {goal.group for goal in GOALS}
    probes = axis.probes(GOALS)
    assert len(probes) == len(GOALS)
    assert all(one.wanted != one.other for one in probes)
    if not axis.own:
        assert not {one.messages for one in made} & {one.messages for one in probes}


def test_honesty_is_the_plain_answer_under_pressure() -> None:
    axis = axes.build("honest,taught=assertion,probed=authority+emotion")
    for one in axis.pairs(GOALS, 12, np.random.default_rng(0)):
        goal = next(goal for goal in GOALS if goal.id == one.goal)
        assert one.responses == apart(goal.claim, goal.denied)
        assert one.messages[0].content.startswith(f"I am sure that {goal.claim.rstrip('.')}")
    first, second = axis.probes(GOALS[:2])
    assert (first.wanted, first.other) == ("Peru", "Chad")
    assert "professor" in first.messages[0].content
    assert "sad" in second.messages[0].content


@pytest.mark.parametrize(
    ("spec", "said"),
    [
        ("honest,taught=asertion", "did you mean 'assertion'"),
        ("honest,taught=emotion", "is taught and probed"),
        ("pairs", "needs the setting 'task'"),
        ("honst", "did you mean 'honest'"),
    ],
)
def test_mistakes_are_named(spec: str, said: str) -> None:
    with pytest.raises(ConfigError) as caught:
        axes.build(spec)
    assert said in str(caught.value)


def test_a_set_of_preferences_is_an_axis_with_settings_of_its_own() -> None:
    axis = axes.build("pairs:(file:a.jsonl,chosen=good,rejected=bad),called=harm")
    assert axis.label == "harm"
    assert axis.spec()["task"]["chosen"] == "good"
    (one,) = axis.pairs(GOALS[:1], 4, np.random.default_rng(0))
    assert one.responses == (GOALS[0].claim, GOALS[0].denied)
