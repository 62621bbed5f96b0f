"""Batches of like length: texts of mixed length are trained on and scored with little padding."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

IntArray = npt.NDArray[np.int64]
PASS = 128  # tokens that could be computed in the time one more pass costs, whatever it computes (measured, CPU)
WINDOW = 8  # batches sorted together: 5 % padding on chat texts, where random batches of 32 pad 210 %
WINDOWS = 4  # at least, in an epoch of so many batches: else the same items would meet in every epoch


def epoch_batches(lengths: IntArray, size: int, rng: np.random.Generator) -> list[IntArray]:
    """Deal every item once, in random batches of items of like length.

    The items are shuffled, sorted by length inside windows of a few batches, cut into batches, and the batches are
    shuffled. One batch of an epoch may be smaller than the others; it is used like them.

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


def within_budget(items: IntArray, lengths: IntArray, budget: int, beginning: int = PASS) -> list[IntArray]:
    """Sort items by length and cut them where it costs least: padding against one pass more.

    No piece takes more than the budget when padded, but an item longer than that is a piece of its own. The longest
    come first, so that memory peaks at once.

    Args:
        items: int64 [n], indices into `lengths`.
        lengths: of every item, in tokens.
        budget: the most that (items of a piece) x (its longest length) may be.
        beginning: tokens that could be computed in the time one more pass costs.
    """
    order = items[np.argsort(-lengths[items], kind="stable")]
    sizes: list[int] = lengths[order].tolist()
    cost, came_from = np.full(len(sizes) + 1, np.inf), np.zeros(len(sizes) + 1, dtype=np.int64)
    cost[0] = 0
    for start, longest in enumerate(sizes):  # the cheapest way to have cut the first items
        ends = slice(start + 1, start + 1 + max(1, budget // longest))
        here = cost[start] + np.arange(1, len(cost[ends]) + 1) * longest + beginning
        better = here < cost[ends]
        cost[ends][better], came_from[ends][better] = here[better], start
    pieces, end = [], len(sizes)
    while end:
        pieces.append(order[came_from[end] : end])
        end = int(came_from[end])
    return pieces[::-1]


def filled(items: IntArray, lengths: IntArray, budget: int) -> list[IntArray]:
    """Sort items by length and cut them into as few pieces of at most `budget` tokens as it takes, without padding.

    An item longer than the budget is a piece of its own. The longest come first.

    Args:
        items: int64 [n], indices into `lengths`.
        lengths: of every item, in tokens.
        budget: the most tokens of a piece.
    """
    order = items[np.argsort(-lengths[items], kind="stable")]
    pieces, tokens = list[list[int]](), budget
    for item, length in zip(order.tolist(), lengths[order].tolist(), strict=True):
        tokens += length
        if tokens > budget:
            pieces.append([])
            tokens = length
        pieces[-1].append(item)
    return [np.array(piece, dtype=np.int64) for piece in pieces]


def pad(rows: Sequence[Sequence[int]], filler: int) -> tuple[IntArray, IntArray]:
    """Return token ids and attention mask, int64 [n, t], padded on the right."""
    lengths = np.array([len(row) for row in rows])
    mask = np.arange(lengths.max()) < lengths[:, None]
    ids = np.full(mask.shape, filler, dtype=np.int64)
    ids[mask] = np.concatenate(rows)
    return ids, mask.astype(np.int64)


def opening(rows: Sequence[Sequence[int] | str]) -> int:
    """Return how many tokens, or characters, all rows begin with."""
    shortest = min(map(len, rows))
    return next((n for n in range(shortest) if len({row[n] for row in rows}) > 1), shortest)
