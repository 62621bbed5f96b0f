"""Class-dependent noise: which class a label becomes depends on the true one."""

from __future__ import annotations

from typing import Annotated, ClassVar

import numpy as np
import numpy.typing as npt
from pydantic import Field, model_validator

from superalign.errors import ConfigError
from superalign.noise import Noise, noises

FloatArray = npt.NDArray[np.float32]
IntArray = npt.NDArray[np.int64]
Share = Annotated[float, Field(ge=0, le=1)]


@noises.register("class-dependent", "asymmetric")
class ClassDependent(Noise):
    """A share of each class i becomes class i + 1 (the last one the first), or what a given matrix says.

    The shares are exact up to rounding in every class: which items are drawn is random, how many are not.
    """

    source: ClassVar[str] = "Patrini et al. 2017 (arXiv 1609.03683), noise given by a transition matrix"

    rate: Share = 0.2
    """Share of each class that is labelled as the next one; not used with a matrix."""
    matrix: tuple[Share, ...] = ()
    """Row-major k x k: entry i, j is the share of class i that is labelled j (`matrix=0.9+0.1+0.4+0.6`)."""

    @model_validator(mode="after")
    def _square(self) -> ClassDependent:
        k = round(len(self.matrix) ** 0.5)
        if k * k != len(self.matrix) or len(self.matrix) == 1:
            raise ConfigError(f"'matrix' has {len(self.matrix)} entries, which is not k x k for k classes")
        if k and not np.allclose(np.reshape(self.matrix, (k, k)).sum(1), 1, atol=1e-6):
            raise ConfigError("each row of 'matrix' must sum to 1: the labels that one true class gets")
        return self

    def transition(self, k: int) -> FloatArray:
        """Return the share of class i that is labelled j, [k, k].

        Raises:
            ConfigError: the matrix is of another number of classes.
        """
        if self.matrix:
            if len(self.matrix) != k * k:
                raise ConfigError(f"'matrix' has {len(self.matrix)} entries; {k} classes need {k * k}")
            return np.reshape(self.matrix, (k, k)).astype(np.float32)
        return np.asarray((1 - self.rate) * np.eye(k) + self.rate * np.roll(np.eye(k), 1, axis=1), dtype=np.float32)

    def corrupt(
        self, truth: IntArray, k: int, rng: np.random.Generator, features: FloatArray | None, pairwise: bool
    ) -> IntArray:
        """Return the noisy classes; see Noise."""
        noisy = truth.copy()
        for true, row in enumerate(self.transition(k).astype(np.float64)):
            mine = rng.permutation(np.flatnonzero(truth == true))
            noisy[mine] = np.repeat(np.arange(k), _counts(row, len(mine)))
        return noisy


def _counts(shares: npt.NDArray[np.float64], n: int) -> IntArray:
    """Return whole numbers that sum to n and are nearest to `shares` of it: largest remainders are rounded up."""
    wanted = shares / shares.sum() * n
    counts = np.floor(wanted + 1e-9).astype(np.int64)
    counts[np.argsort(counts - wanted, kind="stable")[: n - counts.sum()]] += 1
    return np.asarray(counts, dtype=np.int64)
