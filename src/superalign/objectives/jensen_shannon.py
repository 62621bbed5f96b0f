"""Jensen-Shannon divergence between the labels and the learner."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, ClassVar

from superalign.objective import Objective, objectives

if TYPE_CHECKING:
    from torch import Tensor


@objectives.register("jensen-shannon", "js")
class JensenShannon(Objective):
    """KL(y, m)/2 + KL(p, m)/2 with m = (y + p)/2: symmetric, and never above log 2."""

    source: ClassVar[str] = "Lin 1991; for weak labels, f-divergences of arXiv 2506.03109"

    @property
    def curvature(self) -> float:
        """A quarter of cross-entropy's, reached where the learner agrees with the label; found by search."""
        return 0.25

    def __call__(self, logits: Tensor, labels: Tensor, *, progress: float, context: Tensor | None) -> Tensor:
        """Return the divergence; 0 log 0 = 0."""
        log_p = logits.log_softmax(-1)
        log_m = log_p.logaddexp(labels.log()) - math.log(2)
        given = labels.xlogy(labels) - labels * log_m
        return (given + log_p.exp() * (log_p - log_m)).sum(-1) / 2
