"""A weighted mean of models: model soups, and rewarded soups as a sweep of the weights."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated, Any, ClassVar

import numpy as np
from pydantic import Field

from superalign.merging.elementwise import Elementwise, scaled
from superalign.merging.method import methods
from superalign.merging.tensors import Float, LowRank, Stack


@methods.register("linear")
class Linear(Elementwise):
    """sum_t w_t theta_t, divided by sum_t w_t: a model soup."""

    source: ClassVar[str] = "Wortsman et al. 2022 (arXiv 2203.05482)"
    needs_base: ClassVar[bool] = False

    normalize: bool = True
    """Divide by the sum of the weights."""

    def combine(self, stack: Stack, deltas: list[Float], rows: slice, seen: Any) -> Float:
        """Return the weighted mean of the deltas, or their sum and what it has of the base beyond one."""
        total = sum(stack.weights)
        share = 1 / total if self.normalize else 1.0
        alike = len({*stack.weights}) == 1
        merged = deltas[0]
        for weight, delta in zip(stack.weights, deltas, strict=True):
            if not alike:
                scaled(delta, weight * share)
            if delta is not merged:
                np.add(merged, delta, out=merged)
        if alike:
            scaled(merged, stack.weights[0] * share)
        if not self.normalize and stack.base is not None and total != 1:
            merged += np.float32(total - 1) * stack.start(rows)
        return merged

    def factors(self, stack: Stack) -> LowRank | None:
        """Return the factors side by side; None where the weights do not sum to one and are not made to."""
        total = sum(stack.weights)
        if not self.normalize and total != 1:
            return None
        return side_by_side(stack, [weight / total for weight in stack.weights])


@methods.register("rewarded-soups")
class RewardedSoups(Linear):
    """Linear merges for all weights on a grid of the simplex, one model each, to pick from by what is preferred."""

    source: ClassVar[str] = "Rame et al. 2023 (arXiv 2306.04488)"
    counts: ClassVar[tuple[int, int | None]] = (2, None)

    steps: Annotated[int, Field(ge=1, le=100)] = 4
    """Steps from no weight to all of it: 4 gives the weights 0, 1/4, 1/2, 3/4 and 1."""

    def sweep(self, experts: int) -> Iterator[tuple[float, ...]]:
        """Yield every vector of weights on the grid, [T], that sums to one."""
        for counts in _sums(self.steps, experts):
            yield tuple(count / self.steps for count in counts)


def _sums(total: int, parts: int) -> Iterator[tuple[int, ...]]:
    if parts == 1:
        yield (total,)
        return
    for first in range(total, -1, -1):
        for rest in _sums(total - first, parts - 1):
            yield (first, *rest)


def side_by_side(stack: Stack, weights: list[float]) -> LowRank | None:
    """Return the weighted sum of all experts' factors as factors: their ranks add up."""
    parts = stack.factors()
    if parts is None:
        return None
    b = np.concatenate([np.float32(w) * part.b for w, part in zip(weights, parts, strict=True)], axis=1)
    return LowRank(b, np.concatenate([part.a for part in parts]))
