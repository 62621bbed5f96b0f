"""Measures with intervals: accuracy, calibration, agreement, performance gap recovered, paired tests.

Arrays are [seeds, items]; related items share a group and are resampled together.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, NamedTuple

import numpy as np
import numpy.typing as npt

from superalign.task import Gold, GoldReader

FloatArray = npt.NDArray[np.floating[Any]]
IntArray = npt.NDArray[np.int64]
BoolArray = npt.NDArray[np.bool_]
LEVEL = 0.95
REPLICATES = 4000
CHUNK = 2_000_000  # weights drawn at once


class Metric(GoldReader):
    """Reads ground truth of any part in order to score what others said."""

    gold_parts: ClassVar[frozenset[str]] = frozenset({"supervise", "transfer", "test"})

    def truth(self, gold: Gold) -> IntArray:
        """Unseal for scoring."""
        return gold.unseal(self, "to score predictions")


class Bounds(NamedTuple):
    """A figure and its 95 % interval."""

    value: float
    low: float
    high: float


class Bin(NamedTuple):
    """One bin of a reliability curve."""

    confidence: float
    accuracy: float
    n: int


def reliability(probs: FloatArray, correct: BoolArray, bins: int = 15) -> list[Bin]:
    """Group predictions by the confidence of the predicted class.

    Args:
        probs: [..., k] class probabilities.
        correct: [...] whether the predicted class is the true one.
        bins: number of equal-width bins over [0, 1]; empty ones are left out.
    """
    confidence = probs.max(-1).ravel()
    which = np.minimum((confidence * bins).astype(int), bins - 1)
    hit = correct.ravel()
    return [
        Bin(float(confidence[inside].mean()), float(hit[inside].mean()), int(inside.sum()))
        for inside in (which == b for b in range(bins))
        if inside.any()
    ]


def expected_calibration_error(probs: FloatArray, correct: BoolArray, bins: int = 15) -> float:
    """Mean gap of confidence and accuracy over bins, weighted by items (Guo et al. 2017, equation 3)."""
    curve = reliability(probs, correct, bins)
    n = sum(b.n for b in curve)
    return float(sum(abs(b.confidence - b.accuracy) * b.n for b in curve) / n)


@dataclass(frozen=True)
class Agreement:
    """How often a learner says what its supervisor says, by whether the supervisor is right."""

    overall: float
    when_right: float | None
    when_wrong: float | None
    n_wrong: int


def agreement(student: IntArray, supervisor: IntArray, truth: IntArray) -> Agreement:
    """Compare predicted classes [n]; a share over no items is None."""
    same, right = student == supervisor, supervisor == truth
    return Agreement(
        float(same.mean()),
        float(same[right].mean()) if right.any() else None,
        float(same[~right].mean()) if (~right).any() else None,
        int((~right).sum()),
    )


class Bootstrap:
    """Resamples test groups and seeds together, so that every figure of a study shares the same replicates.

    A plain bootstrap over few seeds is too sure of itself: its spread is sqrt((S-1)/S) of the true one, and it knows
    no t distribution. The seeds' weights are therefore spread by sqrt(S/(S-1)) t_{S-1}/z, which is 1.58 for 5 seeds.

    Args:
        groups: group of each test item, [n].
        seeds: number of seeds; with one, only groups are resampled.
        replicates: bootstrap replicates.
        seed: of the resampling.
    """

    def __init__(self, groups: npt.ArrayLike, seeds: int, replicates: int = REPLICATES, seed: int = 0) -> None:
        _, self._group = np.unique(np.asarray(groups), return_inverse=True)
        self.n, self.n_groups = len(self._group), int(self._group.max()) + 1
        rng = np.random.default_rng(seed)
        drawn = rng.multinomial(self.n_groups, np.full(self.n_groups, 1 / self.n_groups), replicates)
        self._groups = drawn.astype(np.float32)  # once: integer products would be converted at every call
        share = rng.multinomial(seeds, np.full(seeds, 1 / seeds), replicates) / seeds
        self._seeds = 1 / seeds + small_sample_factor(seeds) * (share - 1 / seeds)
        self._sizes = self._sum_groups(np.ones((1, len(self._group))))[0]

    def means(self, scores: npt.ArrayLike, where: BoolArray | None = None) -> FloatArray:
        """Return the replicates of the mean score, float [replicates].

        Args:
            scores: [seeds, n].
            where: [n] restricts the mean to some items.
        """
        values = np.atleast_2d(np.asarray(scores, dtype=np.float64))
        sizes = self._sizes
        if where is not None:
            values = values * where
            sizes = self._sum_groups(where[None].astype(np.float64))[0]
        totals = self._sum_groups(values)  # [seeds, groups]
        seeds = self._seeds if len(values) > 1 else np.ones((len(self._groups), 1))
        summed = (seeds * (self._groups @ totals.T.astype(np.float32))).sum(1)
        count = self._groups @ sizes.astype(np.float32)
        return np.asarray(np.divide(summed, count, out=np.full(len(count), np.nan), where=count > 0))

    def sums(self, values: FloatArray) -> FloatArray:
        """Return the replicates of sums over the items of each row of values [c, n], float [replicates, c]."""
        return np.asarray(self._groups @ self._sum_groups(values).T.astype(np.float32), dtype=np.float64)

    def replicates(self, statistics: Sequence[Callable[[FloatArray], FloatArray]]) -> FloatArray:
        """Return the replicates of any figure, float [replicates]: the mean over seeds of each one's own.

        Args:
            statistics: of each seed, from weights of the items [r, n] to the figure [r].
        """
        size = max(1, CHUNK // self.n)
        chunks = (self._groups[start : start + size][:, self._group] for start in range(0, len(self._groups), size))
        each = [np.stack([one(weight) for one in statistics], axis=1) for weight in chunks]
        return self.over_seeds(np.concatenate(each))

    def over_seeds(self, each: FloatArray) -> FloatArray:
        """Return the replicates of a mean over seeds, of each seed's own replicates [replicates, seeds]."""
        return np.asarray(((self._seeds if each.shape[1] > 1 else 1.0) * each).sum(1))

    def mean(self, scores: npt.ArrayLike, where: BoolArray | None = None) -> Bounds:
        """Return the mean score [seeds, n] with its percentile interval."""
        values = np.atleast_2d(np.asarray(scores, dtype=np.float64))
        value = values.mean() if where is None else values[:, where].mean()
        return interval(float(value), self.means(scores, where))

    def _sum_groups(self, values: FloatArray) -> FloatArray:
        return np.stack([np.bincount(self._group, row, self.n_groups) for row in values])


