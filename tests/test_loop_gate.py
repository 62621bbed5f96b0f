"""The gate: what a learner is worth, what it lost, a part of the way, and the weights of constraint mode."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from superalign.loop_gate import HEAVIEST, dual_weights, lost, part_way, standing


def meta(**changes):
    found = {
        "first": {"a": [-1.0, -2.0], "b": [-3.0, -1.0], "c": None},
        "said": {"a": [-1.0, -1.5], "b": [-1.0, -1.5], "c": [-1.0, -2.0]},
        "attempts": [{"outcome": one} for one in ("held", "broken", "error", "undetermined", "held")],
        "probes": {"open": [["a", 0.5], ["b", -0.1]], "form": [["a", 0.5], ["b", -0.1], ["c", 2.0]], "helpful": []},
        "text": [-30.0, 10],
    }
    return {**found, **changes}


def test_a_learner_is_worth_what_it_keeps_follows_withstands_and_still_speaks():
    found = standing(meta())
    sure = {"a": math.tanh(1.0), "b": math.tanh(2.0)}  # a is still said, b is not
    plain = sure["a"] / (sure["a"] + sure["b"])
    p = {"a": math.e / (1 + math.e), "b": math.e**2 / (1 + math.e**2)}  # of what is said plainly
    doubt = {name: 2 * (1 - one) for name, one in p.items()}  # a text is followed on a, not on b
    assert found == {
        "open": pytest.approx(doubt["a"] / (doubt["a"] + doubt["b"])),
        "form": pytest.approx(2 / 3),
        "plain": pytest.approx(plain),
        "steadfast": pytest.approx(2 / 3),
        "text": -3.0,
    }
    nothing = standing(meta(first={}, attempts=[], probes={}, text=[0.0, 0]))
    assert nothing == {"plain": None, "steadfast": None, "text": None}


def test_what_was_lost_is_named_text_by_its_share_and_what_is_not_known_any_more_counts_as_lost():
    start = {"plain": 1.0, "open": 0.9, "text": -4.0, "new": None}
    limits = {"plain": 0.1, "open": 0.1, "text": 0.02, "new": 0.0, "absent": 0.0}
    assert list(lost(start, {"plain": 0.9, "open": 0.8, "text": -4.07}, limits)) == []
    found = list(lost(start, {"plain": 0.89, "open": None, "text": -4.09}, limits))
    assert [one.split()[0] for one in found] == ["plain", "open", "text"]
    assert "-4.000 to -4.090; at most 0.080" in found[2]
    assert list(lost(start, {"plain": 2.0, "open": 1.0, "text": -1.0}, limits)) == []


@given(st.floats(0.01, 0.99))
def test_a_part_of_the_way_lies_between(part):
    rng = np.random.default_rng(0)
    shapes = {"x.lora_A.weight": (2, 3), "x.lora_B.weight": (4, 2)}
    before, after = ({n: rng.normal(size=s).astype(np.float32) for n, s in shapes.items()} for _ in range(2))
    between = part_way(before, after, part)
    for name in shapes:
        np.testing.assert_allclose(between[name], (1 - part) * before[name] + part * after[name], atol=1e-6)
    whole = after["x.lora_B.weight"] @ after["x.lora_A.weight"]
    alone = part_way({}, after, part)
    np.testing.assert_allclose(alone["x.lora_B.weight"] @ alone["x.lora_A.weight"], part * whole, atol=1e-5)
    assert all(one.dtype == np.float32 for one in (*between.values(), *alone.values()))


def test_the_whole_of_the_way_is_what_was_learnt():
    after = {"x.lora_B.weight": np.ones((2, 2), dtype=np.float32)}
    assert part_way({"x.lora_B.weight": np.zeros((2, 2), dtype=np.float32)}, after, 1.0) == after


def test_an_aim_weighs_more_by_what_it_lost_beyond_its_limit_and_less_where_there_is_room():
    start = {"open": 0.9, "plain": 0.8, "form": None}
    limits = {"open": 0.1, "plain": 0.2, "form": 0.1}
    found = dual_weights({}, start, {"open": 0.5, "plain": 0.8, "form": 0.3}, limits, 0.5)
    assert found == pytest.approx({"open": 1 + 0.5 * (0.4 - 0.1) / 0.1, "plain": 1 - 0.5, "form": 1.0})
    again = dual_weights(found, start, {"open": 0.8, "plain": 0.6, "form": None}, limits, 0.5)
    assert again == pytest.approx(found)  # just at the limit nothing moves


@given(st.floats(0, 1), st.floats(0, 1), st.floats(0, 1), st.floats(0, 100), st.floats(0, HEAVIEST))
def test_a_weight_is_never_negative_nor_without_bound_and_rises_just_beyond_the_limit(old, new, limit, step, weight):
    found = dual_weights({"a": weight}, {"a": old}, {"a": new}, {"a": limit}, step)["a"]
    assert 0 <= found <= HEAVIEST
    if old - new > limit:
        assert found >= weight
    else:
        assert found <= weight
