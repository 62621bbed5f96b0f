"""Every objective through the probe on a noisy problem: the steps settle and the head is better than chance."""

from __future__ import annotations

from functools import cache

import numpy as np
import pytest
from losses import NAMES, built

from superalign.fit import Lesson
from superalign.fits.probe import Probe, solve
from superalign.label import Labels
from superalign.objective import objectives

N, D, FLIPS = 300, 5, 0.2
GROUPS = np.array([str(i) for i in range(N)])


def problem(k: int, *, pairwise: bool, soft: bool, seed: int = 0) -> tuple[np.ndarray, np.ndarray, Labels]:
    """Features float32 [N, D], true classes [N], and labels of which FLIPS are wrong."""
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(N, D)).astype(np.float32)
    scores = x @ rng.normal(size=(D, k)) * 2
    truth = scores.argmax(1)
    if pairwise:  # no centring and no bias: the difference of the responses' features decides
        truth = (x @ rng.normal(size=D) > 0).astype(np.int64)
    said = np.where(rng.random(N) < FLIPS, (truth + rng.integers(1, k, N)) % k, truth)
    sure = rng.uniform(0.6, 0.95, N)[:, None] if soft else 1.0
    probs = np.where(np.eye(k)[said] > 0, sure, (1 - sure) / (k - 1)).astype(np.float32)
    return x, truth, Labels.soft(probs, "noisy")


def fitting(k: int) -> list[str]:
    """Name the objectives for k classes."""
    return [name for name in NAMES if objectives.get(name).classes in (None, k)]


@cache
def said(k: int, steps: int, *, pairwise: bool, soft: bool) -> dict[str, np.ndarray]:
    """Train one head an objective, all as one problem as a study does; return what each says of its items."""
    x, _, labels = problem(k, pairwise=pairwise, soft=soft)
    lessons = [Lesson(built(name), np.arange(N), labels, seed=0) for name in fitting(k)]
    heads = solve(Probe(steps=steps, l2=(0.01,)), x, GROUPS, lessons, pairwise=pairwise)
    return {name: head.predict(x) for name, head in zip(fitting(k), heads, strict=True)}


def mean_loss(name: str, p: np.ndarray, labels: Labels) -> float:
    """The objective, as in the last step, of what the head says."""
    import torch

    logits, given = torch.from_numpy(p).double().clamp(min=1e-12).log(), torch.from_numpy(labels.probs).double()
    objective = built(name)
    context = objective.batch_context(logits, given, torch.ones(N, dtype=torch.float64))
    return float(objective(logits, given, progress=1.0, context=context).mean())


KINDS = [(2, False), (4, False), (2, True)]
CASES = [
    pytest.param(name, k, pairwise, id=f"{name}-{'pairs' if pairwise else k}")
    for k, pairwise in KINDS
    for name in fitting(k)
]
MOVING = {"window", "product", "entropy"}  # their targets move, so their values need not fall
CORNERED = {"hinge": 0.05, "window": 0.1, "logconf": 0.05}  # their gradients jump at a corner or with a guess


@pytest.mark.parametrize("soft", [False, True], ids=["hard", "soft"])
@pytest.mark.parametrize(("name", "k", "pairwise"), CASES)
def test_the_probe_learns_from_noisy_labels(name, k, pairwise, soft):
    _, truth, labels = problem(k, pairwise=pairwise, soft=soft)
    p = said(k, 50, pairwise=pairwise, soft=soft)[name]
    assert np.isfinite(p).all()
    assert (p.argmax(1) == truth).mean() > 1 / k + 0.3
    chance = np.full((N, k), 1 / k, dtype=np.float32)
    assert name in MOVING or mean_loss(name, p, labels) < mean_loss(name, chance, labels)


@pytest.mark.parametrize(("name", "k", "pairwise"), CASES)
def test_the_probe_s_steps_settle(name, k, pairwise):
    before, after = (said(k, steps, pairwise=pairwise, soft=True)[name] for steps in (150, 153))
    assert np.abs(before - after).max() < CORNERED.get(name, 5e-3)
