"""Exact nearest neighbours by cosine, in chunks: memory is bounded by a chunk's rows of the similarity matrix."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from superalign.errors import DataError

FloatArray = npt.NDArray[np.float32]
IntArray = npt.NDArray[np.int64]
BoolArray = npt.NDArray[np.bool_]
CELLS = 2**24  # similarities held at once


class Neighbours(NamedTuple):
    """The nearest items of each item.

    Args:
        items: int64 [n, k], nearest first; -1 where there are no more.
        similarity: float32 [n, k], in [-1, 1]; of Comparisons negative when the neighbour is near with its responses
            swapped.
    """

    items: IntArray
    similarity: FloatArray


def standardised(features: FloatArray, *, centre: bool = True) -> FloatArray:
    """Return rows of length 1 whose columns had mean 0 (unless Comparisons) and like spread; constant columns go."""
    x = features.astype(np.float64)
    x = x - x.mean(0) if centre else x
    spread = np.sqrt((x**2).mean(0))
    x = np.where(spread > 1e-6 * max(float(spread.max(initial=0)), 1e-12), x / np.where(spread > 0, spread, 1), 0)
    length = np.linalg.norm(x, axis=1, keepdims=True)
    return np.asarray(x / np.where(length > 0, length, 1), dtype=np.float32)


def nearest(
    rows: FloatArray,
    k: int,
    *,
    groups: npt.NDArray[np.str_] | None = None,
    present: BoolArray | None = None,
    pairwise: bool = False,
) -> Neighbours:
    """Return the k nearest items of each by the product of their rows, itself left out.

    Args:
        rows: [n, d] of length 1.
        k: how many; fewer when there are fewer others.
        groups: [n]; items of one group are not each other's neighbours.
        present: [n]; only these are anybody's neighbours.
        pairwise: an item is also near when its negative, which is the item with its responses swapped, is.
    """
    import torch

    n = len(rows)
    if n < 2:
        raise DataError("one item has no neighbours")
    k = min(k, n - 1)
    x = torch.from_numpy(np.ascontiguousarray(rows))
    own = np.arange(n) if groups is None else np.unique(groups, return_inverse=True)[1]
    unit = torch.from_numpy(own)
    absent = None if present is None else torch.from_numpy(~present)
    index, similarity = np.empty((n, k), dtype=np.int64), np.empty((n, k), dtype=np.float32)
    chunk = max(1, CELLS // n)
    for start in range(0, n, chunk):
        part = slice(start, min(start + chunk, n))
        product = x[part] @ x.T
        ranked = product.abs() if pairwise else product.clone()
        ranked[unit[part, None] == unit[None]] = -torch.inf
        if absent is not None:
            ranked[:, absent] = -torch.inf
        best, which = ranked.topk(k, dim=1)
        near = torch.where(best.isinf(), -1, which)
        index[part], similarity[part] = near.numpy(), product.gather(1, which).clamp(-1, 1).numpy()
    return Neighbours(index, similarity)


def votes(found: Neighbours, probs: FloatArray, *, pairwise: bool = False) -> FloatArray:
    """Return the mean label of each item's neighbours, float32 [n, classes]; even where it has none.

    Args:
        found: the neighbours.
        probs: [n, classes]; of a neighbour that is near with its responses swapped they are swapped.
        pairwise: whether the items are Comparisons.
    """
    total = np.zeros(probs.shape, dtype=np.float64)
    for index, similarity in zip(found.items.T, found.similarity.T, strict=True):  # a rank at a time: little memory
        said = probs[index]
        if pairwise:
            said = np.where((similarity < 0)[:, None], said[:, ::-1], said)
        total += np.where((index >= 0)[:, None], said, 0)
    count = (found.items >= 0).sum(1)[:, None]
    return np.asarray(np.where(count > 0, total / np.maximum(count, 1), 1 / probs.shape[1]), dtype=np.float32)
