"""Product of experts: the learner's and the supervisor's probabilities multiplied."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, ClassVar

from pydantic import Field

from superalign.objective import Objective, objectives

if TYPE_CHECKING:
    from torch import Tensor


@objectives.register("product")
class ProductOfExperts(Objective):
    """Cross-entropy against the product of learner and supervisor, p^beta y^alpha renormalised and detached.

    A label that is certain stays what it is; an unsure one is sharpened towards what the learner already holds.
    """

    source: ClassVar[str] = "Burns et al. 2023 (arXiv 2312.09390), product loss as in its code"

    alpha: Annotated[float, Field(gt=0)] = 1.0
    """Exponent of the label's probabilities."""
    beta: Annotated[float, Field(ge=0)] = 1.0
    """Exponent of the learner's own probabilities; 0 trusts the (sharpened) label alone."""

    def __call__(self, logits: Tensor, labels: Tensor, *, progress: float, context: Tensor | None) -> Tensor:
        """Return -sum_k t_k log p_k, t = softmax(beta log p + alpha log y) without gradient."""
        log_p = logits.log_softmax(-1)
        target = (self.beta * log_p.detach() + self.alpha * labels.log()).softmax(-1)
        return -(target * log_p).sum(-1)
