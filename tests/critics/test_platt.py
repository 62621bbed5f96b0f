"""The calibration curve against an independent fit, and what it must keep."""

from __future__ import annotations

import numpy as np
import pytest

from superalign.critics._platt import Platt, fit, log_odds


def drawn(n: int = 4000, slope: float = 0.4, shift: float = -0.7, seed: int = 0):
    """Log-odds that are too sure and off: the label follows sigmoid(slope z + shift)."""
    rng = np.random.default_rng(seed)
    z = rng.normal(0, 3, n)
    true = (rng.random(n) < 1 / (1 + np.exp(-(slope * z + shift)))).astype(float)
    return 1 / (1 + np.exp(-z)), true, np.ones(n)


def test_it_finds_the_curve_that_made_the_labels():
    found = fit(*drawn())
    assert found.slope == pytest.approx(0.4, abs=0.03)
    assert found.shift == pytest.approx(-0.7, abs=0.1)


def test_it_is_the_minimum_that_another_solver_finds():
    from scipy.optimize import minimize

    probs, true, weight = drawn(300)
    weight = np.random.default_rng(1).random(300)
    many = weight @ true, weight @ (1 - true)
    target = np.where(true == 1, (many[0] + 1) / (many[0] + 2), 1 / (many[1] + 2))
    z = np.log(probs / (1 - probs))

    def loss(at):
        p = 1 / (1 + np.exp(-(at[0] * z + at[1])))
        return -(weight * (target * np.log(p) + (1 - target) * np.log(1 - p))).sum()

    other = minimize(loss, [1.0, 0.0], method="Nelder-Mead", options={"xatol": 1e-8, "fatol": 1e-12}).x
    assert fit(probs, true, weight) == pytest.approx(other, abs=1e-5)


def test_of_preferences_swapping_the_responses_swaps_the_probabilities():
    probs, true, weight = drawn(500, shift=0.0)
    found = fit(probs, true, weight, shifted=False)
    swapped = fit(1 - probs, 1 - true, weight, shifted=False)
    assert found.shift == 0
    assert found.slope == pytest.approx(swapped.slope, rel=1e-9)
    assert found(probs) + found(1 - probs) == pytest.approx(1)


def test_labels_without_a_mistake_give_no_infinite_slope():
    probs = np.linspace(0.01, 0.99, 40)
    found = fit(probs, (probs > 0.5).astype(float), np.ones(40))
    assert np.isfinite(found).all()
    assert 0 < found.slope < 20
    assert found(probs).max() < 1


@pytest.mark.parametrize("p", [0.0, 1.0])
def test_certainty_is_not_infinite(p):
    assert np.isfinite(log_odds(np.array([p]))).all()
    assert np.isfinite(Platt(3, 1)(np.array([p]))).all()


def test_useless_probabilities_become_the_share_of_the_labels():
    true = np.r_[np.ones(300), np.zeros(700)]
    found = fit(np.full(1000, 0.9), true, np.ones(1000))
    assert found(np.array([0.9])) == pytest.approx([0.3], abs=0.01)
