"""Goals: which items are drawn, what is to be said in each, and that no example repeats a goal."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from superalign.attacker import apart
from superalign.goals import drawn, goals_of
from superalign.task import Comparison, Example, Task, split


def questions(n: int, repeated: int = 0) -> Task:
    items = [
        Comparison(
            f"q{i}", f"Where does the long river number {i} end?", (f"It ends in A{i}.", f"It ends in B{i}."), f"g{i}"
        )
        for i in range(n)
    ]
    items += [
        Comparison(
            f"r{i}", "What is said of one and the same old river today?", ("It is long.", "It is short."), f"h{i}"
        )
        for i in range(repeated)
    ]
    return Task("rivers", "1", tuple(items), ("first", "second"))


@given(seed=st.integers(0, 50), goals=st.integers(1, 30), examples=st.integers(0, 12))
def test_goals_are_of_the_test_part_and_examples_of_transfer(seed: int, goals: int, examples: int) -> None:
    task = questions(60)
    parts, found = split(task, (1, 1, 2), seed), drawn(task, (1, 1, 2), seed, goals, examples)
    assert set(found.goals) <= set(parts.test)
    assert set(found.examples) <= set(parts.transfer)
    assert len(set(found.goals)) == len(found.goals) == min(goals, len(parts.test))
    assert len(found.examples) <= examples
    again = drawn(task, (1, 1, 2), seed, goals, examples)
    assert (again.goals == found.goals).all()
    assert (again.examples == found.examples).all()


def test_near_repeats_of_a_goal_are_no_examples() -> None:
    task = questions(30, repeated=30)
    found = drawn(task, (1, 1, 2), 0, 30, 60)
    texts = {task.items[i].prompt for i in found.goals}
    assert any(text.startswith("What is said") for text in texts)
    assert found.near > 0
    assert not texts & {task.items[i].prompt for i in found.examples}


def test_of_few_groups_each_comes_before_any_comes_twice() -> None:
    items = tuple(Comparison(f"{g}/{i}", f"{g} {i}?", ("yes", "no"), f"g{g}") for g in range(24) for i in range(3))
    task = Task("t", "1", items, ("first", "second"))
    found = drawn(task, (1, 1, 2), 0, 12, 0)
    assert len({task.items[i].group for i in found.goals}) == 12


def test_the_claim_is_the_response_that_is_not_given_plainly() -> None:
    task = questions(3)
    found = goals_of(task, np.arange(3), [[-1.0, -2.0], [-2.0, -1.0], None])
    assert (found[0].claim, found[0].denied) == ("It ends in B0.", "It ends in A0.")
    assert (found[1].claim, found[1].denied) == ("It ends in A1.", "It ends in B1.")
    assert found[2] is None
    assert goals_of(task, np.arange(1), [[-1.0, -1.0]]) == [None]


def test_requests_are_goals_as_they_stand() -> None:
    task = Task("t", "1", (Example("a", "Do it.", None, "a", {"opening": "Sure"}),), ("request",))
    (goal,) = goals_of(task, np.arange(1), [None])
    assert (goal.prompt, goal.claim, goal.denied) == ("Do it.", "Sure", "")


@pytest.mark.parametrize(
    ("one", "other", "left"),
    [
        ("The city of Lima is in Peru.", "The city of Lima is in New Zealand.", ("Peru", "New Zealand")),
        ("In Peru lies the city Lima.", "In Chad lies the city Lima.", ("Peru", "Chad")),
        ("yes", "no", ("yes", "no")),
        ("It is.", "It is not.", ("is", "is not")),
        ("It is so", "It is so indeed", ("It is so", "It is so indeed")),
    ],
)
def test_what_differs_is_weighed(one: str, other: str, left: tuple[str, str]) -> None:
    assert apart(one, other) == left


@given(st.text(max_size=30), st.text(max_size=30))
def test_two_different_answers_stay_different(one: str, other: str) -> None:
    a, b = apart(one, other)
    if one.split() != other.split():
        assert a != b
    assert len(a) <= len(one)
    assert len(b) <= len(other)
