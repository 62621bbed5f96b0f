"""TSV-M and R-TSVM: the top singular vectors of every expert, made orthogonal to each other."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, ClassVar, Literal

import numpy as np
from pydantic import Field

from superalign.merging.matrix import Matrix, Spectrum, dense, orthonormal, spectrum
from superalign.merging.method import methods
from superalign.merging.tensors import Float, LowRank, Stack


@methods.register("tsv-m")
class Tsv(Matrix):
    """U S V' of the experts' top singular vectors side by side, U and V replaced by the nearest orthonormal matrices.

    Of T experts each gives min(m, n) / T singular values, at most its numeric rank: beyond it, vectors are arbitrary,
    and would change the result by taking part in the whitening.
    """

    source: ClassVar[str] = "Gargiulo et al. 2024 (arXiv 2412.00081)"

    def ranks(self, stack: Stack, deltas: Sequence[Float | LowRank]) -> list[int]:
        """Return how many singular values each expert gives, before its numeric rank limits them."""
        return [max(1, min(stack.shape) // len(deltas))] * len(deltas)

    def shares(self, deltas: Sequence[Float | LowRank]) -> list[float]:
        """Return what each expert's singular values are multiplied by, beside its weight."""
        return [1.0] * len(deltas)

    def solve(self, stack: Stack, deltas: Sequence[Float | LowRank]) -> LowRank:
        """Return the merged factors."""
        ranks = self.ranks(stack, deltas)
        shares = [w * share for w, share in zip(stack.weights, self.shares(deltas), strict=True)]
        parts = [spectrum(delta).top(rank) for delta, rank in zip(deltas, ranks, strict=True)]
        u = orthonormal(np.concatenate([part.u for part in parts], axis=1))
        v = orthonormal(np.concatenate([part.v for part in parts], axis=1))
        s = np.concatenate([np.float32(share) * part.s for share, part in zip(shares, parts, strict=True)])
        return Spectrum(u, s, v).factors()


@methods.register("r-tsvm", "resm")
class ReweightedTsv(Tsv):
    """TSV-M with singular values weighed by outliers and ranks by sparsity; our reading of the paper.

    Outliers of tau_t are the elements whose magnitude exceeds the mean by k standard deviations; a_t is the sum of
    their magnitudes. `boost` multiplies by T a_t / sum_s a_s, `damp` by T (1/a_t) / sum_s (1/a_s). With s_t the share
    of elements of at most sparse times the largest magnitude, expert t gives
    floor(min(m, n) (1 - s_t) / sum_s (1 - s_s)) singular values.
    """

    source: ClassVar[str] = "Yang et al. 2025 (arXiv 2502.06876), abstract; the equations are ours"

    reweight: Literal["boost", "damp", "none"] = "boost"
    """What outliers do to an expert: raise its weight, lower it, or nothing."""
    k: Annotated[float, Field(ge=0)] = 3.0
    """Standard deviations beyond which an element is an outlier."""
    rank: Literal["sparsity", "floor"] = "sparsity"
    """Who gives how many singular values: by sparsity, or all alike as in TSV-M."""
    sparse: Annotated[float, Field(ge=0, lt=1)] = 0.01
    """Share of the largest magnitude up to which an element counts as zero."""

    def ranks(self, stack: Stack, deltas: Sequence[Float | LowRank]) -> list[int]:
        """Return ranks in proportion to the share of elements that are not near zero."""
        if self.rank == "floor":
            return super().ranks(stack, deltas)
        filled = [_filled(dense(delta), self.sparse) for delta in deltas]
        total = sum(filled)
        size = min(stack.shape)
        if not total:
            return super().ranks(stack, deltas)
        return [max(1, size * count // total) if count else 0 for count in filled]

    def shares(self, deltas: Sequence[Float | LowRank]) -> list[float]:
        """Return the weights by outliers, whose mean is one; all one where an expert has no outliers."""
        masses = np.array([_outlying(dense(delta), self.k) for delta in deltas])
        if self.reweight == "none" or not masses.all():
            return [1.0] * len(deltas)
        masses = masses if self.reweight == "boost" else 1 / masses
        return [float(share) for share in masses / masses.mean()]


def _filled(delta: Float, sparse: float) -> int:
    """Return how many elements are not near zero."""
    size = np.abs(delta)
    return int((size > np.float32(sparse) * size.max(initial=0)).sum())


def _outlying(delta: Float, k: float) -> float:
    """Return the sum of the outliers' magnitudes."""
    size = np.abs(delta)
    limit = size.mean(dtype=np.float64) + k * size.std(dtype=np.float64)
    return float(size[size > limit].sum(dtype=np.float64))
