"""Generalised cross-entropy, whole and truncated: between cross-entropy and mean absolute error."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Annotated, ClassVar

from pydantic import Field

from superalign.objective import Objective, objectives
from superalign.objectives._parts import power_curvature

if TYPE_CHECKING:
    from torch import Tensor


@objectives.register("gce")
class GeneralizedCrossEntropy(Objective):
    """(1 - p_y^q)/q: its gradient is cross-entropy's times p_y^q, so labels the learner doubts weigh less.

    q -> 0 is cross-entropy, q = 1 is half the mean absolute error. Soft labels: the expectation over the given
    label, our reading.
    """

    source: ClassVar[str] = "Zhang and Sabuncu 2018 (arXiv 1805.07836), equation 6"

    q: Annotated[float, Field(gt=0, le=1)] = 0.7
    """Exponent."""

    @property
    def curvature(self) -> float:
        """Less than cross-entropy's."""
        return power_curvature(self.q)

    def each(self, log_p: Tensor) -> Tensor:
        """Return the loss of every label that could have been given, [..., n, k]."""
        import torch

        return -torch.expm1(self.q * log_p) / self.q

    def __call__(self, logits: Tensor, labels: Tensor, *, progress: float, context: Tensor | None) -> Tensor:
        """Return sum_j y_j (1 - p_j^q)/q."""
        return (labels * self.each(logits.log_softmax(-1))).sum(-1)


@objectives.register("truncated-gce")
class TruncatedCrossEntropy(GeneralizedCrossEntropy):
    """Generalised cross-entropy that is flat, (1 - k^q)/q, where p_y <= k: labels the learner rejects teach nothing.

    It starts untruncated, since a fresh head rejects every label. The paper selects the items anew every few epochs;
    here every step does, our reading. A strong penalty holds probabilities down, so that ever more labels are
    rejected until one class is left: give a probe a small l2, or take a smaller k for many classes.
    """

    source: ClassVar[str] = "Zhang and Sabuncu 2018 (arXiv 1805.07836), section 3.3"

    k: Annotated[float, Field(gt=0, lt=1)] = 0.5
    """Probability below which a label is rejected."""
    start: Annotated[float, Field(ge=0, le=1)] = 1 / 3
    """Share of the steps before the truncation."""

    def truncated(self, log_p: Tensor) -> Tensor:
        """Return the truncated loss of every label that could have been given, [..., n, k]."""
        import torch

        flat = (1 - self.k**self.q) / self.q
        return torch.where(log_p > math.log(self.k), self.each(log_p), flat)

    def __call__(self, logits: Tensor, labels: Tensor, *, progress: float, context: Tensor | None) -> Tensor:
        """Return the expected loss over the given label, truncated from `start` on."""
        log_p = logits.log_softmax(-1)
        return (labels * (self.truncated(log_p) if progress >= self.start else self.each(log_p))).sum(-1)
