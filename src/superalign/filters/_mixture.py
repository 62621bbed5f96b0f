"""A mixture of two normals in one dimension: which losses are of the clean, lower component."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

STEPS = 200


def clean_chance(losses: npt.NDArray[np.floating[Any]]) -> npt.NDArray[np.float64]:
    """Return for each loss [n] the posterior probability of the component with the lower mean, by EM.

    Losses are scaled to [0, 1] as in DivideMix; a loss below the lower mean counts as that, so that a wide upper
    component does not claim the smallest losses. Losses that are all alike are all clean.
    """
    spread = float(np.ptp(losses)) if len(losses) else 0.0
    if spread < 1e-9:
        return np.ones(len(losses))
    x = (losses.astype(np.float64) - losses.min()) / spread
    mean = np.quantile(x, [0.25, 0.9])
    if mean[0] == mean[1]:
        mean = np.array([x.min(), x.max()])
    variance, share = np.full(2, x.var() + 1e-6), np.full(2, 0.5)
    for _ in range(STEPS):
        log = np.log(share) - 0.5 * np.log(variance) - (x[:, None] - mean) ** 2 / (2 * variance)
        weight = np.exp(log - log.max(1, keepdims=True))
        weight /= weight.sum(1, keepdims=True)
        size = weight.sum(0) + 1e-9
        before, mean = mean, weight.T @ x / size
        variance = (weight * (x[:, None] - mean) ** 2).sum(0) / size + 1e-4
        share = size / size.sum()
        if np.abs(mean - before).max() < 1e-7:
            break
    low = int(np.argmin(mean))
    chance = weight[:, low].copy()
    below = x <= mean[low]
    chance[below] = np.maximum(chance[below], weight[np.abs(x - mean[low]).argmin(), low])
    return np.asarray(chance, dtype=np.float64)
