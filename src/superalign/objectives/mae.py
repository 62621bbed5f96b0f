"""Mean absolute error."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from superalign.objective import Objective, objectives
from superalign.objectives._parts import SLOPE, mean_absolute_error

if TYPE_CHECKING:
    from torch import Tensor


@objectives.register("mae")
class MeanAbsoluteError(Objective):
    """sum_k |p_k - onehot(y)_k| = 2 (1 - p_y): symmetric label noise does not move its minimum.

    Soft labels: the expectation over the given label, our reading, which keeps the loss linear in the labels.
    """

    source: ClassVar[str] = "Ghosh et al. 2017 (arXiv 1712.09482), section 3"

    @property
    def curvature(self) -> float:
        """Twice that of a probability."""
        return SLOPE

    def __call__(self, logits: Tensor, labels: Tensor, *, progress: float, context: Tensor | None) -> Tensor:
        """Return sum_j y_j 2 (1 - p_j)."""
        return mean_absolute_error(logits.log_softmax(-1), labels)
