"""What a few gold labels and unlabelled items tell of learners that nobody has scored: the figures behind `recommend`.

All take what was said of items by models that were not trained on them.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from superalign.metric import Bounds, clustered_variance, wilson

FloatArray = npt.NDArray[np.floating[Any]]
IntArray = npt.NDArray[np.int64]
BoolArray = npt.NDArray[np.bool_]


def misfit(student: FloatArray, weak: FloatArray) -> float:
    """Mean squared distance of what student and supervisor say, both [n, k], over 2; of two classes (f_s - f_w)^2.

    Charikar, Pabbaraju and Shiragur 2024 (arXiv 2405.15116): for the squared loss, and a student that is the best fit
    to its supervisor among a convex set that holds the truth, err(student) <= err(supervisor) - misfit.
    """
    return float(((student.astype(np.float64) - weak) ** 2).sum(-1).mean() / 2)


def squared_error(said: FloatArray, truth: IntArray) -> float:
    """Mean squared distance of what was said [n, k] and the truth [n], over 2: the Brier score of two classes."""
    return misfit(said, np.eye(said.shape[-1])[truth])


def error_similarity(a: FloatArray, b: FloatArray, truth: IntArray) -> float | None:
    """How alike two models err, beyond what their accuracies make of it (CAPA; Goel et al. 2025, arXiv 2502.04313).

    kappa_p = (c_obs - c_exp) / (1 - c_exp): c_obs is the mean over items of sum_i a_i b_i; c_exp is what models of the
    same mean probability of the right class would have if they erred independently, evenly over the other classes.

    Args:
        a: class probabilities by one of them, [n, k].
        b: by the other.
        truth: [n].

    Returns:
        None where both are sure and right throughout.
    """
    x, y = a.astype(np.float64), b.astype(np.float64)
    rows, wrong = np.arange(len(truth)), x.shape[1] - 1
    p, q = x[rows, truth].mean(), y[rows, truth].mean()
    expected = p * q + (1 - p) * (1 - q) / wrong
    if 1 - expected < 1e-12:
        return None
    return float(((x * y).sum(1).mean() - expected) / (1 - expected))


def retrained(folds: int) -> float:
    """Return how much larger than that of one training the variance of a cross-fitted figure must be taken.

    Folds share most of what they learn from, so that the items alone do not show how much a figure owes to that.
    Nadeau and Bengio 2003, section 3: (1 / K + n_held / n_trained) in the place of 1 / K, for K folds.
    """
    return 1 + folds / (folds - 1)


def widened(bounds: Bounds, folds: int) -> Bounds:
    """Return a cross-fitted difference whose interval also knows of the luck in what was learnt from."""
    value, factor = bounds.value, retrained(folds) ** 0.5
    return Bounds(value, value + factor * (bounds.low - value), value + factor * (bounds.high - value))


@dataclass(frozen=True)
class Sharpened:
    """A share that was counted on few items and corrected by what is known of many.

    Args:
        values: [n], whose mean is the share before it is held within 0 and 1; their differences to another learner's
            are those of the two.
        bounds: the share with its interval.
    """

    values: FloatArray
    bounds: Bounds


def sharpened(
    correct: BoolArray, agrees: BoolArray, agrees_elsewhere: float, n: int, groups: npt.ArrayLike, factor: float = 1.0
) -> Sharpened:
    """Return the accuracy of a learner from few items with a label and its agreement with a reference on many without.

    Prediction-powered inference (Angelopoulos, Duchi and Zrnic 2023, arXiv 2311.01453) of a mean:
    mean(correct) - l (mean(agrees) - agrees_elsewhere), with l = cov(correct, agrees) / var(agrees) / (1 + N / n), N
    labelled and n not. Where agreement tells nothing of being right, l is about 0 and it is the plain share. The
    interval is Wilson's at the effective number of items, so that it has a width where everything is right.

    Args:
        correct: of the N items with a label.
        agrees: on these, with the reference.
        agrees_elsewhere: the share of the n other items where it agrees.
        n: how many those are.
        groups: of the N items.
        factor: of the variance, where who was scored was trained on other parts of the same items; see `retrained`.
    """
    c, a = correct.astype(np.float64), agrees.astype(np.float64)
    spread = float(a.var())
    slope = float(((c - c.mean()) * (a - a.mean())).mean()) / spread / (1 + len(c) / n) if spread > 0 else 0.0
    values = c - slope * (a - agrees_elsewhere)
    share, among = min(1.0, max(0.0, float(values.mean()))), len(np.unique(np.asarray(groups)))
    variance = clustered_variance(groups, values) + slope**2 * agrees_elsewhere * (1 - agrees_elsewhere) / n
    effective = share * (1 - share) / variance if variance > 0 and 0 < share < 1 else float(among)
    return Sharpened(values, wilson(share, effective / factor, among))
