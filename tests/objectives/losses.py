"""What the tests of the objectives share: random batches, and building an objective that must know the noise."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor

from superalign.objective import Objective, objectives

RATE = 0.2


def tested_elsewhere(name: str) -> bool:
    """Tell whether the loss is about a policy's own scores, or about two learners; those have tests of their own."""
    cls = objectives.get(name)
    return cls.unpaired or not cls.needs_reference or cls.wants_rewards != "none" or cls.peers > 1


NAMES = [name for name in objectives.names() if not tested_elsewhere(name)]
PAIRED = [name for name in NAMES if objectives.get(name).classes == 2]


def symmetric(rate: float, k: int) -> np.ndarray:
    """T of flips at a rate, spread evenly."""
    return np.where(np.eye(k) > 0, 1 - rate, rate / (k - 1)).astype(np.float32)


def built(spec: Any) -> Objective:
    """Build an objective; one that must know the noise is told a rate of RATE."""
    objective = objectives.build(spec)
    if not objective.wants_noise:
        return objective
    return objectives.build({**objective.spec(), "rate": RATE})


def permuted(objective: Objective, order: Tensor) -> Objective:
    """Return the objective for classes in another order."""
    transition = getattr(objective, "transition", None)
    if transition is None:
        return objective
    rows = np.array(transition)[np.ix_(order, order)]
    return objective.model_copy(update={"transition": tuple(map(tuple, rows.tolist()))})


def random_batch(seed: int, n: int = 12, k: int = 3) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(seed)
    logits = torch.randn(n, k, generator=generator, dtype=torch.float64)
    return logits, torch.rand(n, k, generator=generator, dtype=torch.float64).softmax(-1)


def hard_batch(seed: int, n: int = 12, k: int = 3, scale: float = 2.0) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(seed)
    logits = scale * torch.randn(n, k, generator=generator, dtype=torch.float64)
    labels = torch.randint(k, (n,), generator=generator)
    return logits, torch.nn.functional.one_hot(labels, k).double()


def loss(spec: Any, logits: Tensor, labels: Tensor, progress: float = 0.5) -> Tensor:
    return built(spec)(logits, labels, progress=progress, context=None)


def gradient(spec: Any, logits: Tensor, labels: Tensor, progress: float = 0.5) -> Tensor:
    logits = logits.detach().requires_grad_()
    return torch.autograd.grad(loss(spec, logits, labels, progress).sum(), logits)[0]


def context_of(spec: Any, logits: Tensor, labels: Tensor) -> Tensor | None:
    return built(spec).batch_context(logits, labels, torch.ones_like(labels[..., 0]))


def scores(z: Tensor) -> Tensor:
    """Return logits [n, 2] of two responses whose scores lie z apart, the second ahead."""
    return torch.stack([torch.full_like(z, 0.3), z + 0.3], -1)


def orders(q: Tensor) -> Tensor:
    """Return labels [n, 2] that prefer the second response with probability q."""
    return torch.stack([1 - q, q], -1)
