"""The figures behind `recommend`, each against an independent computation."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import brier_score_loss, cohen_kappa_score

from superalign.metric import Bounds
from superalign.recommendation import error_similarity, misfit, retrained, sharpened, squared_error, widened


def two(p: np.ndarray) -> np.ndarray:
    return np.stack([1 - p, p], axis=1)


def drawn(rng: np.random.Generator, n: int, k: int) -> np.ndarray:
    return rng.dirichlet(np.ones(k), n)


def test_squared_error_of_two_classes_is_the_brier_score() -> None:
    rng = np.random.default_rng(0)
    p, truth = rng.random(50), rng.integers(0, 2, 50)
    assert squared_error(two(p), truth) == pytest.approx(brier_score_loss(truth, p))
    assert misfit(two(p), two(p)) == 0


@given(st.integers(0, 1000))
def test_the_best_fit_to_a_supervisor_gains_its_misfit(seed: int) -> None:
    """Where a linear student could say the truth, err(student) = err(supervisor) - misfit exactly: Pythagoras."""
    rng = np.random.default_rng(seed)
    space = rng.normal(size=(40, 5))
    truth, weak = space @ rng.normal(size=5), rng.normal(size=40)
    student = space @ np.linalg.lstsq(space, weak, rcond=None)[0]
    error_of_weak, error = (misfit(two(said), two(truth)) for said in (weak, student))
    assert error == pytest.approx(error_of_weak - misfit(two(student), two(weak)))


def test_similarity_of_hard_answers_of_two_classes_is_kappa_of_being_right() -> None:
    rng = np.random.default_rng(1)
    truth = rng.integers(0, 2, 200)
    a, b = (np.where(rng.random(200) < right, truth, 1 - truth) for right in (0.8, 0.7))
    b[:60] = a[:60]
    expected = cohen_kappa_score(a == truth, b == truth)
    assert error_similarity(np.eye(2)[a], np.eye(2)[b], truth) == pytest.approx(expected)


def test_similarity_of_soft_answers_by_its_definition() -> None:
    rng = np.random.default_rng(2)
    a, b, truth = drawn(rng, 30, 4), drawn(rng, 30, 4), rng.integers(0, 4, 30)
    seen = sum(a[i, c] * b[i, c] for i in range(30) for c in range(4)) / 30
    p, q = (sum(one[i, truth[i]] for i in range(30)) / 30 for one in (a, b))
    chance = p * q + (1 - p) * (1 - q) / 3
    assert error_similarity(a, b, truth) == pytest.approx((seen - chance) / (1 - chance))


def test_similarity_of_one_model_with_itself_and_of_independent_ones() -> None:
    rng = np.random.default_rng(3)
    truth = rng.integers(0, 3, 20_000)
    a, b = (np.where(rng.random(20_000) < 0.7, truth, (truth + rng.integers(1, 3, 20_000)) % 3) for _ in range(2))
    assert error_similarity(np.eye(3)[a], np.eye(3)[a], truth) == pytest.approx(1)
    assert abs(error_similarity(np.eye(3)[a], np.eye(3)[b], truth) or 1) < 0.03
    assert error_similarity(np.eye(3)[truth], np.eye(3)[truth], truth) is None


def test_agreement_that_tells_nothing_leaves_the_plain_share() -> None:
    correct, agrees = np.array([1, 1, 1, 0] * 10, bool), np.ones(40, bool)
    found = sharpened(correct, agrees, 0.4, 100, np.arange(40))
    assert found.bounds.value == pytest.approx(0.75)
    assert found.bounds.low < 0.75 < found.bounds.high


def test_the_correction_is_a_regression_on_agreement() -> None:
    rng = np.random.default_rng(4)
    agrees = rng.random(80) < 0.6
    correct = np.where(agrees, rng.random(80) < 0.9, rng.random(80) < 0.3)
    slope = np.polyfit(agrees.astype(float), correct.astype(float), 1)[0] / (1 + 80 / 400)
    found = sharpened(correct, agrees, 0.7, 400, np.arange(80))
    assert found.bounds.value == pytest.approx(correct.mean() - slope * (agrees.mean() - 0.7))
    assert found.values.mean() == pytest.approx(found.bounds.value)


def test_unlabelled_items_sharpen_without_bias_and_the_interval_covers() -> None:
    rng = np.random.default_rng(5)
    plain, sharp, inside = [], [], 0
    for _ in range(400):
        agrees = rng.random(60 + 2000) < 0.6
        correct = np.where(agrees, rng.random(2060) < 0.95, rng.random(2060) < 0.15)
        found = sharpened(correct[:60], agrees[:60], agrees[60:].mean(), 2000, np.arange(60))
        plain.append(correct[:60].mean())
        sharp.append(found.bounds.value)
        inside += found.bounds.low <= 0.63 <= found.bounds.high
    assert np.mean(sharp) == pytest.approx(0.63, abs=3 * np.std(sharp) / 20)
    assert np.std(sharp) < 0.75 * np.std(plain)
    assert inside > 0.92 * 400


def test_where_everything_is_right_there_is_a_width() -> None:
    found = sharpened(np.ones(30, bool), np.arange(30) % 3 > 0, 0.6, 50, np.arange(30)).bounds
    assert found.low < 0.95
    assert found.value == found.high == 1


def test_intervals_of_cross_fitted_figures_are_wider() -> None:
    assert retrained(5) == pytest.approx((1 / 5 + 1 / 4) / (1 / 5))
    assert widened(Bounds(0.1, 0.0, 0.3), 5) == pytest.approx((0.1, 0.1 - 0.1 * 1.5, 0.1 + 0.2 * 1.5))
    correct, agrees = np.arange(100) % 4 > 0, np.arange(100) % 3 > 0
    plain, wide = (sharpened(correct, agrees, 0.6, 200, np.arange(100), factor).bounds for factor in (1, retrained(5)))
    assert plain.value == wide.value
    assert (wide.high - wide.low) / (plain.high - plain.low) == pytest.approx(1.5, abs=0.08)
