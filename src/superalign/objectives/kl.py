"""Kullback-Leibler divergence from the learner to the labels: cross-entropy less the labels' own entropy."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from superalign.objective import Objective, objectives

if TYPE_CHECKING:
    from torch import Tensor


@objectives.register("kl", "forward-kl")
class ForwardKL(Objective):
    """sum_k y_k log(y_k / p_k): the gradient of cross-entropy, and 0 where the learner agrees with a soft label."""

    source: ClassVar[str] = "Yao et al. 2025 (arXiv 2502.11107), forward KL"

    def __call__(self, logits: Tensor, labels: Tensor, *, progress: float, context: Tensor | None) -> Tensor:
        """Return the divergence; 0 log 0 = 0."""
        return (labels.xlogy(labels) - labels * logits.log_softmax(-1)).sum(-1)
