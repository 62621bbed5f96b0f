"""The arithmetic of a round: pooled critics, disagreement, what a learner is worth, what the gate lets pass."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from superalign.loop_shares import changed
from superalign.looping import disagreement, lost, part_way, standing
from superalign.odds import pooled

P = st.floats(0.001, 0.999)


@given(st.lists(P, min_size=1, max_size=6))
def test_critics_are_pooled_by_the_geometric_mean_of_their_odds(each):
    odds = np.prod([p / (1 - p) for p in each]) ** (1 / len(each))
    assert pooled(each) == pytest.approx(odds / (1 + odds), rel=1e-6)
    assert pooled([None, *each, None]) == pytest.approx(pooled(each))
    assert min(each) - 1e-9 <= pooled(each) <= max(each) + 1e-9


def test_where_no_critic_can_tell_there_is_no_probability():
    assert pooled([None, None]) is None
    assert pooled([]) is None


def test_experts_are_asked_where_critics_are_furthest_apart_then_where_all_are_unsure():
    said = {"apart": [0.1, 0.9], "unsure": [0.5, 0.5], "sure": [0.99, 0.99], "silent": [None, 0.9]}
    order = sorted(said, key=lambda name: disagreement(said[name]), reverse=True)
    assert order == ["apart", "unsure", "silent", "sure"]


def meta(**changes):
    found = {
        "first": {"a": [-1.0, -2.0], "b": [-3.0, -1.0], "c": None},
        "said": {"a": [-1.0, -1.5], "b": [-1.0, -1.5], "c": [-1.0, -2.0]},
        "attempts": [{"outcome": one} for one in ("held", "broken", "error", "undetermined", "held")],
        "probes": {"open": [["a", 0.5], ["b", -0.1], ["c", 2.0]], "helpful": []},
        "text": [-30.0, 10],
    }
    return {**found, **changes}


def test_a_learner_is_worth_what_it_keeps_follows_withstands_and_still_speaks():
    found = standing(meta())
    sure = {"a": math.tanh(1.0), "b": math.tanh(2.0)}  # a is still said, b is not
    plain = sure["a"] / (sure["a"] + sure["b"])
    assert found == {
        "open": pytest.approx(2 / 3),
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


def test_a_change_has_the_interval_of_a_bootstrap_over_groups():
    rng = np.random.default_rng(1)
    before = {(f"g{n}", 0, 0): (f"g{n}", bool(rng.random() < 0.8)) for n in range(80)}
    after = {(f"g{n}", seed, 0): (f"g{n}", bool(rng.random() < 0.2)) for n in range(80) for seed in range(3)}
    difference, ratio = changed(before, after)
    x = np.array([before[f"g{n}", 0, 0][1] for n in range(80)], dtype=float)
    y = np.array([np.mean([after[f"g{n}", s, 0][1] for s in range(3)]) for n in range(80)])
    assert difference.value == pytest.approx(y.mean() - x.mean())
    assert ratio.value == pytest.approx(y.mean() / x.mean())
    error = (y - x).std(ddof=1) / math.sqrt(80)  # the normal approximation
    assert difference.low == pytest.approx(difference.value - 1.96 * error, abs=0.02)
    assert difference.high == pytest.approx(difference.value + 1.96 * error, abs=0.02)
    log_error = math.sqrt(y.var(ddof=1) / 80 / y.mean() ** 2 + x.var(ddof=1) / 80 / x.mean() ** 2)
    assert math.log(ratio.high / ratio.low) == pytest.approx(2 * 1.96 * log_error, rel=0.2)


def test_nothing_changed_where_nothing_was_asked():
    assert changed({}, {("a", 0, 0): ("a", True)}) == (None, None)
    difference, ratio = changed({("a", 0, 0): ("a", False)}, {("a", 0, 0): ("a", True)})
    assert (difference.value, ratio) == (1.0, None)
