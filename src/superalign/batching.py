"""Batches of like length: texts of mixed length are trained on and scored with little padding."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

IntArray = npt.NDArray[np.int64]
WINDOW = 8  # batches sorted together: 6 % padding on chat texts, where random batches of 32 pad 220 %
WINDOWS = 4  # at least, in an epoch of so many batches: else the same items would meet in every epoch


def epoch_batches(lengths: IntArray, size: int, rng: np.random.Generator) -> list[IntArray]:
    """Deal every item once, in random batches of items of like length.

    The items are shuffled, sorted by length inside windows of a few batches, cut into batches, and the batches are
    shuffled. The last batch of an epoch may be smaller than the others; it is used like them.

    Args:
        lengths: of each item, int64 [n].
        size: items of a batch.
        rng: decides the order.

    Returns:
        Item indices of each batch.
    """
    window = size * min(WINDOW, max(1, len(lengths) // size // WINDOWS))
    order = rng.permutation(len(lengths))
    batches = []
    for start in range(0, len(order), window):
        near = order[start : start + window]
        near = near[np.argsort(lengths[near], kind="stable")]
        batches += [near[i : i + size] for i in range(0, len(near), size)]
    return [batches[i] for i in rng.permutation(len(batches))]


def within_budget(items: IntArray, lengths: IntArray, budget: int) -> list[IntArray]:
    """Sort items by length, longest first, and cut them so that none of the pieces pads to more than `budget`.

    An item longer than the budget is a piece of its own. The longest piece comes first, so that memory peaks at once.

    Args:
        items: int64 [n], indices into `lengths`.
        lengths: in the unit of the budget.
        budget: the most that (items of a piece) x (its longest length) may be.
    """
    order = items[np.argsort(-lengths[items], kind="stable")]
    pieces, start = [], 0
    while start < len(order):
        longest = max(1, int(lengths[order[start]]))
        end = start + max(1, budget // longest)
        pieces.append(order[start:end])
        start = end
    return pieces


def padding_ratio(pieces: Sequence[IntArray], lengths: IntArray) -> float:
    """Return computed over real length, 1 when nothing is padded: each piece pads to its longest item."""
    real = sum(int(lengths[piece].sum()) for piece in pieces)
    return sum(len(piece) * int(lengths[piece].max()) for piece in pieces) / max(real, 1)
