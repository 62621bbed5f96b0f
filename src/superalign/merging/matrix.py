"""What methods share that look at a tensor of two dimensions as a matrix; all other tensors are averaged."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from superalign.errors import ModelError
from superalign.merging.method import Method, Piece
from superalign.merging.tensors import Float, LowRank, Stack

Doubles = npt.NDArray[np.float64]


class Spectrum(NamedTuple):
    """Singular values of a matrix that are not zero, and their vectors.

    Args:
        u: [m, r], orthonormal columns.
        s: [r], falling.
        v: [n, r], orthonormal columns.
    """

    u: Float
    s: Float
    v: Float

    def top(self, rank: int) -> Spectrum:
        """Return the largest singular values."""
        return Spectrum(self.u[:, :rank], self.s[:rank], self.v[:, :rank])

    def factors(self) -> LowRank:
        """Return the matrix."""
        return LowRank(self.u * self.s, np.ascontiguousarray(self.v.T))


def spectrum(delta: Float | LowRank) -> Spectrum:
    """Return the singular values of a delta up to its numeric rank: those above eps max(m, n) times the largest.

    Beyond that rank the vectors of a decomposition are arbitrary. The rank of factors is that of their small core:
    a QR of each, then the singular values of the product of the two triangles.
    """
    if isinstance(delta, LowRank):
        shape = len(delta.b), delta.a.shape[1]
        left, upper = np.linalg.qr(delta.b)
        right, lower = np.linalg.qr(delta.a.T)
        u, s, vt = np.linalg.svd(upper @ lower.T, full_matrices=False)
        u, v = left @ u, right @ vt.T
    else:
        shape = delta.shape
        u, s, vt = np.linalg.svd(delta, full_matrices=False)
        v = vt.T
    limit = np.finfo(np.float32).eps * max(shape) * s[:1].sum()
    rank = int((s > limit).sum())
    return Spectrum(u[:, :rank], s[:rank], v[:, :rank])


def orthonormal(columns: Float) -> Float:
    """Return the nearest matrix with orthonormal columns (rows, where there are more columns), the polar factor."""
    p, _, qt = np.linalg.svd(columns, full_matrices=False)
    return np.asarray(p @ qt)


class Matrix(Method):
    """Merges a tensor of two dimensions as a whole, and any other by its weighted mean."""

    scale: float = 1.0
    """Multiplies the merged delta (lambda)."""

    @abstractmethod
    def solve(self, stack: Stack, deltas: Sequence[Float | LowRank]) -> Float | LowRank:
        """Return the merged delta of a matrix, before the scale.

        Args:
            stack: the tensor.
            deltas: of the experts, dense or as factors.
        """

    def merge(self, stack: Stack, shared: Any = None) -> Iterator[Piece]:
        """Yield the merged delta, of a matrix at once."""
        if stack.is_matrix and stack.size:
            dense = stack.whole() if stack.factors() is None else None
            yield from self._pieces(stack, self._solved(stack, dense or stack.factors() or []))
            return
        for rows in stack.blocks():
            yield rows, np.float32(self.scale) * _mean(stack.deltas(rows), stack.weights)

    def factors(self, stack: Stack) -> LowRank | None:
        """Return the merged delta as factors, where the method keeps it so."""
        parts = stack.factors()
        if parts is None:
            return None
        found = self.solve(stack, parts)
        return LowRank(found.b * np.float32(self.scale), found.a) if isinstance(found, LowRank) else None

    def footprint(self, rows: int, columns: int, experts: int) -> int:
        """Return about how many bytes are held: the deltas, their decompositions, and room to decompose one."""
        return 4 * rows * columns * (2 * experts + 6) + super().footprint(rows, columns, experts)

    def _solved(self, stack: Stack, deltas: Sequence[Float | LowRank]) -> Float | LowRank:
        try:
            return self.solve(stack, deltas)
        except np.linalg.LinAlgError as error:
            raise ModelError(f"tensor '{stack.name}' cannot be merged by {self.name}", why=str(error)) from None

    def _pieces(self, stack: Stack, found: Float | LowRank) -> Iterator[Piece]:
        for rows in stack.blocks():
            part = found.rows(rows) if isinstance(found, LowRank) else found[rows]
            yield rows, np.asarray(np.float32(self.scale) * part)


def _mean(deltas: list[Float], weights: Sequence[float]) -> Float:
    total = sum(weights)
    parts = (np.float32(w / total if total else 0) * delta for w, delta in zip(weights, deltas, strict=True))
    return sum(parts, np.zeros_like(deltas[0]))


def dense(delta: Float | LowRank) -> Float:
    """Return the delta as an array."""
    return delta.b @ delta.a if isinstance(delta, LowRank) else delta
