"""RegMean: the linear map that answers each expert's own inputs most like the expert."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, ClassVar

import numpy as np
from pydantic import Field

from superalign.merging.matrix import Matrix, dense
from superalign.merging.method import methods
from superalign.merging.tensors import Float, LowRank, Stack


@methods.register("regmean")
class RegMean(Matrix):
    """W' = (sum_t G_t)^-1 sum_t G_t W_t', with G_t = w_t X_t' X_t of the inputs X_t of a linear layer.

    Tensors of which nothing was measured are averaged.
    """

    source: ClassVar[str] = "Jin et al. 2023 (arXiv 2212.09849)"
    needs_base: ClassVar[bool] = False
    statistic: ClassVar[str | None] = "gram"

    off_diagonal: Annotated[float, Field(ge=0, le=1)] = 0.9
    """What elements of G_t off its diagonal are multiplied by."""
    ridge: Annotated[float, Field(ge=0)] = 1e-6
    """Added to the diagonal, as a share of its mean, where inputs do not fill the space."""

    def solve(self, stack: Stack, deltas: Sequence[Float | LowRank]) -> Float:
        """Return the solution for the deltas: it is that for the weights, less the base."""
        from scipy.linalg import cho_factor, cho_solve

        n = stack.shape[1]
        if any(known is None for known in stack.statistics) or not stack.statistics:
            share = 1 / sum(stack.weights)
            return np.asarray(sum(np.float32(w * share) * dense(d) for w, d in zip(stack.weights, deltas, strict=True)))
        gram, pull = np.zeros((n, n)), np.zeros((n, stack.shape[0]))
        for weight, delta, known in zip(stack.weights, deltas, stack.statistics, strict=True):
            if known is None:
                continue
            own = np.asarray(weight * known(slice(0, n)), dtype=np.float64)
            diagonal = np.diagonal(own).copy()
            own *= self.off_diagonal
            own[np.diag_indices(n)] = diagonal
            gram += own
            pull += own @ dense(delta).T
        extra = self.ridge * np.trace(gram) / n
        gram[np.diag_indices(n)] += extra
        share = extra / sum(stack.weights)
        for weight, delta in zip(stack.weights, deltas, strict=True):
            pull += share * weight * dense(delta).T
        return np.asarray(cho_solve(cho_factor(gram), pull).T, dtype=np.float32)