def interval(value: float, replicates: FloatArray) -> Bounds:
    """Percentile interval of bootstrap replicates; NaN replicates (empty resamples) are left out."""
    tail = (1 - LEVEL) / 2
    low, high = np.nanquantile(replicates, [tail, 1 - tail])
    return Bounds(value, float(low), float(high))


def clustered_share(groups: npt.ArrayLike, hits: npt.ArrayLike) -> Bounds:
    """Return the share of hits [n] with Wilson's (1927) interval at the effective number of items.

    Items of one group are related. The effective number is p (1 - p) over the variance of the share by groups, n at
    most; where all items agree, so that no variance can be seen, it is the number of groups (after Korn and Graubard
    1998). Unlike a bootstrap's, the interval has a width where nothing, or everything, is a hit.
    """
    x = np.asarray(hits, dtype=np.float64)
    _, group = np.unique(np.asarray(groups), return_inverse=True)
    n, k, p = len(x), int(group.max()) + 1, float(x.mean())
    effective = float(k)
    if 0 < p < 1 and k > 1:
        variance = clustered_variance(group, x)
        effective = min(float(n), p * (1 - p) / variance) if variance > 0 else float(n)
    return wilson(p, effective, k)


def clustered_variance(groups: npt.ArrayLike, values: npt.ArrayLike) -> float:
    """Return the variance of the mean of values [n], of which those of one group are related (two groups at least)."""
    x = np.asarray(values, dtype=np.float64)
    _, group = np.unique(np.asarray(groups), return_inverse=True)
    k = int(group.max()) + 1
    residuals = np.bincount(group, x - x.mean(), k)
    return float((residuals**2).sum()) / len(x) ** 2 * k / (k - 1)


