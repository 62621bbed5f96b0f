"""The k-th largest magnitude, exactly, without a sort: some rows say about where it is, a look at all rows says where.

Where those rows were misleading, two counts of all elements find it. The bits of a positive float, read as an integer,
are in the order of the floats: the first count is of their upper 16 bits, the second of the lower 16 among those
elements whose upper ones are the ones sought. Counts add up, so that the same two looks find the threshold of a whole
model.
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
SAMPLE = 1 << 17  # elements, about
MARGIN = 3.0  # places beside the one sought, in roots of the sample: six deviations and more


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
    asked = [[k for k in sorted({*ks}) if 0 < k <= stack.size] for ks in places]
    found: list[dict[int, int]] = [{} for _ in asked]
    if any(asked):
        found = _near(stack, asked)
        left = [[k for k in ks if k not in known] for ks, known in zip(asked, found, strict=True)]
        if any(left):
            found = [known | more for known, more in zip(found, _counted(stack, left), strict=True)]
    return [[NOTHING if k <= 0 else known.get(k, ALL) for k in ks] for ks, known in zip(places, found, strict=True)]


def _near(stack: Stack, asked: list[list[int]]) -> list[dict[int, int]]:
    """Return those thresholds that are where a sample says."""
    spans = _spans(stack, asked)
    above = [dict.fromkeys(span, 0) for span in spans]
    inside: list[dict[int, list[Bits]]] = [{k: [] for k in span} for span in spans]
    for rows in stack.blocks():
        for i, delta in enumerate(stack.deltas(rows)):
            bits = magnitude(delta).reshape(-1)
            for k, (low, high) in spans[i].items():
                larger = bits >= high
                above[i][k] += int(np.count_nonzero(larger))
                inside[i][k].append(bits[np.flatnonzero((bits >= low) ^ larger)])
    found: list[dict[int, int]] = [{} for _ in asked]
    for i, parts in enumerate(inside):
        for k, pieces in parts.items():
            values = np.concatenate(pieces)
            place = len(values) - (k - above[i][k])
            if 0 <= place < len(values):
                found[i][k] = int(np.partition(values, place)[place])
    return found


def _spans(stack: Stack, asked: list[list[int]]) -> list[dict[int, tuple[np.uint32, np.uint32]]]:
    """Return between which magnitudes each threshold is likely to be: all, in a tensor no larger than a sample."""
    if stack.size <= SAMPLE:
        return [dict.fromkeys(ks, (np.uint32(ALL), np.uint32(NOTHING))) for ks in asked]
    step = max(1, stack.size // SAMPLE)
    drawn: list[list[Bits]] = [[] for _ in asked]
    for row in range(step // 2, stack.rows, step) if stack.rows > step else range(stack.rows):
        for i, delta in enumerate(stack.deltas(slice(row, row + 1))):
            drawn[i].append(magnitude(delta).reshape(-1))
    spans = []
    for ks, pieces in zip(asked, drawn, strict=True):
        values = np.sort(np.concatenate(pieces))[::-1]
        margin = MARGIN * len(values) ** 0.5
        spans.append({k: _span(values, k / stack.size * len(values), margin) for k in ks})
    return spans


def _span(falling: Bits, place: float, margin: float) -> tuple[np.uint32, np.uint32]:
    """Return the values at some places before and after a place."""
    first, last = int(place - margin), int(place + margin)
    low = falling[last] if last < len(falling) else np.uint32(ALL)
    high = falling[first] if first >= 0 else np.uint32(NOTHING)
    return low, max(high, low + np.uint32(1))  # one of many that are alike is among them


def _counted(stack: Stack, asked: list[list[int]]) -> list[dict[int, int]]:
    """Return the thresholds, from two counts of all elements."""
    upper = [np.zeros(UPPER, dtype=np.int64) for _ in asked]
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
    return [
        {k: half << 16 | kth(counts[half], left)[0] for k, (half, left) in pairs.items()}
        for pairs, counts in zip(halves, lower, strict=True)
    ]
