"""Iso-C: the sum of task matrices with all its singular values alike."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

import numpy as np

from superalign.merging.matrix import Matrix, Spectrum, dense, spectrum
from superalign.merging.method import methods
from superalign.merging.methods.linear import side_by_side
from superalign.merging.tensors import Float, LowRank, Stack


@methods.register("iso-c")
class Iso(Matrix):
    """U (mean of S) V' of sum_t w_t tau_t = U S V', over the singular values that are not numerically zero."""

    source: ClassVar[str] = "Marczak et al. 2025 (arXiv 2502.04959)"

    def solve(self, stack: Stack, deltas: Sequence[Float | LowRank]) -> LowRank:
        """Return the merged factors."""
        total: Float | LowRank | None = side_by_side(stack, list(stack.weights))
        if total is None:
            parts = [np.float32(w) * dense(delta) for w, delta in zip(stack.weights, deltas, strict=True)]
            total = np.asarray(sum(parts[1:], parts[0]))
        u, s, v = spectrum(total)
        return Spectrum(u, np.full_like(s, s.mean() if len(s) else 0), v).factors()
