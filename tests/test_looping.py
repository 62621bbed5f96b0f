"""The arithmetic of a round: pooled critics, disagreement, what changed."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from superalign.loop_judges import disagreement
from superalign.loop_shares import changed
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
