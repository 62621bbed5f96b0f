"""How many pairs of each aim, and which; and what nothing betters."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from superalign.mixing import best_scored, by_share, equally, lagging
from superalign.pareto import front

POOLS = st.lists(st.integers(0, 40), min_size=1, max_size=5)


@given(POOLS, st.data())
def test_a_budget_is_dealt_whole_and_within_the_pools(pools: list[int], data: st.DataObject) -> None:
    budget = data.draw(st.integers(0, sum(pools)))
    shares = data.draw(st.lists(st.floats(0, 1), min_size=len(pools), max_size=len(pools)))
    counts = by_share(shares, budget, pools)
    assert sum(counts) == budget
    assert all(0 <= count <= most for count, most in zip(counts, pools, strict=True))
    if budget and all(most >= budget for most in pools) and sum(shares) > 0:  # no pool is in the way
        exact = [budget * share / sum(shares) for share in shares]
        assert all(abs(count - part) < 1 + 1e-9 for count, part in zip(counts, exact, strict=True))


def test_what_lags_gets_more() -> None:
    assert lagging([0.9, 0.5, 0.2], 14, [100] * 3) == [1, 5, 8]
    assert lagging([1.0, 1.0], 5, [9, 9]) == [3, 2]
    assert equally(7, [100, 1, 100]) == [3, 1, 3]
    with pytest.raises(ValueError, match="8 pairs are wanted of 7"):
        equally(8, [3, 4])


def test_the_pairs_on_which_the_experts_agree_are_taken() -> None:
    before = [np.zeros(3), np.zeros(2)]
    one = [np.array([1.0, 0.0, 3.0]), np.array([2.0, -1.0])]
    other = [np.array([100.0, 0.0, -100.0]), np.array([100.0, np.nan])]
    scale = [np.std([1, 0, 3, 2, -1]), np.std([100, 0, -100, 100])]
    total = [1 / scale[0] + 100 / scale[1], 0, 3 / scale[0] - 100 / scale[1], 2 / scale[0] + 100 / scale[1]]
    assert np.argsort(total)[::-1].tolist()[:2] == [3, 0]
    assert best_scored(before, [one, other], 2) == [[0], [0]]
    assert best_scored(before, [one, other], 5) == [[0, 1, 2], [0]]  # what has no answer is never taken


@given(st.lists(st.tuples(*[st.integers(0, 4)] * 3), min_size=1, max_size=12))
def test_the_front_is_what_nothing_betters(points: list[tuple[int, int, int]]) -> None:
    wanted = [not any(all(a >= b for a, b in zip(q, p, strict=True)) and q != p for q in points) for p in points]
    assert front(points).tolist() == wanted
    assert front(np.array([points, points])).tolist() == [wanted, wanted]
