"""The k-th largest magnitude, exactly, in two counts of all elements: nothing is sorted, nothing kept but counts.

The bits of a positive float, read as an integer, are in the order of the floats. The first count is of their upper 16
bits, the second of the lower 16 among those elements whose upper ones are the ones sought. Counts add up, so that the
same two looks find the threshold of a tensor or of a whole model.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from superalign.merging.tensors import Bits, Float, Stack

Counts = npt.NDArray[np.int64]
UPPER, LOWER = 1 << 15, 1 << 16
ALL, NOTHING = 0, 1 << 31
"""Thresholds that every magnitude reaches, and none."""


def magnitude(values: Float) -> Bits:
    """Return the bits of |values|, whose order is that of the magnitudes."""
    return np.asarray(values.view(np.uint32) & np.uint32(0x7FFFFFFF))


def count_upper(values: Float) -> Counts:
    """Return how many elements have each upper half, [UPPER]."""
    upper = np.right_shift(values.view(np.uint32).reshape(-1), 16).astype(np.int64)
    upper &= UPPER - 1
    return np.bincount(upper, minlength=UPPER)


def count_lower(values: Float, upper: int) -> Counts:
    """Return how many elements of an upper half have each lower half, [LOWER]."""
    bits = magnitude(values).reshape(-1)
    found = bits[np.flatnonzero((bits >> np.uint32(16)) == upper)]
    return np.bincount((found & np.uint32(LOWER - 1)).astype(np.int64), minlength=LOWER)


def kth(counts: Counts, k: int) -> tuple[int, int]:
    """Return the bucket of the k-th largest element (1 is the largest), and its place among those of its bucket."""
    above = counts[::-1].cumsum()[::-1]  # in this bucket or a higher one
    bucket = int(np.flatnonzero(above >= k)[-1])
    return bucket, k - int(above[bucket] - counts[bucket])


def thresholds(stack: Stack, places: Sequence[Sequence[int]]) -> list[list[int]]:
    """Return the magnitudes (as bits) that take given places in each expert's delta.

    Args:
        stack: the tensor.
        places: for each expert which ones: k for the k-th largest of n; 0 gives NOTHING, more than n gives ALL.
    """
    n = stack.size
    asked = [[k for k in sorted({*ks}) if 0 < k <= n] for ks in places]
    if not any(asked):
        return [[NOTHING if k <= 0 else ALL for k in ks] for ks in places]
    upper = [np.zeros(UPPER, dtype=np.int64) for _ in places]
    for rows in stack.blocks():
        for i, delta in enumerate(stack.deltas(rows)):
            if asked[i]:
                upper[i] += count_upper(delta)
    halves = [{k: kth(counts, k) for k in ks} for counts, ks in zip(upper, asked, strict=True)]
    lower = [{half: np.zeros(LOWER, dtype=np.int64) for half, _ in found.values()} for found in halves]
    for rows in stack.blocks():
        for i, delta in enumerate(stack.deltas(rows)):
            for half, counts in lower[i].items():
                counts += count_lower(delta, half)
    found = [
        {k: half << 16 | kth(counts[half], left)[0] for k, (half, left) in pairs.items()}
        for pairs, counts in zip(halves, lower, strict=True)
    ]
    return [[NOTHING if k <= 0 else known.get(k, ALL) for k in ks] for ks, known in zip(places, found, strict=True)]
