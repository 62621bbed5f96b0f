"""SLERP: on the arc between two models."""

from __future__ import annotations

from typing import Any, ClassVar

import numpy as np

from superalign.merging.elementwise import Elementwise, Share
from superalign.merging.method import methods
from superalign.merging.tensors import Float, Stack

STRAIGHT = 0.9995  # |cosine| above which the arc is taken for a line


@methods.register("slerp")
class Slerp(Elementwise):
    """sin((1-t) a)/sin a of one model plus sin(t a)/sin a of another, a the angle between two tensors.

    The base model is where t = 0. Tensors that lie on one line are interpolated on it.
    """

    source: ClassVar[str] = "Shoemake 1985 (SIGGRAPH)"
    needs_base: ClassVar[bool] = False
    counts: ClassVar[tuple[int, int | None]] = (2, 2)

    t: Share = 0.5
    """How far from the first model (or the base model) to the second."""

    def look(self, stack: Stack, shared: Any) -> tuple[float, float]:
        """Return what the two tensors are multiplied by."""
        sums = np.zeros(3)
        for rows in stack.blocks():
            start = stack.start(rows).reshape(-1).astype(np.float64)
            one, two = (start + delta.reshape(-1) for delta in stack.deltas(rows))
            sums += one @ one, two @ two, one @ two
        size = np.sqrt(sums[0] * sums[1])
        cosine = sums[2] / size if size > 0 else 1.0
        if abs(cosine) > STRAIGHT:
            return 1 - self.t, self.t
        angle = np.arccos(np.clip(cosine, -1, 1))
        return float(np.sin((1 - self.t) * angle) / np.sin(angle)), float(np.sin(self.t * angle) / np.sin(angle))

    def combine(self, stack: Stack, deltas: list[Float], rows: slice, seen: Any) -> Float:
        """Return the sum of both, less the base that is added again."""
        one, two = (np.float32(share) for share in seen)
        merged = one * deltas[0] + two * deltas[1]
        if stack.base is not None:
            merged += (one + two - np.float32(1)) * stack.start(rows)
        return np.asarray(merged)
