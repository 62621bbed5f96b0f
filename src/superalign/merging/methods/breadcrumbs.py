"""Breadcrumbs: drop the smallest and the very largest elements of task vectors."""

from __future__ import annotations

from typing import Any, ClassVar

import numpy as np

from superalign.merging.elementwise import Rescale, Share, TaskVectors
from superalign.merging.method import methods
from superalign.merging.selecting import magnitude, thresholds
from superalign.merging.tensors import Float, Stack


@methods.register("breadcrumbs")
class Breadcrumbs(TaskVectors):
    """Of each tensor the top gamma and the bottom 1 - density - gamma by magnitude are dropped, the rest is summed.

    Where both shares exceed a tensor's elements, fewer large ones are dropped, so that the density holds.
    """

    source: ClassVar[str] = "Davari and Belilovsky 2024 (arXiv 2312.06795)"
    by_expert: ClassVar[frozenset[str]] = frozenset({"density", "gamma", "rescale"})

    density: Share = 0.9
    """Share of the elements that is kept."""
    gamma: Share = 0.01
    """Share of the elements, the largest, that is dropped."""
    rescale: Rescale = "none"
    """What makes up for dropped elements."""

    def prepare(self, stack: Stack, shared: Any) -> list[list[int]]:
        """Return each expert's smallest magnitude that is kept, and its smallest that is too large."""
        places = []
        for own in stack.own:
            target = int(own.density * stack.size) if own.density < 1 else stack.size
            top = min(int(own.gamma * stack.size), stack.size - target)
            places.append([top + target if top + target < stack.size else stack.size + 1, top])
        return thresholds(stack, places)

    def thin(self, stack: Stack, expert: int, delta: Float, rows: slice, seen: Any) -> None:
        """Drop what is outside of the band."""
        low, high = seen[expert]
        bits = magnitude(delta)
        np.multiply(delta, (bits >= np.uint32(low)) & (bits < np.uint32(high)), out=delta)


@methods.register("breadcrumbs-ties")
class BreadcrumbsTies(Breadcrumbs):
    """Breadcrumbs, then the election of signs of TIES."""

    source: ClassVar[str] = "Davari and Belilovsky 2024 (arXiv 2312.06795), with the election of arXiv 2306.01708"
    elects: ClassVar[bool] = True
