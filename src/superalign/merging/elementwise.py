"""What methods share that look at elements one by one: they merge block after block, however large a tensor is."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterator
from typing import Annotated, Any, ClassVar, Literal

import numpy as np
from pydantic import BeforeValidator, Field

from superalign.merging.method import Method, Piece
from superalign.merging.tensors import Float, Stack

Share = Annotated[float, Field(ge=0, le=1)]


def _said_by_yes(value: Any) -> Any:
    return ("l1" if value else "none") if isinstance(value, bool) else value


Rescale = Annotated[Literal["none", "expected", "l1"], BeforeValidator(_said_by_yes)]
"""How kept elements make up for the dropped ones: not, by 1 / the probability to be kept, or so that the sum of a
tensor's magnitudes stays (`true` in a mergekit config)."""


class Elementwise(Method):
    """Merges a block at a time, after at most one look at the whole tensor."""

    def look(self, stack: Stack, shared: Any) -> Any:
        """Return what must be known of the whole tensor before its first block is merged."""
        return None

    @abstractmethod
    def combine(self, stack: Stack, deltas: list[Float], rows: slice, seen: Any) -> Float:
        """Return the merged delta of a block, [rows, columns].

        Args:
            stack: the tensor.
            deltas: of the block, each [rows, columns]; they may be changed.
            rows: of the block.
            seen: what `look` returned.
        """

    def merge(self, stack: Stack, shared: Any = None) -> Iterator[Piece]:
        """Yield the merged blocks."""
        seen = self.look(stack, shared)
        for rows in stack.blocks():
            yield rows, self.combine(stack, stack.deltas(rows), rows, seen)


class TaskVectors(Elementwise):
    """A weighted sum of thinned task vectors, with or without an election of each element's sign."""

    by_expert: ClassVar[frozenset[str]] = frozenset({"density"})
    elects: ClassVar[bool] = False
    """Whether only experts that agree with an element's sign add to it."""

    normalize: bool = False
    """Divide by the sum of the weights (with an election: of those experts that add to the element)."""
    scale: float = 1.0
    """Multiplies the merged task vector (lambda)."""

    @abstractmethod
    def thin(self, stack: Stack, expert: int, delta: Float, rows: slice, seen: Any) -> None:
        """Set to zero, in place, what is dropped of a block of an expert; what is kept may be scaled."""

    def prepare(self, stack: Stack, shared: Any) -> Any:
        """Return what `thin` must know of the whole tensor."""
        return None

    def look(self, stack: Stack, shared: Any) -> tuple[Any, list[float]]:
        """Return what `thin` must know, and what each expert's thinned delta is multiplied by."""
        seen = self.prepare(stack, shared)
        by_norm = [getattr(own, "rescale", "none") == "l1" for own in stack.own]
        ratios = self._ratios(stack, seen) if any(by_norm) else [1.0] * len(stack)
        return seen, [w * (r if l1 else 1) for w, r, l1 in zip(stack.weights, ratios, by_norm, strict=True)]

    def _ratios(self, stack: Stack, seen: Any) -> list[float]:
        """Return, for each expert, the sum of its magnitudes by the sum of those that are kept."""
        before, after = np.zeros(len(stack)), np.zeros(len(stack))
        for rows in stack.blocks():
            for i, delta in enumerate(stack.deltas(rows)):
                before[i] += np.abs(delta).sum(dtype=np.float64)
                self.thin(stack, i, delta, rows, seen)
                after[i] += np.abs(delta).sum(dtype=np.float64)
        return [float(b / a) if a > 0 else 1.0 for b, a in zip(before, after, strict=True)]

    def combine(self, stack: Stack, deltas: list[Float], rows: slice, seen: Any) -> Float:
        """Return scale times the sum of the thinned deltas, or of those that have the elected sign."""
        prepared, factors = seen
        for i, delta in enumerate(deltas):
            self.thin(stack, i, delta, rows, prepared)
        alike = not self.elects and len({*factors}) == 1  # then one product at the end is enough
        for factor, delta in zip(factors, deltas, strict=True):
            scaled(delta, 1 if alike else factor)
        total = deltas[0].copy() if self.elects else deltas[0]
        for delta in deltas[1:]:
            np.add(total, delta, out=total)
        if self.elects:
            return self._elected(stack, deltas, total)
        weight = sum(stack.weights)
        scale = self.scale / weight if self.normalize and abs(weight) > 1e-8 else self.scale
        return scaled(total, scale * factors[0] if alike else scale)

    def _elected(self, stack: Stack, deltas: list[Float], total: Float) -> Float:
        """Return the sum, or the mean, of what has the sign of the total, + where that is zero."""
        total += 0.0  # no -0
        sign = total.view(np.int32)
        result, share = np.zeros_like(total), np.zeros_like(total)
        for delta, weight in zip(deltas, stack.weights, strict=True):
            agrees = (delta.view(np.int32) ^ sign) >= 0
            np.multiply(delta, agrees, out=delta)
            np.add(result, delta, out=result)
            if self.normalize:
                share += np.float32(weight) * (delta != 0)
        if self.normalize:
            share[share == 0] = 1
            np.divide(result, share, out=result)
        return scaled(result, self.scale)


def scaled(values: Float, by: float) -> Float:
    """Return the values times a number, in place."""
    return values if by == 1 else np.multiply(values, np.float32(by), out=values)
