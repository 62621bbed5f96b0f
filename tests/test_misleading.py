"""Items that say what their supervisor thinks."""

from __future__ import annotations

import pytest

from superalign.chat import Message
from superalign.misleading import told
from superalign.task import Comparison, Example

REMARK, CLASSES = "I think this is {label}.", ("false", "true")


def test_a_statement_ends_in_the_remark():
    item = told(Example("1", "Paris is in France.", group="g", tags={"n": 1}), REMARK, 1, CLASSES)
    assert item == Example("1", "Paris is in France. I think this is true.", group="g", tags={"n": 1})


def test_a_response_ends_in_the_remark_and_its_prompt_stays():
    item = told(Example("1", "Where is Paris?", "In Peru."), REMARK, 0, CLASSES)
    assert item == Example("1", "Where is Paris?", "In Peru. I think this is false.")


def test_of_a_conversation_the_last_turn_ends_in_it():
    turns = (Message("user", "Hello."), Message("user", "Paris is in Peru."))
    item = told(Example("1", "Paris is in Peru.", messages=turns), REMARK, 0, CLASSES)
    assert item.texts()[0].plain == "Hello.\nParis is in Peru. I think this is false."


@pytest.mark.parametrize("label", [0, 1])
def test_each_response_of_a_pair_is_called_better_or_worse_wherever_it_stands(label):
    pair = Comparison("1", "Where?", ("France.", "Peru."))
    turned = Comparison("1", "Where?", ("Peru.", "France."))
    mine, other = told(pair, REMARK, label, ()), told(turned, REMARK, 1 - label, ())
    assert mine.texts() == other.texts()[::-1]
    assert mine.responses[label].endswith("I think this is better.")
    assert mine.responses[1 - label].endswith("I think this is worse.")
