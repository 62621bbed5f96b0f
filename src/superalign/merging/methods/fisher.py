"""Fisher merging: a mean of models in which an element counts by how much the model's answers depend on it."""

from __future__ import annotations

from typing import Annotated, Any, ClassVar

import numpy as np
from pydantic import Field

from superalign.merging.elementwise import Elementwise
from superalign.merging.method import methods
from superalign.merging.tensors import Float, Stack


@methods.register("fisher")
class Fisher(Elementwise):
    """sum_t w_t F_t theta_t / sum_t w_t F_t, F_t the diagonal of expert t's Fisher information on data.

    Tensors of which nothing was measured are averaged.
    """

    source: ClassVar[str] = "Matena and Raffel 2022 (arXiv 2111.09832)"
    needs_base: ClassVar[bool] = False
    statistic: ClassVar[str | None] = "fisher"

    floor: Annotated[float, Field(gt=0)] = 1e-6
    """The least information of an element: where nothing is known, all experts count alike."""

    def combine(self, stack: Stack, deltas: list[Float], rows: slice, seen: Any) -> Float:
        """Return the weighted mean of the deltas."""
        top, bottom = np.zeros_like(deltas[0]), np.zeros_like(deltas[0])
        for weight, delta, known in zip(stack.weights, deltas, stack.statistics, strict=True):
            information = np.ones_like(delta) if known is None else np.maximum(known(rows), np.float32(self.floor))
            information *= np.float32(weight)
            top += information * delta
            bottom += information
        return np.asarray(top / bottom)
