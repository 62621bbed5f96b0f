"""DELLA: drop elements of task vectors at random, small ones more often than large ones."""

from __future__ import annotations

from typing import Annotated, Any, ClassVar

import numpy as np
from pydantic import Field, model_validator

from superalign.errors import ConfigError
from superalign.merging.elementwise import Rescale, Share, TaskVectors
from superalign.merging.method import methods
from superalign.merging.selecting import magnitude
from superalign.merging.tensors import Float, Stack, kept


@methods.register("della", "della-ties")
class Della(TaskVectors):
    """The probability of an element to be kept grows with the rank of its magnitude in its row; then TIES' election.

    It goes in equal steps from density - epsilon (smallest) to density + epsilon (largest). Elements of equal magnitude
    are ranked by column.
    """

    source: ClassVar[str] = "Deep et al. 2024 (arXiv 2406.11617)"
    by_expert: ClassVar[frozenset[str]] = frozenset({"density", "epsilon", "rescale"})
    elects: ClassVar[bool] = True

    density: Share = 0.5
    """Mean probability of an element to be kept."""
    epsilon: Annotated[float, Field(ge=0, lt=0.5)] = 0.15
    """How far the probabilities of the smallest and the largest element of a row are from the mean."""
    rescale: Rescale = "expected"
    """What makes up for dropped elements: `expected` is 1 / the element's probability."""
    normalize: bool = True
    """Take the mean of what agrees, not the sum."""

    @model_validator(mode="after")
    def _probabilities(self) -> Della:
        if 0 < self.density < 1 and not self.epsilon < min(self.density, 1 - self.density) + 1e-12:
            raise ConfigError(
                f"density {self.density:g} and epsilon {self.epsilon:g} give probabilities outside 0 to 1",
                fix=f"epsilon below {min(self.density, 1 - self.density):g}",
            )
        return self

    def thin(self, stack: Stack, expert: int, delta: Float, rows: slice, seen: Any) -> None:
        """Drop at random, by rank."""
        own = stack.own[expert]
        if own.density >= 1:
            return
        if own.density <= 0:
            delta[:] = 0
            return
        columns = delta.shape[1]
        chances = own.density + own.epsilon * np.linspace(-1, 1, columns if columns > 1 else 3)
        chances = chances if columns > 1 else chances[1:2]
        by_rank = kept(stack.draw(expert, rows), chances, delta.shape)
        factor = np.float32(1) / chances.astype(np.float32) if own.rescale == "expected" else np.float32(1)
        values = by_rank * factor
        np.put_along_axis(values, ranked(delta), values.copy(), axis=1)
        np.multiply(delta, values, out=delta)


@methods.register("della-linear")
class DellaLinear(Della):
    """DELLA's drops, then a weighted sum of all experts."""

    elects: ClassVar[bool] = False

    normalize: bool = False
    """Divide by the sum of the weights."""


def ranked(values: Float) -> np.ndarray[tuple[int, int], np.dtype[np.int64]]:
    """Return each row's columns from the smallest magnitude to the largest, [rows, columns].

    Magnitude and column share one integer, since whole integers are sorted far faster than places are.
    """
    keys = magnitude(values).astype(np.int64)
    keys <<= 32
    keys |= np.arange(values.shape[1])
    keys.sort(axis=1)
    keys &= 0xFFFFFFFF
    return keys
