"""Task arithmetic: the weighted sum of what experts changed."""

from __future__ import annotations

from typing import Any, ClassVar

from superalign.merging.elementwise import TaskVectors
from superalign.merging.method import methods
from superalign.merging.methods.linear import side_by_side
from superalign.merging.tensors import Float, LowRank, Stack


@methods.register("task-arithmetic")
class TaskArithmetic(TaskVectors):
    """theta_0 + scale sum_t w_t tau_t, with tau_t = theta_t - theta_0."""

    source: ClassVar[str] = "Ilharco et al. 2023 (arXiv 2212.04089)"
    by_expert: ClassVar[frozenset[str]] = frozenset()

    def thin(self, stack: Stack, expert: int, delta: Float, rows: slice, seen: Any) -> None:
        """Keep all."""

    def factors(self, stack: Stack) -> LowRank | None:
        """Return the factors side by side."""
        total = sum(stack.weights)
        share = self.scale / total if self.normalize and abs(total) > 1e-8 else self.scale
        return side_by_side(stack, [weight * share for weight in stack.weights])
