"""Exact neighbours against sorting all pairs, in any chunk size; votes against plain loops."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from superalign import neighbours
from superalign.errors import DataError
from superalign.neighbours import nearest, standardised, votes


@settings(max_examples=40)
@given(st.integers(3, 40), st.integers(1, 12), st.integers(0, 500), st.booleans())
def test_neighbours_are_those_of_all_pairs(n, k, seed, pairwise):
    rng = np.random.default_rng(seed)
    x = standardised(rng.normal(size=(n, 6)).astype(np.float32), centre=not pairwise)
    groups = np.array([f"g{g}" for g in rng.integers(0, n, n)])
    present = rng.random(n) < 0.8
    found = nearest(x, k, groups=groups, present=present, pairwise=pairwise)
    for i in range(n):
        others = [j for j in range(n) if groups[j] != groups[i] and present[j]]
        score = {j: abs(x[i] @ x[j]) if pairwise else x[i] @ x[j] for j in others}
        wanted = sorted(others, key=lambda j: -score[j])[: found.items.shape[1]]
        mine = [j for j in found.items[i].tolist() if j >= 0]
        np.testing.assert_allclose([score[j] for j in mine], [score[j] for j in wanted], atol=1e-5)
        np.testing.assert_allclose(found.similarity[i, : len(mine)], [x[i] @ x[j] for j in mine], atol=1e-5)


def test_chunks_change_nothing(monkeypatch):
    x = standardised(np.random.default_rng(0).normal(size=(50, 8)).astype(np.float32))
    whole = nearest(x, 7)
    monkeypatch.setattr(neighbours, "CELLS", 120)
    np.testing.assert_array_equal(nearest(x, 7).items, whole.items)


def test_votes_are_means_and_even_where_nobody_votes():
    x = standardised(np.random.default_rng(0).normal(size=(20, 4)).astype(np.float32), centre=False)
    probs = np.random.default_rng(1).dirichlet([1, 1], 20).astype(np.float32)
    found = nearest(x, 5, pairwise=True)
    said = votes(found, probs, pairwise=True)
    for i in range(20):
        turned = [
            probs[j][::-1] if s < 0 else probs[j] for j, s in zip(found.items[i], found.similarity[i], strict=True)
        ]
        np.testing.assert_allclose(said[i], np.mean(turned, axis=0), atol=1e-6)
    alone = nearest(x, 5, groups=np.array(["same"] * 20))
    assert (alone.items == -1).all()
    np.testing.assert_allclose(votes(alone, probs), 0.5)


def test_constant_columns_have_no_say_and_one_item_has_no_neighbour():
    x = np.random.default_rng(0).normal(size=(9, 3)).astype(np.float32)
    x[:, 1] = 7
    rows = standardised(x)
    assert (rows[:, 1] == 0).all()
    np.testing.assert_allclose(np.linalg.norm(rows, axis=1), 1, atol=1e-6)
    with pytest.raises(DataError, match="no neighbours"):
        nearest(rows[:1], 3)
