"""Feedback as plain data."""

from __future__ import annotations

import json

from hypothesis import given
from hypothesis import strategies as st

from superalign.chat import Message
from superalign.feedback import Feedback

TURNS = st.lists(
    st.builds(Message, st.sampled_from(["system", "user", "assistant"]), st.text()), min_size=1, max_size=4
).map(tuple)


@given(TURNS, st.tuples(st.text(), st.text()), st.floats(0, 1), st.floats(0, 9), st.none() | st.floats(-50, 50))
def test_written_and_read_again_it_is_the_same(messages, responses, better, weight, revised):
    one = Feedback("goal", messages, responses, better, "aim", "critic", "tactic", weight, "group", revised)
    assert Feedback.read(json.loads(json.dumps(one.written()))) == one
