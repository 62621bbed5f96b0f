"""Model Stock: between the base and the mean of experts, by the angle between what they changed."""

from __future__ import annotations

from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt

from superalign.merging.elementwise import Elementwise
from superalign.merging.method import methods
from superalign.merging.tensors import Float, Stack

Doubles = npt.NDArray[np.float64]


@methods.register("model-stock")
class ModelStock(Elementwise):
    """theta_0 + t mean_t tau_t with t = T c / (1 + (T - 1) c), c the mean cosine of two task vectors, at least 0."""

    source: ClassVar[str] = "Jang et al. 2024 (arXiv 2403.19522)"
    counts: ClassVar[tuple[int, int | None]] = (2, None)

    filter_wise: bool = False
    """Take the angle row by row, not of the whole tensor."""

    def look(self, stack: Stack, shared: Any) -> Doubles | None:
        """Return the share of the mean, of the whole tensor; None when every row has its own."""
        if self.filter_wise:
            return None
        count = len(stack)
        products = np.zeros((count, count))
        for rows in stack.blocks():
            flat = np.stack([delta.reshape(-1) for delta in stack.deltas(rows)]).astype(np.float64)
            products += flat @ flat.T
        return _share(products)

    def combine(self, stack: Stack, deltas: list[Float], rows: slice, seen: Any) -> Float:
        """Return the share of the mean."""
        share = _share(_products(deltas))[:, None] if seen is None else seen
        mean = sum(deltas[1:], deltas[0]) / np.float32(len(deltas))
        return np.asarray(mean * share.astype(np.float32))


def _products(deltas: list[Float]) -> Doubles:
    """Return the inner products of all pairs, row by row, [rows, T, T]."""
    rows = np.stack(deltas, axis=1).astype(np.float64)
    return np.asarray(rows @ rows.transpose(0, 2, 1))


def _share(products: Doubles) -> Doubles:
    """Return t, from inner products [..., T, T]."""
    norms = np.sqrt(np.diagonal(products, axis1=-2, axis2=-1))
    size = norms[..., :, None] * norms[..., None, :]
    cosines = np.divide(products, size, out=np.zeros_like(products), where=size > 0)
    count = products.shape[-1]
    pairs = np.triu_indices(count, 1)
    mean = cosines[..., pairs[0], pairs[1]].mean(-1).clip(0, 1)
    return np.asarray(count * mean / (1 + (count - 1) * mean))
