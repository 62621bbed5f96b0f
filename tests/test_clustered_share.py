"""Intervals of shares over related items: Wilson's where all are strangers, as wide as the groups say elsewhere."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import t

from superalign.metric import clustered_share


def wilson(p: float, n: float, z: float) -> tuple[float, float]:
    """The two roots of (p - x)^2 = z^2 x (1 - x) / n, found as roots of a polynomial."""
    roots = np.roots([1 + z**2 / n, -(2 * p + z**2 / n), p**2])
    return max(0.0, min(roots.real)), min(1.0, max(roots.real))


@given(st.integers(1, 30), st.integers(2, 30), st.booleans())
def test_without_variance_it_is_wilson_on_the_groups(size: int, groups: int, hit: bool) -> None:
    names = np.repeat(np.arange(groups), size)
    found = clustered_share(names, np.full(len(names), hit))
    assert (found.low, found.high) == pytest.approx(wilson(float(hit), groups, t.ppf(0.975, groups - 1)), abs=1e-6)
    assert found.high > found.low


def test_repeating_every_item_changes_nothing() -> None:
    rng = np.random.default_rng(0)
    hits = rng.random(40) < 0.3
    once = clustered_share(np.arange(40), hits)
    thrice = clustered_share(np.repeat(np.arange(40), 3), np.repeat(hits, 3))
    assert thrice == pytest.approx(once, abs=1e-9)


@given(st.lists(st.booleans(), min_size=1, max_size=60))
def test_it_holds_its_value_and_stays_a_share(hits: list[bool]) -> None:
    found = clustered_share(np.arange(len(hits)), hits)
    assert 0 <= found.low <= found.value + 1e-12
    assert found.value - 1e-12 <= found.high <= 1


def test_it_covers_the_truth_where_goals_are_related() -> None:
    """30 groups of 4 whose items agree with their group 9 times of 10: about 95 of 100 intervals hold the truth."""
    rng = np.random.default_rng(1)
    held = 0
    for _ in range(600):
        group = rng.random(30) < 0.5
        hits = np.where(rng.random((30, 4)) < 0.9, group[:, None], ~group[:, None])
        found = clustered_share(np.repeat(np.arange(30), 4), hits.ravel())
        held += found.low <= 0.5 <= found.high
    assert 0.92 <= held / 600 <= 0.98
