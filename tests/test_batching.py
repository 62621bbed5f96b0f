"""Every item once, little padding, and cuts that cost least."""

from __future__ import annotations

from itertools import combinations, pairwise

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from superalign.batching import PASS, WINDOW, WINDOWS, epoch_batches, filled, pad, within_budget

LENGTHS = st.lists(st.integers(1, 600), min_size=1, max_size=400).map(np.array)


def chat_lengths(n: int) -> np.ndarray:
    """Lengths spread like those of chat texts: a median of 46 tokens, a mean of 60, a long tail."""
    return np.clip(np.random.default_rng(0).lognormal(np.log(46), 0.7, n), 8, 512).astype(np.int64)


def padding(pieces: list[np.ndarray], lengths: np.ndarray) -> float:
    return sum(len(piece) * lengths[piece].max() for piece in pieces) / lengths.sum()


def cost(pieces: list[np.ndarray], lengths: np.ndarray) -> int:
    return sum(len(piece) * int(lengths[piece].max()) + PASS for piece in pieces)


@given(lengths=LENGTHS, size=st.integers(1, 64), seed=st.integers(0, 99))
def test_an_epoch_deals_every_item_once_in_whole_batches_but_one(lengths, size, seed):
    batches = epoch_batches(lengths, size, np.random.default_rng(seed))
    assert sorted(np.concatenate(batches)) == list(range(len(lengths)))
    assert sorted(len(batch) != size for batch in batches)[:-1] == [False] * (len(batches) - 1)


@given(lengths=LENGTHS, size=st.integers(1, 64), seed=st.integers(0, 99))
def test_batches_of_one_window_do_not_overlap_in_length(lengths, size, seed):
    batches = epoch_batches(lengths, size, np.random.default_rng(seed))
    windows = -(-len(lengths) // (size * min(WINDOW, max(1, len(lengths) // size // WINDOWS))))
    low, high = (np.array([f(lengths[batch]) for batch in batches]) for f in (np.min, np.max))
    held = max(((low < point) & (point < high)).sum() for point in lengths)  # batches strictly around one length
    assert held <= windows


def test_every_epoch_deals_other_batches_and_a_seed_always_the_same():
    lengths = chat_lengths(300)
    first, second, again = (
        epoch_batches(lengths, 32, np.random.default_rng(seed)) for seed in ([0, 0], [0, 1], [0, 0])
    )
    assert not {frozenset(batch) for batch in first} & {frozenset(batch) for batch in second}
    assert all((a == b).all() for a, b in zip(first, again, strict=True))


def test_texts_of_mixed_length_are_hardly_padded():
    lengths = chat_lengths(2000)
    order = np.random.default_rng(1).permutation(len(lengths))
    assert padding(np.array_split(order, len(lengths) / 32), lengths) > 2
    batches = epoch_batches(lengths, 32, np.random.default_rng(0))
    assert padding([piece for batch in batches for piece in within_budget(batch, lengths, 1024)], lengths) < 1.1
    assert padding(within_budget(order, lengths, 4096), lengths) < 1.03


@given(lengths=LENGTHS, budget=st.integers(1, 3000))
def test_pieces_hold_every_item_once_within_the_budget_longest_first(lengths, budget):
    pieces = within_budget(np.arange(len(lengths)), lengths, budget)
    order = np.concatenate(pieces)
    assert sorted(order) == list(range(len(lengths)))
    assert (np.diff(lengths[order]) <= 0).all()
    assert all(len(piece) == 1 or len(piece) * lengths[piece].max() <= budget for piece in pieces)


@given(lengths=st.lists(st.integers(1, 200), min_size=1, max_size=8).map(np.array), budget=st.integers(1, 800))
def test_cuts_cost_as_little_as_the_best_of_all_cuts(lengths, budget):
    order = np.argsort(-lengths, kind="stable")
    ways = [np.split(order, where) for n in range(len(order)) for where in combinations(range(1, len(order)), n)]
    fits = [way for way in ways if all(len(p) == 1 or len(p) * lengths[p].max() <= budget for p in way)]
    assert cost(within_budget(np.arange(len(lengths)), lengths, budget), lengths) == min(
        cost(way, lengths) for way in fits
    )


def test_no_items_make_no_batches():
    nothing = np.array([], dtype=np.int64)
    assert within_budget(nothing, nothing, 10) == []
    assert epoch_batches(nothing, 4, np.random.default_rng(0)) == []


def test_padding_goes_to_the_right():
    ids, mask = pad([[7, 8, 9], [5]], filler=0)
    assert ids.tolist() == [[7, 8, 9], [5, 0, 0]]
    assert mask.tolist() == [[1, 1, 1], [1, 0, 0]]


@given(st.lists(st.integers(1, 40), max_size=30), st.integers(1, 100))
def test_filled_pieces_hold_every_item_once_and_are_few(lengths, budget):
    sizes = np.array(lengths, dtype=np.int64)
    pieces = filled(np.arange(len(sizes)), sizes, budget)
    assert sorted(item for piece in pieces for item in piece) == list(range(len(sizes)))
    assert all(sizes[piece].sum() <= budget or len(piece) == 1 for piece in pieces)
    for one, following in pairwise(pieces):  # a piece ends only where the next item does not fit
        assert sizes[one].sum() + sizes[following[0]] > budget
