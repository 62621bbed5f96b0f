"""What the objectives that must know the labels' noise share."""

from __future__ import annotations

from abc import ABC
from typing import Annotated, Self

import numpy as np
import numpy.typing as npt
from pydantic import Field, model_validator

from superalign.errors import ConfigError
from superalign.objective import FloatArray, Objective

Matrix = npt.NDArray[np.float64]
Rate = Annotated[float, Field(ge=0, lt=0.5)]


def flip_rate(transition: FloatArray, name: str) -> float:
    """Return the share of wrong labels under a [k, k] noise, all classes alike: 1 - mean of the diagonal.

    Raises:
        ConfigError: it is half or more, so the labels' sense is lost.
    """
    rate = float(np.clip(1 - np.diag(np.asarray(transition, dtype=np.float64)).mean(), 0, 1))
    if rate >= 0.5:
        raise ConfigError(
            f"objective '{name}' cannot correct labels of which {rate:.0%} are wrong",
            why="at half or more the right class is no longer the likelier one",
            fix="use a better supervisor, or an objective that knows no rate (gce, naive)",
        )
    return rate


class NoiseCorrected(Objective, ABC):
    """Base of the losses corrected by the noise matrix T, T_ij = P(given j | true i)."""

    rate: Rate | None = None
    """Share of wrong labels, spread evenly over the other classes. Not given: the noise is estimated before
    training."""
    transition: tuple[tuple[float, ...], ...] | None = None
    """T, row by row, instead of a rate."""

    @model_validator(mode="after")
    def _check(self) -> Self:
        if self.transition is None:
            return self
        if self.rate is not None:
            raise ConfigError(f"objective '{self.name}' takes a rate or a transition, not both")
        rows = {len(row) for row in self.transition}
        if rows != {len(self.transition)}:
            raise ConfigError(f"transition of objective '{self.name}' must be square", why=f"got {self.transition}")
        matrix = np.array(self.transition)
        if not np.isfinite(matrix).all() or (matrix < 0).any() or not np.allclose(matrix.sum(1), 1, atol=1e-3):
            raise ConfigError(
                f"transition of objective '{self.name}' must hold probabilities, each row summing to 1",
                why=f"got {self.transition}",
            )
        return self

    @property
    def wants_noise(self) -> bool:
        """Tell that neither a rate nor a matrix was given."""
        return self.rate is None and self.transition is None

    def with_noise(self, transition: FloatArray) -> Self:
        """Return this objective with T; what the user gave stays."""
        if not self.wants_noise:
            return self
        return self.parse({"transition": tuple(tuple(row) for row in np.asarray(transition).tolist())})

    def matrix(self, k: int) -> Matrix:
        """Return T for k classes, float64 [k, k], rows summing to 1.

        Raises:
            ConfigError: the noise is not known, or known for another number of classes.
        """
        if self.rate is not None:
            off = self.rate / (k - 1)
            return np.full((k, k), off) + (1 - self.rate - off) * np.eye(k)
        if self.transition is None:
            raise ConfigError(
                f"objective '{self.name}' must know the labels' noise", fix=f"{self.name},rate=0.2, or estimate it"
            )
        if len(self.transition) != k:
            raise ConfigError(f"objective '{self.name}' knows the noise of {len(self.transition)} classes, not of {k}")
        matrix: Matrix = np.array(self.transition, dtype=np.float64)
        return np.asarray(matrix / matrix.sum(1, keepdims=True))
