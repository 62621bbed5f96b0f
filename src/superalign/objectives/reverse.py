"""Reverse losses: the learner's probabilities weigh the labels' logarithms."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Annotated, ClassVar

from pydantic import Field

from superalign.objective import Objective, objectives
from superalign.objectives._parts import SLOPE, reverse_cross_entropy

if TYPE_CHECKING:
    from torch import Tensor


@objectives.register("reverse-ce")
class ReverseCrossEntropy(Objective):
    """-sum_k p_k log y_k, no y_k below `clip`: bounded, and a label near indifference teaches little."""

    source: ClassVar[str] = "Yao et al. 2025 (arXiv 2502.11107), reverse cross-entropy"

    clip: Annotated[float, Field(gt=0, lt=1)] = 0.01
    """Least probability a label gives a class; the value is ours."""

    @property
    def curvature(self) -> float:
        """Of a probability times the largest logarithm."""
        return -math.log(self.clip) * SLOPE / 2

    def __call__(self, logits: Tensor, labels: Tensor, *, progress: float, context: Tensor | None) -> Tensor:
        """Return -sum_k p_k log max(y_k, clip)."""
        return reverse_cross_entropy(logits.log_softmax(-1), labels, math.log(self.clip))


@objectives.register("reverse-kl")
class ReverseKL(ReverseCrossEntropy):
    """sum_k p_k log(p_k / y_k), no y_k below `clip`: the learner may ignore what the label merely finds possible."""

    source: ClassVar[str] = "Yao et al. 2025 (arXiv 2502.11107), reverse KL"

    @property
    def curvature(self) -> float:
        """Reverse cross-entropy's, and as much again as cross-entropy for the entropy."""
        return 1.0 - math.log(self.clip) * SLOPE / 2

    def __call__(self, logits: Tensor, labels: Tensor, *, progress: float, context: Tensor | None) -> Tensor:
        """Return sum_k p_k (log p_k - log max(y_k, clip))."""
        log_p = logits.log_softmax(-1)
        return (log_p.exp() * log_p).sum(-1) + reverse_cross_entropy(log_p, labels, math.log(self.clip))
