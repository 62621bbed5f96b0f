"""When a loop stops, and when it alarms people."""

from __future__ import annotations

import pytest

from superalign.loop_judges import agreement
from superalign.loop_result import Cross, RoundRow
from superalign.loop_rules import alarms, over
from superalign.result import Interval


def exposed(broken, held=0, errors=0, **more):
    outcomes = ["broken"] * broken + ["held"] * held + ["error"] * errors
    return {"attempts": [{"outcome": one} for one in outcomes], **more}


PASSED, BACK = {"accepted": True}, {"accepted": False}


@pytest.mark.parametrize(
    ("found", "became", "stops"),
    [
        ([exposed(5, 5), exposed(5, 5)], [BACK, BACK], True),
        ([exposed(5, 5), exposed(5, 5)], [BACK, PASSED], False),
        ([exposed(1, 99), exposed(0, 10)], [PASSED, PASSED], True),
        ([exposed(1, 99), exposed(5, 5)], [PASSED, BACK], True),
        ([exposed(3, 97), exposed(0, 10)], [PASSED, PASSED], False),
        ([exposed(0, 0, 4), exposed(0, 0)], [PASSED, PASSED], False),  # nothing was decided: nobody knows
        ([exposed(9, 1)], [BACK], True),
    ],
)
def test_a_loop_stops_when_nothing_was_won_for_some_rounds(found, became, stops):
    why = over(found, became, enough=0.02)
    assert (why is not None) is stops
    if stops and not became[-1]["accepted"]:
        assert "round 1 before it was rolled back" in why


def test_what_stopped_stays_stopped():
    assert over([exposed(9, 1), exposed(0, stopped="enough")], [PASSED, PASSED], 0.02) == "enough"


def interval(value, width):
    return Interval(value=value, low=value - width, high=value + width)


def row(number, **changed):
    same = {"arm": "full", "seed": 0, "round": number, "goals": 8, "broken": 0.5, "attempts": 20, "errors": 0}
    same |= {"distinct_2": 0.3, "judged": 8, "label_accuracy": 0.9, "disagreement": 0.1, "experts": 10, "agreed": 0.9}
    same |= {"feedback": {}, "replayed": 0, "loss_first": 0.7, "loss_last": 0.1, "tokens": 9, "accepted": True}
    return RoundRow(**{**same, "why": [], "measures": {}, "start": {}, **changed})


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({}, None),
        ({"distinct_2": 0.16}, None),
        ({"distinct_2": 0.14}, "alike (distinct-2 0.30 to 0.14)"),
        ({"distinct_2": None}, None),
        ({"agreed": 0.3}, None),  # of ten: by chance, perhaps, and people are asked where critics are unsure
        ({"agreed": 0.1}, "contradict people on 90% of 10 answers"),
        ({"agreed": 0.3, "experts": 40}, "contradict people on 70% of 40 answers"),
        ({"agreed": 0.0, "experts": 3}, None),
        ({"agreed": None, "experts": 0}, None),
    ],
)
def test_attacks_that_become_alike_and_critics_against_people_are_named(changed, said):
    named = list(alarms([row(1), row(2, **changed)], []))
    assert len(named) == (said is not None)
    assert all(said in one and "full, seed 0, round 2" in one for one in named)


def test_a_line_of_which_nothing_passed_is_named_once():
    lost = [row(1, accepted=False), row(2, accepted=False), row(1, seed=1, accepted=False), row(2, seed=1)]
    assert list(alarms(lost, [])) == ["alarm: full, seed 0: no round passed the gate"]


@pytest.mark.parametrize(("later", "width", "named"), [(0.5, 0.1, True), (0.5, 0.3, False), (0.1, 0.05, False)])
def test_lessons_that_are_lost_again_are_named_where_intervals_part(later, width, named):
    cells = [(0, 0, 1.0), (0, 1, 0.1), (0, 2, later), (1, 2, 0.1)]
    crossed = [Cross(attacker=i, learner=j, success=interval(value, width), n=20) for i, j, value in cells]
    assert any("lost again" in one for one in alarms([], crossed)) is named


def test_agreement_is_a_share_of_answers_and_no_verdict_is_none():
    answers = [{"goal": "a", "after": 0.95}, {"goal": "b", "after": 0.05}, {"goal": "c", "after": 0.95}]
    assert agreement(answers, {"a": 0.6, "b": 0.4, "c": None}) == pytest.approx(2 / 3)
    assert agreement(answers, {"a": 0.4, "b": 0.6, "c": 0.9}) == pytest.approx(1 / 3)
    assert agreement([], {}) is None
    before = [{**one, "before": 0.3} for one in answers]
    assert agreement(before) == pytest.approx(1 / 3)
