"""Objectives against closed forms written out again, finite differences, and the contract every one must keep."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from superalign.objective import objectives

NAMES = objectives.names()


def random_batch(seed: int, n: int = 12, k: int = 3) -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(seed)
    logits = torch.randn(n, k, generator=generator, dtype=torch.float64)
    return logits, torch.rand(n, k, generator=generator, dtype=torch.float64).softmax(-1)


def loss(name: str, logits: torch.Tensor, labels: torch.Tensor, progress: float = 0.5) -> torch.Tensor:
    return objectives.build(name)(logits, labels, progress=progress, context=None)


@pytest.mark.parametrize("name", NAMES)
class TestContract:
    def test_one_loss_an_item_and_leading_dimensions_are_independent(self, name):
        one, two = random_batch(0), random_batch(1)
        together = loss(name, torch.stack([one[0], two[0]]), torch.stack([one[1], two[1]]))
        torch.testing.assert_close(together[0], loss(name, *one))
        torch.testing.assert_close(together[1], loss(name, *two))

    def test_order_of_items_does_not_matter(self, name):
        logits, labels = random_batch(2)
        order = torch.randperm(len(logits), generator=torch.Generator().manual_seed(0))
        torch.testing.assert_close(loss(name, logits[order], labels[order]), loss(name, logits, labels)[order])

    def test_a_constant_added_to_the_logits_changes_nothing(self, name):
        logits, labels = random_batch(3)
        torch.testing.assert_close(loss(name, logits + 7, labels), loss(name, logits, labels))

    def test_the_context_of_the_whole_batch_makes_micro_batches_exact(self, name):
        objective = objectives.build(name)
        logits, labels = random_batch(4)
        context = objective.batch_context(logits.softmax(-1), labels)
        pieces = [
            objective(x, y, progress=0.5, context=context)
            for x, y in zip(logits.split(5), labels.split(5), strict=True)
        ]
        torch.testing.assert_close(torch.cat(pieces), loss(name, logits, labels))

    def test_names_its_source(self, name):
        assert objectives.get(name).source


@given(st.integers(0, 10_000))
def test_naive_is_soft_cross_entropy(seed):
    logits, labels = random_batch(seed)
    for row, (x, y) in enumerate(zip(logits.tolist(), labels.tolist(), strict=True)):
        norm = math.log(sum(math.exp(v) for v in x))
        expected = -sum(q * (v - norm) for q, v in zip(y, x, strict=True))
        assert loss("naive", logits, labels)[row].item() == pytest.approx(expected)


@settings(max_examples=60)
@given(st.integers(0, 10_000), st.floats(0, 1), st.integers(2, 40))
def test_logconf_with_two_classes_is_equation_one_of_the_paper(seed, progress, n):
    logits, labels = random_batch(seed, n=n, k=2)
    p, y = logits.softmax(-1).numpy()[:, 1], labels.numpy()[:, 1]
    positives = round(float(y.mean()) * n)
    hard = np.zeros(n)
    hard[np.argsort(-p)[:positives]] = 1  # the class prior of the weak labels decides how many exceed the threshold
    alpha = 0.5 * min(1, progress / 0.2)
    target = (1 - alpha) * y + alpha * hard
    expected = -(target * np.log(p) + (1 - target) * np.log(1 - p))
    np.testing.assert_allclose(loss("logconf", logits, labels, progress).numpy(), expected, rtol=1e-9)


def test_logconf_follows_the_schedule_of_the_paper():
    logits, labels = random_batch(5, n=30, k=2)
    at = {progress: loss("logconf", logits, labels, progress) for progress in (0.0, 0.1, 0.2, 0.9)}
    torch.testing.assert_close(at[0.0], loss("naive", logits, labels))
    torch.testing.assert_close(at[0.1], (at[0.0] + at[0.2]) / 2)
    torch.testing.assert_close(at[0.2], at[0.9])


def test_logconf_guesses_each_of_many_classes_about_as_often_as_the_labels_name_it():
    generator = torch.Generator().manual_seed(0)
    logits = torch.randn(3000, 4, generator=generator) + torch.tensor([2.0, 0.0, 0.0, -1.0])
    prior = torch.tensor([0.1, 0.2, 0.3, 0.4])
    labels = prior.expand(3000, 4)
    thresholds = objectives.build("logconf").batch_context(logits.softmax(-1), labels)
    guessed = torch.bincount((logits.softmax(-1) - thresholds).argmax(-1), minlength=4) / 3000
    plain = torch.bincount(logits.argmax(-1), minlength=4) / 3000
    assert (guessed - prior).abs().sum() < 0.35 * (plain - prior).abs().sum()


@pytest.mark.parametrize("name", NAMES)
def test_gradients_equal_finite_differences(name):
    logits, labels = random_batch(6, n=6, k=2)
    objective = objectives.build(name)
    context = objective.batch_context(logits.softmax(-1), labels)
    logits.requires_grad_()
    objective(logits, labels, progress=0.5, context=context).sum().backward()
    step = 1e-6
    for i in range(6):
        for j in range(2):
            shift = torch.zeros_like(logits)
            shift[i, j] = step
            with torch.no_grad():
                up, down = (
                    objective(logits + s * shift, labels, progress=0.5, context=context).sum().item() for s in (1, -1)
                )
            assert logits.grad[i, j].item() == pytest.approx((up - down) / (2 * step), abs=1e-6)


def test_logconf_gradient_does_not_flow_through_its_own_guess():
    logits, labels = random_batch(7, n=8, k=2)
    logits.requires_grad_()
    loss("logconf", logits, labels, 1.0).sum().backward()
    p = logits.detach().softmax(-1)
    guess = (p - objectives.build("logconf").batch_context(p, labels)).argmax(-1)
    target = 0.5 * labels + 0.5 * torch.nn.functional.one_hot(guess, 2)
    torch.testing.assert_close(logits.grad, p - target)
