"""DARE: drop elements of task vectors at random and rescale what is left."""

from __future__ import annotations

from typing import Any, ClassVar

import numpy as np

from superalign.merging.elementwise import Rescale, Share, TaskVectors
from superalign.merging.method import methods
from superalign.merging.tensors import Float, Stack, kept


@methods.register("dare-linear", "dare")
class Dare(TaskVectors):
    """sum_t w_t m_t tau_t / p, each element of m_t one with probability p (the density), else zero."""

    source: ClassVar[str] = "Yu et al. 2024 (arXiv 2311.03099)"
    by_expert: ClassVar[frozenset[str]] = frozenset({"density", "rescale"})

    density: Share = 0.5
    """Probability of an element to be kept."""
    rescale: Rescale = "expected"
    """What makes up for dropped elements: `expected` is 1/p."""

    def thin(self, stack: Stack, expert: int, delta: Float, rows: slice, seen: Any) -> None:
        """Drop at random."""
        own = stack.own[expert]
        if own.density >= 1:
            return
        np.multiply(delta, kept(stack.draw(expert, rows), own.density, delta.shape), out=delta)
        if own.rescale == "expected" and own.density > 0:
            np.multiply(delta, np.float32(1 / own.density), out=delta)


@methods.register("dare-ties")
class DareTies(Dare):
    """DARE, then the election of signs of TIES."""

    source: ClassVar[str] = "Yu et al. 2024 (arXiv 2311.03099), with the election of arXiv 2306.01708"
    elects: ClassVar[bool] = True
