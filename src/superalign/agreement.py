"""How well verdicts agree with labels: figures of weighted items, so that a bootstrap resamples them all alike.

Every function takes weights [..., n] and returns a figure for each row of them, NaN where it does not exist.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from superalign.metric import Bootstrap, Bounds, Paired, interval

FloatArray = npt.NDArray[np.floating[Any]]
BoolArray = npt.NDArray[np.bool_]
IntArray = npt.NDArray[np.int64]
Statistic = Callable[[FloatArray], FloatArray]
"""From weights [r, n] of the items to a figure for each row, [r]."""
BINS = 15


def share(hit: npt.ArrayLike, weight: FloatArray, among: npt.ArrayLike = True) -> FloatArray:
    """Return the weighted share of items that hit [n], of those in `among` [n]."""
    inside = np.broadcast_to(np.asarray(among, dtype=bool), weight.shape[-1:]).astype(np.float64)
    return _ratio(weight @ (inside * np.asarray(hit, dtype=np.float64)), weight @ inside)


def kappa(said: IntArray, truth: IntArray, weight: FloatArray) -> FloatArray:
    """Agreement beyond chance of two labellings [n]: (p_o - p_e) / (1 - p_e), Cohen 1960.

    NaN where both use one and the same class throughout.
    """
    total = weight.sum(-1)
    same = _ratio(weight @ (said == truth).astype(np.float64), total)
    expected = np.zeros_like(same)
    for kind in np.union1d(said, truth):
        mine, other = (weight @ (one == kind).astype(np.float64) for one in (said, truth))
        expected = expected + _ratio(mine, total) * _ratio(other, total)
    return _ratio(same - expected, 1 - expected)


def auroc(score: FloatArray, truth: BoolArray, weight: FloatArray) -> FloatArray:
    """Probability that a true item [n] has a higher score than one that is not, ties counted half."""
    order = np.argsort(score, kind="stable")
    _, first = np.unique(score[order], return_index=True)
    weight, positive = weight[..., order].astype(np.float64), truth[order]
    negatives = np.add.reduceat(weight * ~positive, first, axis=-1)
    positives = np.add.reduceat(weight * positive, first, axis=-1)
    below = np.cumsum(negatives, axis=-1) - negatives / 2
    return _ratio((positives * below).sum(-1), positives.sum(-1) * negatives.sum(-1))


def brier(prob: FloatArray, truth: BoolArray, weight: FloatArray) -> FloatArray:
    """Mean squared difference of the probability of true [n] and the truth; Brier 1950, of two classes."""
    return share((prob - truth) ** 2, weight)


def calibration_error(prob: FloatArray, truth: BoolArray, weight: FloatArray, bins: int = BINS) -> FloatArray:
    """Expected calibration error of the likelier class, as `metric.expected_calibration_error`, of weighted items."""
    confidence = np.maximum(prob, 1 - prob).astype(np.float64)
    right = ((prob > 0.5) == truth).astype(np.float64)
    which = np.minimum((confidence * bins).astype(int), bins - 1)
    gaps = np.zeros(weight.shape[:-1])
    for place in np.unique(which):
        gaps = gaps + np.abs(weight @ ((confidence - right) * (which == place)))
    return _ratio(gaps, weight.sum(-1))


def rogan_gladen(rate: npt.ArrayLike, sensitivity: npt.ArrayLike, specificity: npt.ArrayLike) -> FloatArray:
    """Return the true rate behind an observed one, (rate + spec - 1) / (sens + spec - 1), held within 0 and 1.

    Rogan and Gladen 1978. NaN where a verdict tells no more than a coin: sens + spec <= 1.
    """
    rate, sensitivity, specificity = (np.asarray(one, dtype=np.float64) for one in (rate, sensitivity, specificity))
    informed = sensitivity + specificity - 1
    found = np.where(informed > 0, _ratio(rate + specificity - 1, informed), np.nan)
    return np.asarray(np.clip(found, 0, 1))


def among(known: BoolArray, statistic: Statistic) -> Statistic:
    """Return the statistic of all n items that is this one of those in `known` [n]."""
    return lambda weight: statistic(weight[:, known])


def figure(bootstrap: Bootstrap, seeds: Sequence[Statistic]) -> Bounds | None:
    """Return the mean over seeds of a figure with its interval; None where it does not exist for a seed.

    Args:
        bootstrap: of the items' groups and of as many seeds, or of any number for a single one.
        seeds: the figure of each seed.
    """
    value = _plain(bootstrap, seeds)
    if not np.isfinite(value):
        return None
    return interval(value, bootstrap.replicates(seeds))


def difference(bootstrap: Bootstrap, seeds: Sequence[Statistic]) -> Paired | None:
    """Test whether a figure that is a difference is 0, as `metric.paired_test` does; None where it does not exist."""
    value = _plain(bootstrap, seeds)
    if not np.isfinite(value):
        return None
    drawn = bootstrap.replicates(seeds)
    strays = np.abs(drawn[np.isfinite(drawn)] - value) >= abs(value) - 1e-12
    return Paired(interval(value, drawn), float((strays.sum() + 1) / (len(strays) + 1)))


def _plain(bootstrap: Bootstrap, seeds: Sequence[Statistic]) -> float:
    return float(np.mean([one(np.ones((1, bootstrap.n)))[0] for one in seeds]))


def _ratio(above: npt.ArrayLike, below: npt.ArrayLike) -> FloatArray:
    above, below = np.broadcast_arrays(np.asarray(above, dtype=np.float64), np.asarray(below, dtype=np.float64))
    return np.asarray(np.divide(above, below, out=np.full(below.shape, np.nan), where=np.abs(below) > 1e-12))
