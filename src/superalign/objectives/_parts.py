"""Terms that several objectives share."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import Tensor

SLOPE = 4 / math.sqrt(27)
"""Curvature of a probability as a multiple of cross-entropy's: |p''| of p = sigmoid(z) is at most SLOPE / 8."""


def power_curvature(q: float) -> float:
    """Return the curvature of (1 - p^q)/q, p = sigmoid(z), as a multiple of cross-entropy's.

    Its second derivative is p^q (1 - p) ((q + 1) p - q), largest at the larger zero of its own derivative.
    """
    c = q + 1
    half = c * (2 * q + 1)
    p = (half + math.sqrt(half**2 - 4 * c * (q + 2) * q**2)) / (2 * c * (q + 2))
    return float(4 * p**q * (1 - p) * (c * p - q))


def mean_absolute_error(log_p: Tensor, labels: Tensor) -> Tensor:
    """Return [..., n]: the expectation over the given label y of sum_k |p_k - onehot(y)_k| = 2 (1 - p_y)."""
    return 2 * (1 - (labels * log_p.exp()).sum(-1))


def reverse_cross_entropy(log_p: Tensor, labels: Tensor, log_zero: float) -> Tensor:
    """Return [..., n]: -sum_k p_k log y_k, with no log y_k below `log_zero`."""
    return -(log_p.exp() * labels.log().clamp(min=log_zero)).sum(-1)
