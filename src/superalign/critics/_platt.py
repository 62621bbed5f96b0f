"""Probabilities that mean what they say: a logistic curve over what held-out probes said."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

Float64Array = npt.NDArray[np.float64]
STEPS = 50
FLAT = 1e-9  # the least curvature that is divided by
EDGE = 1e-7  # probabilities stay so far from 0 and 1


class Platt(NamedTuple):
    """sigma(slope * z + shift) of log-odds z."""

    slope: float = 1.0
    shift: float = 0.0

    def __call__(self, probs: npt.NDArray[np.floating]) -> Float64Array:
        """Return calibrated probabilities [n]."""
        return 1 / (1 + np.exp(-(self.slope * log_odds(probs) + self.shift)))


def log_odds(probs: npt.NDArray[np.floating]) -> Float64Array:
    """Return log p / (1 - p), float64 [n]."""
    p = np.clip(np.asarray(probs, dtype=np.float64), EDGE, 1 - EDGE)
    return np.asarray(np.log(p) - np.log1p(-p))


def fit(
    probs: npt.NDArray[np.floating],
    true: npt.NDArray[np.floating],
    weight: npt.NDArray[np.floating],
    *,
    shifted: bool = True,
) -> Platt:
    """Fit the curve by Newton steps on the weighted cross-entropy (Platt 1999, with his smoothed targets).

    The targets are (N+ + 1) / (N+ + 2) and 1 / (N- + 2), so that labels without a mistake give no infinite slope.

    Args:
        probs: of the second class by probes that did not see the item, [n].
        true: probability of the second class by the labels, [n].
        weight: of the items, [n].
        shifted: whether the curve may shift; of preferences it may not, or the order of responses would count.
    """
    z, true, weight = log_odds(probs), np.asarray(true, dtype=np.float64), np.asarray(weight, dtype=np.float64)
    yes, no = float(weight @ true), float(weight @ (1 - true))
    if not shifted:
        yes = no = (yes + no) / 2
    target = true * (yes + 1) / (yes + 2) + (1 - true) / (no + 2)
    x = np.stack([z, np.ones_like(z)], 1) if shifted else z[:, None]
    found = np.eye(1, x.shape[1])[0]  # slope 1, shift 0

    def loss(at: Float64Array) -> float:
        score = x @ at
        return float(weight @ (np.logaddexp(0, score) - target * score))

    for _ in range(STEPS):
        p = 1 / (1 + np.exp(-(x @ found)))
        gradient = x.T @ (weight * (p - target))
        curve = (x * (weight * p * (1 - p))[:, None]).T @ x + FLAT * np.eye(len(found))
        step, size = np.linalg.solve(curve, gradient), 1.0
        while loss(found - size * step) > loss(found) and size > FLAT:
            size /= 2
        found = found - size * step
        if np.abs(size * step).max() < 1e-10:
            break
    return Platt(*map(float, found))
