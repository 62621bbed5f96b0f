"""Consensus task arithmetic: keep what enough experts need."""

from __future__ import annotations

from typing import Annotated, Any, ClassVar

import numpy as np
from pydantic import Field

from superalign.merging.elementwise import Elementwise, scaled
from superalign.merging.method import methods
from superalign.merging.tensors import Float, Stack


@methods.register("consensus")
class Consensus(Elementwise):
    """Task arithmetic on elements that at least k experts need: |tau_t| >= lambda |sum_s w_s tau_s - tau_t|.

    k = 2 drops what only one expert needs, k = 1 only what none does, k = 0 nothing.
    """

    source: ClassVar[str] = "Wang et al. 2024 (arXiv 2405.07813)"
    by_expert: ClassVar[frozenset[str]] = frozenset({"mask"})

    mask: Annotated[float, Field(gt=0)] = 0.4
    """lambda of an expert's mask: the larger, the fewer elements it needs. The paper chooses among 0.2 to 0.6."""
    k: Annotated[int, Field(ge=0)] = 2
    """How many experts must need an element."""
    scale: float = 0.3
    """Multiplies the merged task vector."""

    def combine(self, stack: Stack, deltas: list[Float], rows: slice, seen: Any) -> Float:
        """Return the scaled sum of what enough experts need."""
        total = np.zeros_like(deltas[0])
        for weight, delta in zip(stack.weights, deltas, strict=True):
            np.add(total, np.float32(weight) * delta, out=total)
        needs = np.zeros(total.shape, dtype=np.int32)
        for own, delta in zip(stack.own, deltas, strict=True):
            needs += np.abs(delta) >= np.float32(own.mask) * np.abs(total - delta)
        np.multiply(total, needs >= self.k, out=total)
        return scaled(total, self.scale)
