"""Instance-dependent noise: items near the border between two classes are the ones that are labelled wrongly."""

from __future__ import annotations

from typing import Annotated, ClassVar

import numpy as np
import numpy.typing as npt
from pydantic import Field

from superalign.errors import DataError
from superalign.noise import Noise, noises

FloatArray = npt.NDArray[np.float32]
Float64Array = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.int64]


@noises.register("instance-dependent", "idn")
class InstanceDependent(Noise):
    """An item's label is wrong with a probability that rises with its ambiguity; round(rate n) are wrong.

    Our reading of part-dependent noise: items are projected onto one direction a class (the mean of its standardised
    features; of Comparisons the mean preferred difference). Ambiguity is the best other class's score minus the true
    one's, in standard deviations; the probability of a flip is sigma(steepness (ambiguity - c)), c giving
    the rate. A wrong label is drawn from the softmax of the other classes' scores. The papers draw each item's rate
    from a truncated normal and the projection at random; here both follow the data, so that flips look like honest
    mistakes.
    """

    source: ClassVar[str] = "Xia et al. 2020 (arXiv 2006.07836); Chen et al. 2021 (arXiv 2012.05458)"
    needs_features: ClassVar[bool] = True

    rate: Annotated[float, Field(ge=0, lt=1)] = 0.2
    """Share of the labels that are wrong."""
    steepness: Annotated[float, Field(ge=0)] = 2.0
    """How sharply the flips gather at the ambiguous items; 0 draws blindly."""

    def corrupt(
        self, truth: IntArray, k: int, rng: np.random.Generator, features: FloatArray | None, pairwise: bool
    ) -> IntArray:
        """Return the noisy classes; see Noise."""
        if features is None or not np.isfinite(features).all():
            raise DataError("instance-dependent noise needs finite features of every item")
        n, rows = len(truth), np.arange(len(truth))
        scores = class_scores(features, truth, k, pairwise)
        others = scores.copy()
        others[rows, truth] = -np.inf
        ambiguity = others.max(1) - scores[rows, truth]
        spread = ambiguity.std()
        chance = flip_chances(self.steepness * (ambiguity - ambiguity.mean()) / (spread or 1.0), round(self.rate * n))
        wrong = _draw(chance, rng)
        noisy = truth.copy()
        gumbel = rng.gumbel(size=(len(wrong), k))  # argmax of scores + Gumbel noise: a draw from their softmax
        noisy[wrong] = (others[wrong] / (spread or 1.0) + gumbel).argmax(1)
        return noisy


def class_scores(features: FloatArray, truth: IntArray, k: int, pairwise: bool) -> Float64Array:
    """Return how much each item looks like each class, [n, k]: its product with the class's mean features."""
    x = features.astype(np.float64)
    x = x if pairwise else x - x.mean(0)
    x = x / np.maximum(np.sqrt((x**2).mean(0)), 1e-9)
    if pairwise:  # swapping the responses must swap the scores
        toward = (np.where(truth == 1, 1.0, -1.0)[:, None] * x).mean(0)
        return np.outer(x @ toward, [-0.5, 0.5])
    means = np.stack([x[truth == c].mean(0) if (truth == c).any() else np.zeros(x.shape[1]) for c in range(k)])
    return np.asarray(x @ means.T - 0.5 * (means**2).sum(1), dtype=np.float64)


def flip_chances(logits: Float64Array, total: int) -> Float64Array:
    """Return sigma(logits + c) with the c at which they sum to `total`."""
    if total == 0:
        return np.zeros(len(logits))
    low, high = -60.0 - np.abs(logits).max(), 60.0 + np.abs(logits).max()
    for _ in range(200):
        middle = (low + high) / 2
        low, high = (middle, high) if (1 / (1 + np.exp(-(logits + middle)))).sum() < total else (low, middle)
    chance = 1 / (1 + np.exp(-(logits + high)))
    return np.asarray(np.minimum(chance * total / chance.sum(), 1.0), dtype=np.float64)


def _draw(chance: Float64Array, rng: np.random.Generator) -> IntArray:
    """Draw a fixed number of items, each with its own chance: systematic sampling in random order (Madow 1949)."""
    order = rng.permutation(len(chance))
    steps = np.floor(np.cumsum(chance[order]) + rng.uniform(1e-6, 1 - 1e-6))
    return np.asarray(order[np.diff(steps, prepend=0.0) > 0], dtype=np.int64)
