"""Symmetric noise: a fixed number of labels, drawn blindly, become any other class."""

from __future__ import annotations

from typing import Annotated, ClassVar

import numpy as np
import numpy.typing as npt
from pydantic import Field

from superalign.noise import Noise, noises, other_class

FloatArray = npt.NDArray[np.float32]
IntArray = npt.NDArray[np.int64]


@noises.register("symmetric", "uniform")
class Symmetric(Noise):
    """Exactly round(rate n) labels are wrong; each becomes one of the other k - 1 classes, all alike."""

    source: ClassVar[str] = "van Rooyen et al. 2015 (arXiv 1505.07634), symmetric label noise"

    rate: Annotated[float, Field(ge=0, le=1)] = 0.2
    """Share of the labels that are wrong."""

    def corrupt(
        self, truth: IntArray, k: int, rng: np.random.Generator, features: FloatArray | None, pairwise: bool
    ) -> IntArray:
        """Return the noisy classes; see Noise."""
        noisy = truth.copy()
        wrong = rng.permutation(len(truth))[: round(self.rate * len(truth))]
        noisy[wrong] = other_class(truth[wrong], k, rng)
        return noisy
