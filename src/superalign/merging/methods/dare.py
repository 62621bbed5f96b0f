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

    def look(self, stack: Stack, shared: Any) -> tuple[Any, list[float]]:
        """Return each expert's weight, by its probability where that is what makes up for the dropped elements."""
        seen, factors = super().look(stack, shared)
        shares = [own.density if own.rescale == "expected" and own.density > 0 else 1.0 for own in stack.own]
        return seen, [factor / share for factor, share in zip(factors, shares, strict=True)]

    def thin(self, stack: Stack, expert: int, delta: Float, rows: slice, seen: Any) -> None:
        """Drop at random."""
        density = stack.own[expert].density
        if density < 1:
            np.multiply(delta, kept(stack.draw(expert, rows), density, delta.shape), out=delta)


@methods.register("dare-ties")
class DareTies(Dare):
    """DARE, then the election of signs of TIES."""

    source: ClassVar[str] = "Yu et al. 2024 (arXiv 2311.03099), with the election of arXiv 2306.01708"
    elects: ClassVar[bool] = True
