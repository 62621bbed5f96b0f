"""Active-passive loss: normalised cross-entropy and a robust loss that pushes the other classes down."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, ClassVar, Literal

from pydantic import Field

from superalign.objective import Objective, objectives
from superalign.objectives._parts import SLOPE, mean_absolute_error, reverse_cross_entropy

if TYPE_CHECKING:
    from torch import Tensor

LOG_ZERO = -4.0  # as in symmetric cross-entropy
NCE = 0.81  # curvature of normalised cross-entropy for two classes, found by search; more classes have less


@objectives.register("apl")
class ActivePassive(Objective):
    """alpha NCE + beta (MAE or RCE), NCE = log p_y / sum_k log p_k, which lies in [0, 1].

    Both terms are robust to symmetric noise; together they do not underfit as one alone does. Soft labels: the
    expectation over the given label for NCE and MAE, our reading; RCE = -sum_k p_k max(log y_k, -4).
    """

    source: ClassVar[str] = "Ma et al. 2020 (arXiv 2006.13554), equations 3 and 9"

    alpha: Annotated[float, Field(gt=0)] = 1.0
    """Weight of the active term, NCE."""
    beta: Annotated[float, Field(ge=0)] = 1.0
    """Weight of the passive term."""
    passive: Literal["mae", "rce"] = "rce"
    """The passive term: mean absolute error or reverse cross-entropy."""

    @property
    def curvature(self) -> float:
        """The sum of both terms'."""
        return self.alpha * NCE + self.beta * (SLOPE if self.passive == "mae" else -LOG_ZERO * SLOPE / 2)

    def __call__(self, logits: Tensor, labels: Tensor, *, progress: float, context: Tensor | None) -> Tensor:
        """Return alpha sum_j y_j log p_j / sum_k log p_k + beta times the passive term."""
        log_p = logits.log_softmax(-1)
        active = (labels * log_p).sum(-1) / log_p.sum(-1)
        if self.passive == "mae":
            return self.alpha * active + self.beta * mean_absolute_error(log_p, labels)
        return self.alpha * active + self.beta * reverse_cross_entropy(log_p, labels, LOG_ZERO)