def wilson(p: float, effective: float, groups: int) -> Bounds:
    """Return a share with Wilson's (1927) interval at an effective number of items, by the t quantile of the groups."""
    from scipy.stats import norm, t

    tail = (1 + LEVEL) / 2
    z = float(norm.ppf(tail) if groups < 2 else t.ppf(tail, groups - 1))
    middle = (p + z**2 / (2 * effective)) / (1 + z**2 / effective)
    half = z * np.sqrt(p * (1 - p) / effective + z**2 / (4 * effective**2)) / (1 + z**2 / effective)
    low, high = (0.0 if p == 0 else float(middle - half)), (1.0 if p == 1 else float(middle + half))
    return Bounds(p, max(0.0, low), min(1.0, high))


@dataclass(frozen=True)
class Recovered:
    """Performance gap recovered, or why it is refused."""

    bounds: Bounds | None
    reason: str | None = None


def performance_gap_recovered(
    weak: npt.ArrayLike, student: npt.ArrayLike, ceiling: npt.ArrayLike, bootstrap: Bootstrap
) -> Recovered:
    """PGR = (student - weak) / (ceiling - weak), Burns et al. 2023 (arXiv 2312.09390), section 3.

    The arguments are correctness [seeds, n]. It is refused when the interval of ceiling - weak reaches 0: the ratio
    of anything to noise is noise.
    """
    w, s, c = (np.atleast_2d(np.asarray(x, dtype=np.float64)) for x in (weak, student, ceiling))
    gap = bootstrap.mean(c - w)
    if gap.low <= 0:
        return Recovered(
            None,
            f"ceiling - weak is {100 * gap.value:+.1f} points [{100 * gap.low:+.1f}, {100 * gap.high:+.1f}]: "
            "within noise, no gap to recover",
        )
    value = float((s.mean() - w.mean()) / gap.value)
    gaps = bootstrap.means(c - w)
    ratios = np.divide(bootstrap.means(s - w), gaps, out=np.full(len(gaps), np.nan), where=gaps > 0)
    return Recovered(interval(value, ratios))


@dataclass(frozen=True)
class Paired:
    """Difference of two learners on the same items, with its interval and p-value."""

    difference: Bounds
    p: float


def paired_test(a: npt.ArrayLike, b: npt.ArrayLike, bootstrap: Bootstrap) -> Paired:
    """Test whether two learners are right equally often, both correctness [seeds, n] on the same items.

    The p-value is two-sided and of the same bootstrap as the interval: the share of replicates that stray from the
    observed difference by at least its size; the observed one counts, so p is never 0.
    """
    difference = np.atleast_2d(np.asarray(a, dtype=np.float64)) - np.atleast_2d(np.asarray(b, dtype=np.float64))
    bounds = bootstrap.mean(difference)
    return Paired(bounds, straying(bounds.value, bootstrap.means(difference)))


def straying(value: float, replicates: FloatArray) -> float:
    """Return the two-sided p-value of a difference: the share of replicates that stray from it by at least its size."""
    strays = np.abs(replicates - value) >= abs(value) - 1e-12
    return float((strays.sum() + 1) / (len(strays) + 1))


def small_sample_factor(seeds: int) -> float:
    """How much wider than a plain bootstrap's the spread over few seeds must be."""
    if seeds < 2:
        return 1.0
    from scipy.stats import norm, t

    tail = (1 + LEVEL) / 2
    return float(np.sqrt(seeds / (seeds - 1)) * t.ppf(tail, seeds - 1) / norm.ppf(tail))


def quantile_bins(values: FloatArray, bins: int) -> list[tuple[float, float, BoolArray]]:
    """Cut items into bins of about equal size by `values` [n]: (lowest, highest, which items), ties kept together."""
    edges = np.unique(np.quantile(values, np.linspace(0, 1, bins + 1)))
    which = np.clip(np.searchsorted(edges, values, side="right") - 1, 0, max(len(edges) - 2, 0))
    found = [which == b for b in range(max(len(edges) - 1, 1))]
    return [(float(values[w].min()), float(values[w].max()), w) for w in found if w.any()]


def holm(p: Sequence[float]) -> list[float]:
    """Return p-values corrected for their number by Holm's (1979) step-down rule."""
    order, corrected, least = sorted(range(len(p)), key=lambda i: p[i]), [0.0] * len(p), 0.0
    for rank, index in enumerate(order):
        least = max(least, min(1.0, p[index] * (len(p) - rank)))
        corrected[index] = least
    return corrected
