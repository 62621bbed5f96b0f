"""The declared curvature bounds the second derivatives, and no more loosely than a slow probe can bear."""

from __future__ import annotations

import pytest
import torch
from losses import NAMES, built

from superalign.objective import Objective

# hinge and window have corners, at which no bound holds.
CORNERED = {"hinge": 1.0, "window": 0.15}
SPECS = [
    *(name for name in NAMES if name not in CORNERED),
    *("gce,q=0.1", "gce,q=1", "sce,alpha=6,beta=0.1", "apl,passive=mae", "apl,beta=0", "bootstrap,kind=hard"),
    *("bootstrap,beta=0.5", "reverse-ce,clip=0.3", "reverse-kl,clip=0.3", "product,beta=3", "margin,center=1"),
    *("ropo,alpha=1", "ropo,alpha=100", "holder,gamma=0.5", "holder,gamma=5", "dr-dpo,beta=0.4", "dr-dpo,beta=10"),
    *("cdpo,rate=0.4", "rpo-em,eta=0.6", "window,of=supervisor", "backward,rate=0.4", "confidence,base=product"),
]
LOOSE = {"forward": 2.5, "rpo-em": 1.6, "rpo-em,eta=0.6": 8, "entropy": 2.1, "bootstrap,beta=0.5": 3.5}


def steepest(objective: Objective, k: int, rounds: int = 10, n: int = 1200) -> float:
    """Search logits and labels for the largest eigenvalue of the gradient's (symmetric) derivative."""
    generator = torch.Generator().manual_seed(k)
    context = torch.tensor(-0.6931471805599453 / objective.beta) if objective.name == "dr-dpo" else None

    def noise(*shape: int) -> torch.Tensor:
        return torch.randn(*shape, generator=generator, dtype=torch.float64)

    def slope(logits: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
        logits = logits.detach().requires_grad_()
        value = objective(logits, labels, progress=0.5, context=context).sum()
        return torch.autograd.grad(value, logits)[0]

    logits = noise(n, k) * torch.tensor([0.3, 1, 2, 4]).repeat(n // 4)[:, None]
    labels = (noise(n, k) * torch.tensor([0.0, 1, 100]).repeat(n // 3)[:, None]).softmax(-1)
    step, best = 1e-5, torch.zeros(())
    for number in range(rounds):
        columns = [
            (slope(logits + step * e, labels) - slope(logits - step * e, labels)) / (2 * step)
            for e in torch.eye(k, dtype=torch.float64)
        ]
        matrix = torch.stack(columns, -1)
        top = torch.linalg.eigvalsh((matrix + matrix.mT) / 2)[:, -1].topk(n // 20)
        best = torch.maximum(best, top.values[0])
        near, width = top.indices.repeat(20), 0.7**number
        labels = (labels[near].clamp(min=1e-9).log() + 3 * width * noise(n, k)).softmax(-1)
        labels[::2] = torch.nn.functional.one_hot(labels[::2].argmax(-1), k).double()
        logits = logits[near] + width * noise(n, k)
    return float(best)


@pytest.mark.parametrize("spec", SPECS)
def test_curvature_bounds_the_second_derivative(spec):
    objective = built(spec)
    bound = objective.curvature / 2  # Boehning's bound of cross-entropy in k logits; 1/4 in z is the same for two
    found = max(steepest(objective, k) for k in ([2] if objective.classes else [2, 3, 5]))
    assert found <= bound * (1 + 1e-4)
    assert bound <= found * LOOSE.get(spec, 1.4)


@pytest.mark.parametrize("spec", CORNERED)
def test_a_loss_with_corners_is_bounded_between_them(spec):
    objective = built(spec)
    z = torch.linspace(-6, 6, 6001, dtype=torch.float64).requires_grad_()
    logits = torch.stack([-z / 2, z / 2], -1)
    labels = torch.tensor([0.3, 0.7], dtype=torch.float64).expand_as(logits)
    (first,) = torch.autograd.grad(objective(logits, labels, progress=0.5, context=None).sum(), z)
    second = first.diff() / z.detach().diff()
    corners = (second.abs() > 10).sum()
    assert corners == 2
    assert second[second.abs() <= 10].max() <= objective.curvature / 4 + 1e-6
