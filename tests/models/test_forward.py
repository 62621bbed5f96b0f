"""Batches, pooling: whatever the padding, only real tokens count."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from superalign.models._forward import batches, pad, pool_last, pool_mean

LENGTHS = st.lists(st.integers(1, 50), max_size=60)


@given(LENGTHS, st.integers(1, 200))
def test_batches_hold_every_text_once_within_the_budget(lengths: list[int], budget: int) -> None:
    made = list(batches(lengths, budget))
    assert sorted(index for batch in made for index in batch) == list(range(len(lengths)))
    for batch in made:
        padded = max(lengths[index] for index in batch) * len(batch)
        assert padded <= budget or len(batch) == 1


@given(LENGTHS, st.integers(1, 200))
def test_longest_texts_come_first(lengths: list[int], budget: int) -> None:
    order = [lengths[index] for batch in batches(lengths, budget) for index in batch]
    assert order == sorted(lengths, reverse=True)


def test_a_well_filled_batch_ends_where_the_length_changes() -> None:
    assert list(batches([4, 4, 3, 3], 32)) == [[0, 1], [2, 3]]
    assert list(batches([4, 3, 3, 2], 100)) == [[0, 1, 2, 3]]


def test_pad_fills_on_the_right_and_masks() -> None:
    ids, mask = pad([[5, 0], [7, 8, 9]], pad_id=1)
    assert ids.tolist() == [[5, 0, 1], [7, 8, 9]]
    assert mask.tolist() == [[1, 1, 0], [1, 1, 1]]


@pytest.mark.parametrize("side", ["left", "right"])
def test_pooling_reads_only_real_tokens_on_either_side(side: str) -> None:
    import torch

    torch.manual_seed(0)
    texts = [torch.randn(n, 6) for n in (1, 3, 5)]
    hidden = torch.full((3, 5, 6), 1e4)
    mask = torch.zeros(3, 5, dtype=torch.long)
    for row, text in enumerate(texts):
        place = slice(5 - len(text), 5) if side == "left" else slice(0, len(text))
        hidden[row, place], mask[row, place] = text, 1
    assert torch.equal(pool_last(hidden, mask), torch.stack([text[-1] for text in texts]))
    assert torch.allclose(pool_mean(hidden, mask), torch.stack([text.mean(0) for text in texts]), atol=1e-5)
