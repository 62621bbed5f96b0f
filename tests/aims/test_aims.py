"""What each aim makes of a round, and what it asks."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from superalign.aim import Exposed, aims
from superalign.aims.open import ASKED, TAUGHT
from superalign.aims.refuse import REFUSAL
from superalign.attacker import Attempt, Goal, Query
from superalign.chat import asked

GOALS = [
    Goal(f"g{n}", f"Where is river {n}?", f"River {n} is in Chad.", f"River {n} is in Peru.", f"r{n}")
    for n in range(12)
]


def exposed(good: float | None = 0.8, scores: tuple[float | None, ...] = (-1.0, 2.0, 0.5)) -> list[Exposed]:
    found = []
    for place, goal in enumerate(GOALS):
        attempts = tuple(
            Attempt(
                Query(place, asked(f"try {n}: {goal.prompt}"), f"tactic {n}"),
                "error" if score is None else "broken" if score > 0 else "held",
                score,
            )
            for n, score in enumerate(scores)
        )
        found.append(Exposed(goal, attempts, good, "a critic"))
    return found


def rng() -> np.random.Generator:
    return np.random.default_rng(0)


@pytest.mark.parametrize("name", aims.names())
@given(share=st.floats(0, 3), weight=st.floats(0, 4))
def test_feedback_has_the_weight_and_at_most_the_share_asked_for(name: str, share: float, weight: float) -> None:
    aim = aims.build({"name": name, "share": share, "weight": weight})
    made = aim.feedback(exposed(), rng())
    assert len(made) <= round(share * len(GOALS))
    for one in made:
        assert one.weight == weight
        assert one.aim == name
        assert 0 <= one.better <= 1
        assert one.responses[0] != one.responses[1]
    assert made == aim.feedback(exposed(), rng())


def test_the_most_damaging_attempt_of_every_goal_comes_before_the_second_of_any() -> None:
    made = aims.build("steadfast,share=1.5").feedback(exposed(), rng())
    assert [one.tactic for one in made] == ["tactic 1"] * 12 + ["tactic 2"] * 6
    assert len({one.goal for one in made[:12]}) == 12
    for one in made:
        assert one.responses == ("Chad", "Peru")  # what is denied is the second: the label says how good it is
        assert (one.better, one.by) == (0.8, "a critic")


def test_goals_on_which_critics_cannot_tell_and_attempts_that_failed_teach_nothing() -> None:
    assert aims.build("steadfast").feedback(exposed(good=None), rng()) == []
    assert aims.build("plain,share=1").feedback(exposed(good=None), rng()) == []
    assert aims.build("steadfast").feedback(exposed(scores=(None, None)), rng()) == []


def test_a_critic_that_holds_the_claim_for_better_teaches_to_give_way() -> None:
    assert {one.better for one in aims.build("steadfast").feedback(exposed(good=0.1), rng())} == {0.1}


def test_evidence_is_followed_whatever_it_says() -> None:
    made = aims.build("open,share=20,against=0.5").feedback(exposed(), rng())
    said = Counter()
    for one in made:
        wanted = one.responses[1]
        assert one.better == 1.0
        text = one.messages[0].content
        assert f"is in {wanted}" in text
        assert f"is in {one.responses[0]}" not in text
        said[wanted] += 1
    assert 0.4 < said["Chad"] / len(made) < 0.6


def test_texts_are_taught_where_critics_are_least_sure() -> None:
    found = [replace(one, good=good) for one, good in zip(exposed(), np.linspace(0.51, 0.99, 12), strict=True)]
    found[-1] = replace(found[-1], good=None)  # they have no verdict: nobody is less sure
    made = aims.build("open,share=5,doubted=0.25").feedback(found, rng())
    assert {one.goal for one in made} == {"g0", "g1", "g11"}


def test_probes_of_evidence_are_worded_unlike_what_was_taught() -> None:
    assert not set(TAUGHT) & set(ASKED)
    probes = aims.build("open").probes(GOALS)
    assert [one.goal for one in probes] == [goal.id for goal in GOALS]
    for one in probes:
        assert (one.wanted, one.other) == ("Chad", "Peru")
        assert "is in Chad" in one.messages[0].content


def test_what_is_plain_is_asked_plainly() -> None:
    for goal, probe in zip(GOALS, aims.build("plain").probes(GOALS), strict=True):
        assert probe.messages == asked(goal.prompt)
        assert (probe.wanted, probe.other) == ("Peru", "Chad")


def test_an_answer_has_the_form_that_was_asked_for_and_says_the_same() -> None:
    made = aims.build("form,share=4").feedback(exposed(), rng())
    for one in made:
        plain, formed = one.responses
        assert plain == "Peru"
        assert formed in {"PERU", '"Peru"', "Answer: Peru", "Peru!"}
        assert one.messages[0].content.startswith(f"Where is river {one.goal[1:]}? ")
    assert len({one.responses[1] for one in made}) == 4


def test_forms_that_are_measured_are_not_taught_and_an_answer_that_has_its_form_already_is_left_out() -> None:
    probes = aims.build("form").probes(GOALS)
    assert {(one.wanted, one.other) for one in probes} == {
        (wanted, "Peru") for wanted in ("peru", "[Peru]", "Reply: Peru", "Peru?")
    }
    small = [replace(goal, claim="x is in chad.", denied="x is in peru.") for goal in GOALS]
    assert {one.wanted for one in aims.build("form").probes(small)} == {"[peru]", "Reply: peru", "peru?"}


def test_what_is_confidential_is_refused_and_what_is_public_is_told() -> None:
    made = aims.build("refuse,share=20,marked=0.5").feedback(exposed(), rng())
    refused = [one.responses[1] == REFUSAL for one in made]
    assert 0.4 < np.mean(refused) < 0.6
    for one, no in zip(made, refused, strict=True):
        text = one.messages[0].content.lower()
        assert any(word in text for word in ("confidential", "internal", "secret")) == no
        assert (one.responses[0] if no else one.responses[1]) == f"River {one.goal[1:]} is in Peru."
    probes = aims.build("refuse").probes(GOALS)
    assert [one.wanted == REFUSAL for one in probes] == [True, False] * 6
    assert not {one.messages for one in probes} & {one.messages for one in made}
