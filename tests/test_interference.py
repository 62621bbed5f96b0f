"""Measures of interference against whole matrices."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from superalign.interference import LARGE, between, changes, singular_interference
from superalign.merging.tensors import LowRank

SHAPES = {"q": (7, 9), "up": (11, 5)}


def expert(seed: int, rank: int = 3) -> dict[str, LowRank]:
    draw = np.random.default_rng(seed)
    return {
        name: LowRank(
            draw.standard_normal((m, rank)).astype(np.float32), draw.standard_normal((rank, n)).astype(np.float32)
        )
        for name, (m, n) in SHAPES.items()
    }


def whole(one: dict[str, LowRank]) -> dict[str, np.ndarray]:
    return {name: part.b.astype(np.float64) @ part.a for name, part in one.items()}


@given(st.integers(0, 50), st.integers(51, 99))
def test_two_experts_are_compared_as_whole_matrices_would_be(a: int, b: int) -> None:
    one, other = expert(a), expert(b)
    found = between(one, other)
    x, y = whole(one), whole(other)
    flat_x, flat_y = (np.concatenate([part.ravel() for part in each.values()]) for each in (x, y))
    assert found.cosine == pytest.approx(
        flat_x @ flat_y / np.linalg.norm(flat_x) / np.linalg.norm(flat_y), rel=1e-3, abs=1e-4
    )
    assert found.conflict == pytest.approx((flat_x * flat_y < 0).mean(), abs=1e-9)
    apart = tops = 0
    angles = []
    for name in SHAPES:
        count = max(1, int(LARGE * x[name].size))
        limits = [np.sort(np.abs(each[name]).ravel())[-count] for each in (x, y)]
        top = (np.abs(x[name]) >= limits[0] * (1 - 1e-6)) & (np.abs(y[name]) >= limits[1] * (1 - 1e-6))
        tops, apart = tops + top.sum(), apart + (top & (x[name] * y[name] < 0)).sum()
        for left, right in ((x[name], y[name]), (x[name].T, y[name].T)):
            p, q = (np.linalg.qr(each @ np.eye(each.shape[1])[:, :3])[0] for each in (left, right))
            angles.append((np.linalg.svd(p.T @ q)[1] ** 2).mean())
    assert found.conflict_large == pytest.approx(apart / tops if tops else 0.0)
    assert found.overlap == pytest.approx(np.mean(angles), abs=1e-3)


def test_what_is_alike_and_what_is_opposite() -> None:
    one = expert(1)
    opposite = {name: LowRank(-part.b, part.a) for name, part in one.items()}
    assert between(one, one) == pytest.approx((1.0, 0.0, 0.0, 1.0), abs=1e-5)
    assert between(one, opposite) == pytest.approx((-1.0, 1.0, 1.0, 1.0), abs=1e-5)
    nothing = {name: LowRank(0 * part.b, part.a) for name, part in one.items()}
    assert between(one, nothing) == (0.0, 0.0, 0.0, 0.0)
    assert between(one, {}) == (0.0, 0.0, 0.0, 0.0)


def test_singular_interference_is_that_of_the_formula_and_none_of_orthogonal_experts() -> None:
    first, second = expert(4), expert(5)
    found = []
    for name in SHAPES:
        u, s, v = [], [], []
        for each in (first, second):
            left, values, right = np.linalg.svd(whole(each)[name], full_matrices=False)
            u, s, v = [*u, left[:, :3]], [*s, values[:3]], [*v, right[:3].T]
        big_u, big_v, big_s = np.hstack(u), np.hstack(v), np.diag(np.concatenate(s))
        eye = np.eye(6)
        found.append(np.abs((big_u.T @ big_u - eye) @ big_s @ (big_v.T @ big_v - eye)).sum() / np.trace(big_s))
    assert singular_interference([first, second]) == pytest.approx(np.mean(found), rel=1e-3)
    eye = np.eye(6, dtype=np.float32)
    parts = [{"q": LowRank(eye[:, place : place + 2], eye[place : place + 2])} for place in (0, 2, 4)]
    assert singular_interference(parts) == pytest.approx(0.0, abs=1e-6)


def test_an_adapter_is_read_with_its_scale() -> None:
    a, b = np.ones((2, 3), np.float32), np.ones((4, 2), np.float32)
    (part,) = changes({"x.lora_A.weight": a, "x.lora_B.weight": b, "score.weight": a}, 2.0).values()
    np.testing.assert_array_equal(part.b @ part.a, 4 * np.ones((4, 3)))
