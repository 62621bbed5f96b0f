"""A merge method: what a tensor of the merged model is, given that of the base and what each expert changed."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt

from superalign.config import Component
from superalign.merging.tensors import BLOCK, Float, LowRank, Stack
from superalign.registry import Registry

Counts = npt.NDArray[np.int64]
Piece = tuple[slice, Float]
"""Rows, and the merged delta of these rows, [rows, columns]."""


class Method(Component, ABC):
    """Base of the merge methods: a pure function of a Stack to the merged delta, in pieces or as factors."""

    source: ClassVar[str]
    """Paper, and where in it."""
    needs_base: ClassVar[bool] = True
    """Whether it merges what experts changed; else their tensors are merged, and a base is not looked at."""
    counts: ClassVar[tuple[int, int | None]] = (1, None)
    """Fewest and most experts."""
    by_expert: ClassVar[frozenset[str]] = frozenset()
    """Settings that each expert may have of its own."""
    statistic: ClassVar[str | None] = None
    """What must be measured of every expert on data."""

    @property
    def surveys(self) -> int:
        """How many times all tensors are looked at before the first one is merged."""
        return 0

    def survey(self, stack: Stack, level: int, shared: Any) -> Counts:
        """Return what one look at a tensor counts; the counts of all tensors are added."""
        raise NotImplementedError(f"{self.name} takes no survey")

    def settle(self, total: Counts, level: int, shared: Any, own: tuple[Any, ...]) -> Any:
        """Return what all tensors share, from the summed counts of a level; plain data.

        Args:
            total: counts of all tensors, summed.
            level: which survey.
            shared: what the one before returned.
            own: the method, with each expert's own settings.
        """
        raise NotImplementedError(f"{self.name} takes no survey")

    @abstractmethod
    def merge(self, stack: Stack, shared: Any = None) -> Iterator[Piece]:
        """Yield the merged delta, each row once, from the first to the last."""

    def factors(self, stack: Stack) -> LowRank | None:
        """Return the merged delta as factors; None where it is not of low rank, though all experts are."""
        return None

    def footprint(self, rows: int, columns: int, experts: int) -> int:
        """Return about how many bytes are held while a tensor is merged."""
        return 4 * (2 * experts + 8) * max(BLOCK, columns)


def merged(method: Method, stack: Stack, shared: Any = None) -> Float:
    """Return the merged tensor, base included, of the stack's shape; for what fits in memory."""
    parts = [stack.start(rows) + delta for rows, delta in method.merge(stack, shared)]
    return np.concatenate(parts).reshape(stack.shape)


methods: Registry[Method] = Registry("merge method", "superalign.merging.methods", Method)
