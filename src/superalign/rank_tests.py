"""Statistics of ranks, for few and unlike observations such as data sets: signed-rank test, rank correlation."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from superalign.metric import LEVEL, Bootstrap, Bounds, interval, small_sample_factor

FloatArray = npt.NDArray[np.float64]
LADDER = 3  # fewest steps on which a rank correlation says anything
SAME = 1e-12  # differences up to this are none


@dataclass(frozen=True)
class SignedRank:
    """Whether paired differences lie around 0.

    Args:
        p: two-sided and exact, whatever their number and ties.
        least_p: the smallest p that so many differences can have.
        shift: the Hodges-Lehmann estimate with its interval; None where too few differences have one.
        wins, losses, ties: differences above, below and at 0.
    """

    p: float
    least_p: float
    shift: Bounds | None
    wins: int
    losses: int
    ties: int


def signed_rank(differences: Sequence[float]) -> SignedRank:
    """Return Wilcoxon's (1945) signed-rank test of paired differences.

    Differences of 0 are left out and equal sizes share their mean rank. p is taken over all choices of signs, which
    are counted, not enumerated. The interval of the shift inverts the test without ties (Hodges and Lehmann 1963).
    """
    from scipy.stats import rankdata

    every = np.asarray(differences, dtype=np.float64)
    d = every[np.abs(every) > SAME]
    wins, losses = int((d > 0).sum()), int((d < 0).sum())
    if not len(d):
        return SignedRank(1.0, 1.0, None, 0, 0, len(every))
    doubled = np.rint(2 * rankdata(np.abs(d))).astype(int)  # mean ranks are halves
    chances = _sums(doubled)
    seen = int(doubled[d > 0].sum())
    p = 2 * min(chances[: seen + 1].sum(), chances[seen:].sum())
    return SignedRank(
        min(1.0, float(p)), min(1.0, float(2 * chances[0])), _shift(every), wins, losses, len(every) - len(d)
    )


def _sums(ranks: npt.NDArray[np.int64]) -> FloatArray:
    """Return the chance of each sum of ranks, when each counts or does not at even odds."""
    chances = np.zeros(int(ranks.sum()) + 1)
    chances[0] = 1.0
    for rank in ranks:
        moved = np.zeros_like(chances)
        moved[rank:] = chances[: len(chances) - rank]
        chances = (chances + moved) / 2
    return chances


def _shift(d: FloatArray) -> Bounds | None:
    n = len(d)
    first, second = np.triu_indices(n)
    walsh = np.sort((d[first] + d[second]) / 2)
    below = np.cumsum(_sums(np.arange(1, n + 1)))
    outside = int(np.searchsorted(below, (1 - LEVEL) / 2, side="right"))  # sums so small that the test refuses them
    if outside == 0:
        return None
    return Bounds(float(np.median(walsh)), float(walsh[outside - 1]), float(walsh[len(walsh) - outside]))


def rank_correlation(x: Sequence[float], y: Sequence[float]) -> float | None:
    """Return Spearman's rho; None of fewer than three points, or where one of the two does not move."""
    if len(x) < LADDER:
        return None
    rho = float(spearman(np.array([x], dtype=np.float64), np.array([y], dtype=np.float64))[0])
    return rho if np.isfinite(rho) else None


def spearman(x: npt.NDArray[np.floating[Any]], y: npt.NDArray[np.floating[Any]]) -> FloatArray:
    """Return the rank correlation of each row, [rows, n] and [rows, n] to [rows]; NaN for a row that is constant."""
    from scipy.stats import rankdata

    whole = (np.isfinite(x) & np.isfinite(y)).all(axis=1)
    a, b = (rankdata(np.where(whole[:, None], one, 0), axis=1) for one in (x, y))
    a, b = a - a.mean(1, keepdims=True), b - b.mean(1, keepdims=True)
    size = np.sqrt((a**2).sum(1) * (b**2).sum(1)) * whole
    return np.asarray(np.divide((a * b).sum(1), size, out=np.full(len(size), np.nan), where=size > 0))


def mean_over(found: Sequence[tuple[str, float]], ends: tuple[float, float]) -> Bounds | None:
    """Return the mean of values with an interval by a bootstrap over their groups; None of fewer than two groups.

    The replicates are spread by the t quantile of so few groups, and cut at `ends`.

    Args:
        found: group and value.
        ends: between which a mean can lie.
    """
    groups, values = [group for group, _ in found], [value for _, value in found]
    if len(set(groups)) < 2:
        return None
    bootstrap = Bootstrap(groups, 1)
    mean = float(np.mean(values))
    spread = small_sample_factor(bootstrap.n_groups) * (bootstrap.means(values) - mean)
    low, high = ends
    bounds = interval(mean, mean + spread)
    return Bounds(mean, max(low, bounds.low), min(high, bounds.high))
