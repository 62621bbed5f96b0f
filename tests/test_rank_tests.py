"""Statistics of ranks against independent computations."""

from __future__ import annotations

from itertools import product

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from superalign.rank_tests import mean_over, rank_correlation, signed_rank


@pytest.mark.parametrize("n", [1, 3, 6, 10, 25])
def test_without_ties_it_is_scipys_exact_test(n) -> None:
    d = np.random.default_rng(n).normal(0.3, 1, n)
    found = signed_rank(d)
    assert found.p == pytest.approx(stats.wilcoxon(d, mode="exact").pvalue)
    assert found.least_p == pytest.approx(min(1.0, 2 / 2**n))
    assert (found.wins, found.losses) == ((d > 0).sum(), (d < 0).sum())


@given(st.lists(st.integers(-3, 3), min_size=1, max_size=9))
@settings(max_examples=60, deadline=None)
def test_with_ties_and_zeros_it_is_the_count_over_all_signs(whole) -> None:
    found = signed_rank([float(one) for one in whole])
    d = np.array([one for one in whole if one])
    assert found.ties == len(whole) - len(d)
    if not len(d):
        assert found.p == 1
        return
    ranks = stats.rankdata(np.abs(d))
    sums = np.array([ranks[np.array(signs)].sum() for signs in product([False, True], repeat=len(d))])
    seen = ranks[d > 0].sum()
    p = 2 * min((sums <= seen + 1e-9).mean(), (sums >= seen - 1e-9).mean())
    assert found.p == pytest.approx(min(1.0, p))


def test_the_interval_holds_just_the_shifts_that_the_test_does_not_refuse() -> None:
    d = np.random.default_rng(0).normal(0.5, 1, 12)
    shift = signed_rank(d).shift
    assert shift is not None
    for inside in np.linspace(shift.low + 1e-6, shift.high - 1e-6, 9):
        assert stats.wilcoxon(d - inside, mode="exact").pvalue > 0.05
    for outside in (shift.low - 1e-6, shift.high + 1e-6):
        assert stats.wilcoxon(d - outside, mode="exact").pvalue <= 0.05
    assert signed_rank(d[:5]).shift is None  # no p below .05 is possible
    assert signed_rank(d[:6]).shift is not None


def test_rank_correlation() -> None:
    x, y = [1.0, 2.0, 2.0, 5.0], [0.3, 0.1, 0.4, 0.9]
    assert rank_correlation(x, y) == pytest.approx(stats.spearmanr(x, y).statistic)
    assert rank_correlation(x[:2], y[:2]) is None
    assert rank_correlation([1.0, 1.0, 1.0], y[:3]) is None


def test_the_mean_over_groups_covers_as_often_as_it_says() -> None:
    draw, hits = np.random.default_rng(1), 0
    for _ in range(150):
        group = draw.normal(0.2, 1, 6)
        found = mean_over([(str(i), group[i] + draw.normal(0, 0.2)) for i in range(6) for _ in range(3)], (-9, 9))
        assert found is not None
        hits += found.low <= 0.2 <= found.high
    assert hits >= 0.9 * 150
    assert mean_over([("one", 0.1), ("one", 0.4)], (-1, 1)) is None
    ends = mean_over([("a", 0.9), ("b", -0.9)], (-1, 1))
    assert ends is not None
    assert (ends.low, ends.high) == (-1, 1)
