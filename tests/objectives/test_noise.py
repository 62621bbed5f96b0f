"""Objectives that know the labels' noise: what they recover, how they are told, and what they refuse."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from losses import gradient, loss, orders, random_batch, scores, symmetric

from superalign.errors import ConfigError
from superalign.objective import Objective, objectives

UNEVEN = np.array([[0.8, 0.15, 0.05], [0.1, 0.7, 0.2], [0.0, 0.3, 0.7]], dtype=np.float32)
RATES = st.floats(0.0, 0.45)


def told(name: str, transition: np.ndarray) -> Objective:
    return objectives.build(name).with_noise(transition.astype(np.float32))


def exact(transition: np.ndarray) -> torch.Tensor:
    return torch.from_numpy(transition.astype(np.float64) / transition.astype(np.float64).sum(1, keepdims=True))


@given(st.integers(0, 10_000), RATES)
def test_rdpo_is_the_clean_loss_on_average_over_flips(seed, rate):
    logits, clean = random_batch(seed, k=2)
    flipped = clean.flip(-1)
    robust = objectives.build(f"rdpo,rate={rate}")
    mean = (1 - rate) * robust(logits, clean, progress=0.5, context=None) + rate * robust(
        logits, flipped, progress=0.5, context=None
    )
    torch.testing.assert_close(mean, loss("dpo", logits, clean))


@given(st.integers(0, 10_000))
def test_backward_is_the_clean_loss_on_average_over_the_noise(seed):
    logits, clean = random_batch(seed)
    noisy = clean @ exact(UNEVEN)  # the expectation over the label that is given
    backward = told("backward", UNEVEN)(logits, noisy, progress=0.5, context=None)
    torch.testing.assert_close(backward, loss("naive", logits, clean), rtol=1e-5, atol=1e-6)


@given(st.integers(0, 10_000), RATES)
def test_rdpo_is_backward_for_two_classes(seed, rate):
    logits, labels = random_batch(seed, k=2)
    torch.testing.assert_close(loss(f"rdpo,rate={rate}", logits, labels), loss(f"backward,rate={rate}", logits, labels))


@given(st.integers(0, 10_000))
def test_forward_is_lowest_at_the_clean_posterior(seed):
    logits, _ = random_batch(seed)
    clean = logits.softmax(-1)
    noisy = clean @ exact(UNEVEN)
    forward = told("forward", UNEVEN)
    at = logits.clone().requires_grad_()
    value = forward(at, noisy, progress=0.5, context=None)
    (slope,) = torch.autograd.grad(value.sum(), at)
    assert slope.abs().max() < 1e-6
    other, _ = random_batch(seed + 1)
    assert (forward(other, noisy, progress=0.5, context=None) > value).all()
    assert (loss("naive", logits, noisy) > loss("naive", noisy.log(), noisy)).all()  # where naive would go instead


@given(st.floats(0.01, 0.49), st.integers(2, 6))
def test_the_optimum_of_cdpo_leaves_the_rate_of_doubt(rate, k):
    optimum = torch.from_numpy(symmetric(rate, k).astype(np.float64))
    slope = gradient(f"cdpo,rate={rate}", optimum.log(), torch.eye(k, dtype=torch.float64))
    assert slope.abs().max() < 1e-7
    z = torch.tensor([np.log((1 - rate) / rate)])
    assert gradient(f"cdpo,rate={rate}", scores(z), orders(torch.ones(1))).abs().max() < 1e-6


@given(st.integers(0, 10_000), st.floats(0.51, 0.99))
def test_rpo_em_has_the_gradient_of_forward(seed, eta):
    logits, labels = random_batch(seed, k=2)
    labels = labels.round()
    torch.testing.assert_close(
        gradient(f"rpo-em,eta={eta}", logits, labels), gradient({"name": "forward", "rate": 1 - eta}, logits, labels)
    )


@pytest.mark.parametrize("name", ["forward", "backward", "rdpo"])
class TestKnowing:
    def test_wants_the_noise_until_it_knows_it(self, name):
        asking = objectives.build(name)
        assert asking.wants_noise
        assert not asking.with_noise(symmetric(0.2, 2)).wants_noise
        assert not objectives.build(f"{name},rate=0.1").wants_noise

    def test_what_the_user_said_stays(self, name):
        given_rate = objectives.build(f"{name},rate=0.1")
        assert given_rate.with_noise(symmetric(0.3, 2)) == given_rate

    def test_being_told_equals_being_given(self, name):
        logits, labels = random_batch(0, k=2)
        known = told(name, symmetric(0.3, 2))(logits, labels, progress=0.5, context=None)
        torch.testing.assert_close(known, loss(f"{name},rate=0.3", logits, labels), rtol=1e-5, atol=1e-6)

    def test_does_not_guess(self, name):
        with pytest.raises(ConfigError, match="must know"):
            objectives.build(name)(*random_batch(0, k=2), progress=0.5, context=None)

    def test_refuses_a_rate_that_loses_the_labels_sense(self, name):
        for rate in ("0.5", "0.7", "-0.1"):
            with pytest.raises(ConfigError, match="rate"):
                objectives.build(f"{name},rate={rate}")

    def test_what_it_was_told_is_written_and_read_back(self, name):
        known = told(name, symmetric(0.3, 2))
        assert objectives.build(known.spec()) == known

    def test_two_noises_are_two_objectives(self, name):
        assert str(told(name, symmetric(0.1, 2))) != str(told(name, symmetric(0.2, 2)))

    def test_no_noise_is_naive(self, name):
        logits, labels = random_batch(1, k=2)
        torch.testing.assert_close(loss(f"{name},rate=0", logits, labels), loss("naive", logits, labels))
        none = told(name, np.eye(2))(80 * logits, labels, progress=0.5, context=None)
        torch.testing.assert_close(none, loss("naive", 80 * logits, labels))


def test_rdpo_refuses_an_estimate_of_half_or_more():
    with pytest.raises(ConfigError, match="55%"):
        told("rdpo", symmetric(0.55, 2))


@pytest.mark.parametrize("name", ["forward", "backward"])
@pytest.mark.parametrize(
    ("transition", "why"),
    [
        ([[0.5, 0.5]], "square"),
        ([[0.9, 0.3], [0.1, 0.9]], "summing to 1"),
        ([[1.2, -0.2], [0.1, 0.9]], "summing to 1"),
        ([[float("nan"), 0.1], [0.1, 0.9]], "summing to 1"),
    ],
)
def test_a_transition_that_is_none_is_refused(name, transition, why):
    with pytest.raises(ConfigError, match=why):
        objectives.build({"name": name, "transition": transition})


def test_rate_and_transition_contradict_each_other():
    with pytest.raises(ConfigError, match="not both"):
        objectives.build({"name": "forward", "rate": 0.1, "transition": [[0.9, 0.1], [0.1, 0.9]]})


def test_the_noise_of_other_classes_is_refused():
    with pytest.raises(ConfigError, match="2 classes, not of 3"):
        told("forward", symmetric(0.1, 2))(*random_batch(0, k=3), progress=0.5, context=None)


def test_backward_refuses_a_noise_that_cannot_be_undone():
    with pytest.raises(ConfigError, match="no inverse"):
        told("backward", np.array([[0.5, 0.5], [0.5, 0.5]]))


def test_a_label_the_noise_never_gives_teaches_forward_nothing():
    never = np.array([[0.9, 0.1, 0.0], [0.2, 0.8, 0.0], [0.5, 0.5, 0.0]])
    logits, _ = random_batch(0)
    logits.requires_grad_()
    label = torch.tensor([0.0, 0.0, 1.0]).double().expand_as(logits)
    value = told("forward", never)(logits, label, progress=0.5, context=None)
    (slope,) = torch.autograd.grad(value.sum(), logits)
    assert torch.isfinite(value).all()
    assert slope.abs().max() < 1e-12


@pytest.mark.parametrize("spec", ["cdpo,rate=0.5", "rpo-em,eta=0.5", "rpo-em,eta=1", "gce,q=0", "dr-dpo,beta=0"])
def test_values_at_which_a_loss_is_undefined_are_refused(spec):
    name, value = spec.split(",")
    with pytest.raises(ConfigError, match=value.split("=")[0]):
        objectives.build(spec)
    assert objectives.build(name)
