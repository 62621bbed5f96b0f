"""TIES: trim, elect signs, merge what agrees; trimmed tensor by tensor or over the whole model."""

from __future__ import annotations

from typing import Any, ClassVar, Literal

import numpy as np

from superalign.merging.elementwise import Share, TaskVectors
from superalign.merging.method import Counts, methods
from superalign.merging.selecting import (
    ALL,
    LOWER,
    NOTHING,
    UPPER,
    count_lower,
    count_upper,
    kth,
    magnitude,
    thresholds,
)
from superalign.merging.tensors import Float, Stack


@methods.register("ties")
class Ties(TaskVectors):
    """The largest share of each task vector, of which an element takes in those that have its elected sign, averaged.

    The sign is that of the weighted sum, + where it is zero. What is exactly as large as the smallest that is kept is
    kept as well.
    """

    source: ClassVar[str] = "Yadav et al. 2023 (arXiv 2306.01708)"
    elects: ClassVar[bool] = True

    density: Share = 0.2
    """Share of the elements that is kept, by magnitude."""
    across: Literal["tensor", "model"] = "tensor"
    """What the share is of: each tensor, or the whole model, as in the paper's code."""
    normalize: bool = True
    """Take the mean of what agrees, not the sum."""

    @property
    def surveys(self) -> int:
        """Two counts of all magnitudes, when the share is of the whole model."""
        return 2 if self.across == "model" else 0

    def survey(self, stack: Stack, level: int, shared: Any) -> Counts:
        """Return the counts of upper halves, or of lower ones within the upper half that was found, [T, buckets]."""
        total = np.zeros((len(stack), (UPPER, LOWER)[level]), dtype=np.int64)
        for rows in stack.blocks():
            for i, delta in enumerate(stack.deltas(rows)):
                if level == 0:
                    total[i] += count_upper(delta)
                elif shared[i][1]:
                    total[i] += count_lower(delta, shared[i][0])
        return total

    def settle(self, total: Counts, level: int, shared: Any, own: tuple[Any, ...]) -> Any:
        """Return each expert's upper half and place in it, and then each expert's threshold."""
        if level == 0:
            places = [int(one.density * counts.sum()) for one, counts in zip(own, total, strict=True)]
            return [kth(counts, k) if k else (0, 0) for counts, k in zip(total, places, strict=True)]
        return [
            half << 16 | kth(counts, left)[0] if left else NOTHING
            for counts, (half, left) in zip(total, shared, strict=True)
        ]

    def prepare(self, stack: Stack, shared: Any) -> list[int]:
        """Return each expert's smallest magnitude that is kept."""
        if self.across == "model":
            return [int(threshold) for threshold in shared]
        places = [_count(own.density, stack.size) for own in stack.own]
        return [found[0] for found in thresholds(stack, [[k] if k < stack.size else [stack.size + 1] for k in places])]

    def thin(self, stack: Stack, expert: int, delta: Float, rows: slice, seen: Any) -> None:
        """Drop what is below the threshold."""
        if seen[expert] != ALL:
            np.multiply(delta, magnitude(delta) >= np.uint32(seen[expert]), out=delta)


def _count(density: float, size: int) -> int:
    """Return how many elements are kept: at least one of a tensor, unless the density is zero."""
    return max(1, int(density * size)) if density > 0 else 0
