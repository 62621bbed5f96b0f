"""Symmetric cross-entropy."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, ClassVar

from pydantic import Field

from superalign.objective import Objective, objectives
from superalign.objectives._parts import SLOPE, reverse_cross_entropy

if TYPE_CHECKING:
    from torch import Tensor


@objectives.register("sce")
class SymmetricCrossEntropy(Objective):
    """alpha CE + beta RCE, RCE = -sum_k p_k log y_k with log 0 := A.

    Soft labels enter both terms as they are, log y_k never below A.
    """

    source: ClassVar[str] = "Wang et al. 2019 (arXiv 1908.06112), equation 7; A = -4 as in the paper"

    alpha: Annotated[float, Field(ge=0)] = 0.1
    """Weight of cross-entropy; the paper's for CIFAR-10 (6 for CIFAR-100)."""
    beta: Annotated[float, Field(gt=0)] = 1.0
    """Weight of reverse cross-entropy; the paper's for CIFAR-10 (0.1 for CIFAR-100)."""
    log_zero: Annotated[float, Field(lt=0)] = -4.0
    """A. Public code often clamps labels at 1e-4 instead, which is -9.2."""

    @property
    def curvature(self) -> float:
        """Of cross-entropy and of a probability times A."""
        return self.alpha - self.beta * self.log_zero * SLOPE / 2

    def __call__(self, logits: Tensor, labels: Tensor, *, progress: float, context: Tensor | None) -> Tensor:
        """Return -alpha sum_k y_k log p_k - beta sum_k p_k max(log y_k, A)."""
        log_p = logits.log_softmax(-1)
        forward = -(labels * log_p).sum(-1)
        return self.alpha * forward + self.beta * reverse_cross_entropy(log_p, labels, self.log_zero)
