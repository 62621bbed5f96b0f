"""WUDI: the matrix that interferes least with any expert, found without data."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, ClassVar, Literal

import numpy as np
from pydantic import Field

from superalign.merging.matrix import Doubles, Matrix, dense
from superalign.merging.method import methods
from superalign.merging.tensors import Float, LowRank, Stack

BETA1, BETA2, TINY = 0.9, 0.999, 1e-8  # Adam's


@methods.register("wudi")
class Wudi(Matrix):
    """Minimises sum_t ||(X - tau_t) tau_t'||^2 / ||tau_t||^2 from X = sum_t tau_t, tau_t times the expert's weight.

    With G_t = tau_t' tau_t / ||tau_t||^2 and S = sum_t tau_t, the minimum nearest to the start is
    S + (sum_t tau_t G_t - S sum_t G_t) pinv(sum_t G_t): our derivation. `adam` goes towards it in small steps, as the
    paper does.
    """

    source: ClassVar[str] = "Cheng et al. 2025 (arXiv 2503.08099); the closed form is ours"

    solver: Literal["closed", "adam"] = "closed"
    """The closed form, or Adam."""
    steps: Annotated[int, Field(ge=0)] = 300
    """Steps of Adam."""
    lr: Annotated[float, Field(gt=0)] = 1e-5
    """Rate of Adam."""
    cutoff: Annotated[float, Field(gt=0, lt=1)] = 1e-6
    """Share of the largest eigenvalue of sum_t G_t below which one counts as zero."""

    def solve(self, stack: Stack, deltas: Sequence[Float | LowRank]) -> Float | LowRank:
        """Return the minimum, or where Adam gets to."""
        if self.solver == "adam":
            weighed = [np.float32(w) * dense(delta) for w, delta in zip(stack.weights, deltas, strict=True)]
            return self._adam(weighed)
        parts = [delta for delta in deltas if isinstance(delta, LowRank)]
        if len(parts) < len(deltas):
            return self._closed([np.float32(w) * dense(delta) for w, delta in zip(stack.weights, deltas, strict=True)])
        # All that the minimum is made of lies in the rows of the factors: it is found there, and is of their rank.
        basis, _ = np.linalg.qr(np.concatenate([part.a for part in parts]).T)
        inside = [np.float32(w) * part.b @ (part.a @ basis) for w, part in zip(stack.weights, parts, strict=True)]
        return LowRank(self._closed(inside), np.ascontiguousarray(basis.T))

    def _closed(self, deltas: list[Float]) -> Float:
        total = sum(deltas[1:], deltas[0]).astype(np.float64)
        gram, pull = _normal(deltas)
        values, vectors = np.linalg.eigh(gram)
        large = values > self.cutoff * values[-1:].sum()
        vectors = vectors[:, large]
        step = (pull - total @ gram) @ vectors / values[large] @ vectors.T
        return np.asarray(total + step, dtype=np.float32)

    def _adam(self, deltas: list[Float]) -> Float:
        found = np.asarray(sum(deltas[1:], deltas[0]), dtype=np.float32)
        gram, pull = (part.astype(np.float32) for part in _normal(deltas))
        first, second = np.zeros_like(found), np.zeros_like(found)
        for step in range(1, self.steps + 1):
            slope = 2 * (found @ gram - pull)
            first += np.float32(1 - BETA1) * (slope - first)
            second += np.float32(1 - BETA2) * (slope * slope - second)
            size = np.sqrt(second / np.float32(1 - BETA2**step)) + np.float32(TINY)
            found = found - np.float32(self.lr / (1 - BETA1**step)) * first / size
        return found


def _normal(deltas: list[Float]) -> tuple[Doubles, Doubles]:
    """Return sum_t G_t, [n, n], and sum_t tau_t G_t, [m, n]."""
    rows, columns = deltas[0].shape
    gram, pull = np.zeros((columns, columns)), np.zeros((rows, columns))
    for delta in deltas:
        wide = delta.astype(np.float64)
        size = float((wide * wide).sum())
        if size:
            own = wide.T @ wide / size
            gram += own
            pull += wide @ own
    return gram, pull
