"""Every objective against its formula written again in numpy, and the gradients the formulas imply."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from losses import NAMES, PAIRED, RATE, gradient, hard_batch, loss, orders, random_batch, scores, symmetric

from superalign.objective import objectives


def sigma(z: float) -> float:
    return 1 / (1 + math.exp(-z))


def onehots(y: np.ndarray) -> list[tuple[float, np.ndarray]]:
    """Each label that could have been given, with its probability."""
    return [(float(q), row) for q, row in zip(y, np.eye(len(y)), strict=True)]


def ce(p: np.ndarray, y: np.ndarray) -> float:
    return -sum(b * math.log(a) for a, b in zip(p, y, strict=True))


def expected(rule: Any) -> Any:
    """The expectation over the given label of a rule for hard labels, rule(p, index)."""
    return lambda p, y: sum(q * rule(p, int(hard.argmax())) for q, hard in onehots(y))


def product(p: np.ndarray, y: np.ndarray) -> float:
    both = p * y
    return ce(p, both / both.sum())


def reverse_ce(p: np.ndarray, y: np.ndarray, least: float) -> float:
    return -sum(a * max(math.log(b) if b > 0 else -math.inf, least) for a, b in zip(p, y, strict=True))


def nce(p: np.ndarray, j: int) -> float:
    return math.log(p[j]) / sum(math.log(a) for a in p)


def jensen_shannon(p: np.ndarray, y: np.ndarray) -> float:
    m = (p + y) / 2
    return sum(0.5 * b * math.log(b / c) for b, c in zip(y, m, strict=True) if b > 0) + sum(
        0.5 * a * math.log(a / c) for a, c in zip(p, m, strict=True)
    )


def kl(a: np.ndarray, b: np.ndarray) -> float:
    return sum(x * math.log(x / y) for x, y in zip(a, b, strict=True) if x > 0)


def window(p: np.ndarray, y: np.ndarray, of: str, keep: str, radius: float) -> float:
    inside = max(p if of == "learner" else y) - 1 / len(p) <= radius
    return ce(p, y) if inside == (keep == "uncertain") else 0.0


def guess(p: np.ndarray) -> np.ndarray:
    return np.eye(len(p))[p.argmax()]


ANY_K = {
    "naive": ce,
    "product": product,
    "product,alpha=2,beta=0.5": lambda p, y: ce(p, p**0.5 * y**2 / (p**0.5 * y**2).sum()),
    "entropy": lambda p, y: 0.5 * ce(p, y) + 0.5 * ce(p, p),
    "gce": expected(lambda p, j: (1 - p[j] ** 0.7) / 0.7),
    "gce,q=0.3": expected(lambda p, j: (1 - p[j] ** 0.3) / 0.3),
    "truncated-gce": expected(lambda p, j: (1 - max(p[j], 0.5) ** 0.7) / 0.7),
    "truncated-gce,k=0.2,q=0.4": expected(lambda p, j: (1 - max(p[j], 0.2) ** 0.4) / 0.4),
    "sce": lambda p, y: 0.1 * ce(p, y) + reverse_ce(p, y, -4),
    "sce,alpha=6,beta=0.1,log_zero=-9.2": lambda p, y: 6 * ce(p, y) + 0.1 * reverse_ce(p, y, -9.2),
    "apl": lambda p, y: expected(nce)(p, y) + reverse_ce(p, y, -4),
    "apl,passive=mae,alpha=10,beta=0.1": expected(
        lambda p, j: 10 * nce(p, j) + 0.1 * np.abs(p - np.eye(len(p))[j]).sum()
    ),
    "mae": expected(lambda p, j: np.abs(p - np.eye(len(p))[j]).sum()),
    "bootstrap": lambda p, y: ce(p, 0.95 * y + 0.05 * p),
    "bootstrap,kind=hard": lambda p, y: ce(p, 0.8 * y + 0.2 * guess(p)),
    "bootstrap,kind=hard,beta=0.6": lambda p, y: ce(p, 0.6 * y + 0.4 * guess(p)),
    "forward": expected(lambda p, j: -math.log(symmetric(RATE, len(p))[:, j].astype(float) @ p)),
    "backward": expected(lambda p, j: -float(np.linalg.inv(symmetric(RATE, len(p)).astype(float))[j] @ np.log(p))),
    "kl": lambda p, y: kl(y, p),
    "reverse-kl": lambda p, y: kl(p, np.maximum(y, 0.01)),
    "reverse-ce": lambda p, y: reverse_ce(p, y, math.log(0.01)),
    "reverse-ce,clip=0.2": lambda p, y: reverse_ce(p, y, math.log(0.2)),
    "jensen-shannon": jensen_shannon,
    "cdpo": lambda p, y: ce(p, y @ symmetric(0.1, len(p)).astype(float)),
    "cdpo,rate=0.3": lambda p, y: ce(p, y @ symmetric(0.3, len(p)).astype(float)),
    "confidence": lambda p, y: (max(y) - 1 / len(y)) / (1 - 1 / len(y)) * ce(p, guess(y)),
    "confidence,hard=false": lambda p, y: (max(y) - 1 / len(y)) / (1 - 1 / len(y)) * ce(p, y),
    "window": lambda p, y: window(p, y, "learner", "uncertain", 0.15),
    "window,keep=confident": lambda p, y: window(p, y, "learner", "confident", 0.15),
    "window,of=supervisor,keep=confident,radius=0.25": lambda p, y: window(p, y, "supervisor", "confident", 0.25),
    "window,of=supervisor,radius=0.05": lambda p, y: window(p, y, "supervisor", "uncertain", 0.05),
}


def rpo(z: float, eta: float) -> float:
    p = sigma(z)
    w = eta * p / (eta * p + (1 - eta) * (1 - p))
    return -w * math.log(p) - (1 - w) * math.log(1 - p)


AHEAD = {
    "bt": lambda z: -math.log(sigma(z)),
    "dpo": lambda z: -math.log(sigma(z)),
    "margin": lambda z: -math.log(sigma(z - 1)),
    "margin,margin=0.4": lambda z: -math.log(sigma(z - 0.4)),
    "cdpo": lambda z: -0.9 * math.log(sigma(z)) - 0.1 * math.log(sigma(-z)),
    "rdpo": lambda z: (-(1 - RATE) * math.log(sigma(z)) + RATE * math.log(sigma(-z))) / (1 - 2 * RATE),
    "ipo": lambda z: (z - 0.5) ** 2,
    "ipo,tau=0.1": lambda z: (z - 5) ** 2,
    "hinge": lambda z: max(0, 1 - z),
    "ropo": lambda z: 4 * 14 / 225 * -math.log(sigma(z)) + 4 * 196 / 225 * sigma(-z),
    "ropo,alpha=2": lambda z: 8 / 9 * -math.log(sigma(z)) + 16 / 9 * sigma(-z),
    "holder": lambda z: -3 * sigma(z) ** 2 + 2 * sigma(z) ** 3,
    "holder,gamma=0.7": lambda z: -1.7 * sigma(z) ** 0.7 + 0.7 * sigma(z) ** 1.7,
    "rpo-em": lambda z: rpo(z, 0.9),
    "rpo-em,eta=0.6": lambda z: rpo(z, 0.6),
}


def test_every_objective_has_a_closed_form():
    elsewhere = {"logconf", "dr-dpo"}  # of the whole batch: tested with their contexts
    written = {objectives.build(spec).name for spec in (*ANY_K, *AHEAD)}
    assert written | elsewhere == set(NAMES)


@pytest.mark.parametrize("spec", ANY_K)
@settings(max_examples=25)
@given(st.integers(0, 10_000), st.integers(2, 5), st.booleans())
def test_point_wise_losses_are_their_formulas(spec, seed, k, hard):
    logits, labels = (hard_batch if hard else random_batch)(seed, n=6, k=k)
    rows = zip(logits.softmax(-1).numpy(), labels.numpy(), strict=True)
    np.testing.assert_allclose(
        loss(spec, logits, labels).numpy(), [ANY_K[spec](p, y) for p, y in rows], rtol=1e-6, atol=1e-7
    )


@pytest.mark.parametrize("spec", AHEAD)
@settings(max_examples=25)
@given(st.lists(st.tuples(st.floats(-6, 6), st.floats(0, 1)), min_size=1, max_size=6))
def test_pair_losses_are_their_formulas(spec, pairs):
    z, q = torch.tensor(pairs, dtype=torch.float64).T
    wanted = [b * AHEAD[spec](a) + (1 - b) * AHEAD[spec](-a) for a, b in pairs]
    np.testing.assert_allclose(loss(spec, scores(z), orders(q)).numpy(), wanted, rtol=1e-6, atol=1e-7)


def test_margin_holds_the_scores_near_zero():
    logits, labels = random_batch(0, k=2)
    extra = loss("margin,center=0.01", logits, labels) - loss("margin", logits, labels)
    torch.testing.assert_close(extra, 0.01 * (logits[:, 0] + logits[:, 1]) ** 2)


# What a hard label pulls with: -dl/dz, z = logit of the given label with the others held, s = 1 - p_y.
POINTWISE_PULL = {
    "naive": lambda p: 1 - p,
    "kl": lambda p: 1 - p,
    "gce": lambda p: p**0.7 * (1 - p),
    "gce,q=0.2": lambda p: p**0.2 * (1 - p),
    "mae": lambda p: 2 * p * (1 - p),
    "sce": lambda p: 0.1 * (1 - p) + 4 * p * (1 - p),
    "entropy": lambda p: 0.5 * (1 - p),
    "product": lambda p: 1 - p,
    "confidence": lambda p: 1 - p,
}
PAIR_PULL = {
    "dpo": lambda s: s,
    "cdpo": lambda s: s - 0.1,
    "rdpo": lambda s: s + RATE / (1 - 2 * RATE),
    "ipo": lambda s: 2 * (0.5 - torch.log((1 - s) / s)),
    "hinge": lambda s: (torch.log((1 - s) / s) < 1).double(),
    "margin": lambda s: torch.sigmoid(1 - torch.log((1 - s) / s)),
    "ropo": lambda s: 56 / 225 * s * (1 + 14 * (1 - s)),
    "ropo,alpha=3": lambda s: 12 / 16 * s * (1 + 3 * (1 - s)),
    "holder": lambda s: 6 * (1 - s) ** 2 * s**2,
    "holder,gamma=0.5": lambda s: 0.75 * (1 - s) ** 0.5 * s**2,
    "rpo-em": lambda s: 0.9 * (1 - s) / (0.9 * (1 - s) + 0.1 * s) - (1 - s),
}


@pytest.mark.parametrize("spec", POINTWISE_PULL)
@given(seed=st.integers(0, 10_000), k=st.integers(2, 5))
def test_how_much_a_label_pulls(spec, seed, k):
    logits, labels = hard_batch(seed, k=k)
    p = (logits.softmax(-1) * labels).sum(-1)
    pull = -(gradient(spec, logits, labels) * labels).sum(-1)
    torch.testing.assert_close(pull, POINTWISE_PULL[spec](p))


@pytest.mark.parametrize("spec", PAIR_PULL)
@given(st.lists(st.floats(-8, 8), min_size=1, max_size=8))
def test_how_much_a_preference_pulls(spec, gaps):
    z = torch.tensor(gaps, dtype=torch.float64)
    z = torch.where((z.abs() - 1).abs() < 1e-6, z + 0.01, z)  # not at the hinge's corner
    pull = gradient(spec, scores(z), orders(torch.ones_like(z)))
    torch.testing.assert_close(-pull[:, 1], PAIR_PULL[spec](torch.sigmoid(-z)), rtol=1e-6, atol=1e-8)
    torch.testing.assert_close(pull[:, 0], -pull[:, 1])


@pytest.mark.parametrize("spec", [*PAIRED, "bt", "cdpo"])
@given(st.integers(0, 10_000))
def test_swapping_responses_and_labels_changes_nothing(spec, seed):
    logits, labels = random_batch(seed, k=2)
    torch.testing.assert_close(loss(spec, logits.flip(-1), labels.flip(-1)), loss(spec, logits, labels))


LINEAR = ["naive", "gce", "truncated-gce", "mae", "forward", "backward", "cdpo", "bootstrap", "entropy"]


@pytest.mark.parametrize("spec", [*LINEAR, *(name for name in PAIRED if name != "dr-dpo"), "apl,passive=mae"])
@given(st.integers(0, 10_000))
def test_a_soft_label_is_the_expectation_over_the_given_label(spec, seed):
    k = 2 if spec in PAIRED else 4
    logits, labels = random_batch(seed, k=k)
    each = [loss(spec, logits, torch.eye(k, dtype=torch.float64)[j].expand_as(labels)) for j in range(k)]
    torch.testing.assert_close((labels * torch.stack(each, -1)).sum(-1), loss(spec, logits, labels))


def test_product_and_entropy_hold_their_targets_still():
    logits, labels = random_batch(1)
    p = logits.softmax(-1)
    target = p * labels / (p * labels).sum(-1, keepdim=True)
    torch.testing.assert_close(gradient("product", logits, labels), p - target)
    torch.testing.assert_close(gradient("entropy", logits, labels, progress=0.1), 0.75 * (p - labels))


def test_soft_bootstrap_lowers_the_entropy_beyond_the_labels_pull():
    logits, labels = random_batch(2)
    p = logits.softmax(-1)
    entropy = -(p * p.log()).sum(-1, keepdim=True)
    penalty = -p * (p.log() + entropy)  # gradient of the entropy in the logits
    torch.testing.assert_close(gradient("bootstrap,beta=0.7", logits, labels), 0.7 * (p - labels) + 0.3 * penalty)


def test_gce_lies_between_cross_entropy_and_absolute_error():
    logits, labels = random_batch(3)
    torch.testing.assert_close(loss("gce,q=1e-7", logits, labels), loss("naive", logits, labels), rtol=1e-5, atol=1e-6)
    torch.testing.assert_close(2 * loss("gce,q=1", logits, labels), loss("mae", logits, labels))


def test_truncated_gce_is_flat_where_the_learner_rejects_the_label():
    z = torch.tensor([-3.0, -0.5, -1e-3, 1e-3, 0.5, 3.0], dtype=torch.float64)
    logits, labels = scores(z), orders(torch.ones_like(z))
    late, early = (gradient("truncated-gce", logits, labels, progress) for progress in (0.5, 0.2))
    assert (late[:3] == 0).all()
    torch.testing.assert_close(late[3:], early[3:])
    torch.testing.assert_close(early, gradient("gce", logits, labels))
    torch.testing.assert_close(
        loss("truncated-gce", logits, labels)[:3], torch.full((3,), (1 - 0.5**0.7) / 0.7, dtype=torch.float64)
    )


def test_entropy_follows_its_schedule():
    logits, labels = random_batch(4)
    at = {progress: loss("entropy", logits, labels, progress) for progress in (0.0, 0.1, 0.2, 0.9)}
    torch.testing.assert_close(at[0.0], loss("naive", logits, labels))
    torch.testing.assert_close(at[0.1], (at[0.0] + at[0.2]) / 2)
    torch.testing.assert_close(at[0.2], at[0.9])


def test_kl_and_jensen_shannon_are_zero_only_where_the_learner_agrees():
    logits, labels = random_batch(5)
    for name in ("kl", "jensen-shannon"):
        assert loss(name, labels.log(), labels).abs().max() < 1e-12
        assert (loss(name, logits, labels) > 1e-4).all()
    far = torch.tensor([[80.0, -80.0]], dtype=torch.float64)
    assert loss("jensen-shannon", far, torch.tensor([[0.0, 1.0]]).double()).item() == pytest.approx(math.log(2))


def test_holder_redescends_where_dpo_pulls_hardest():
    z = torch.tensor([-12.0, -1.0, 12.0], dtype=torch.float64)
    label = orders(torch.ones(3, dtype=torch.float64))
    holder, dpo = (-gradient(name, scores(z), label)[:, 1] for name in ("holder", "dpo"))
    assert holder[0] < 1e-8 < holder[1]
    assert holder[2] < 1e-8
    assert dpo[0] > 0.99


@given(st.floats(1.01, 60))
def test_the_most_a_ropo_pair_pulls_is_one(alpha):
    z = torch.linspace(-12, 12, 4001, dtype=torch.float64)
    pull = -gradient(f"ropo,alpha={alpha}", scores(z), orders(torch.ones_like(z)))[:, 1]
    peak = (1 + alpha) / (2 * alpha)
    assert pull.max().item() == pytest.approx(1, abs=1e-4)
    assert torch.sigmoid(-z)[pull.argmax()].item() == pytest.approx(peak, abs=0.02)
