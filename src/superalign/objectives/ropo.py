"""ROPO: DPO and a bounded loss, so that unsure pairs weigh less."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Annotated, ClassVar

from pydantic import Field

from superalign.objective import objectives
from superalign.objectives._pairs import PairLoss

if TYPE_CHECKING:
    from torch import Tensor


@objectives.register("ropo")
class RobustPreference(PairLoss):
    """4a/(1+a)^2 (-log sigma(z)) + 4a^2/(1+a)^2 sigma(-z): pairs far on the wrong side pull less than unsure ones.

    With s = sigma(-z) its gradient is -4a/(1+a)^2 s (1 + a (1 - s)), at most 1, reached at s = (1+a)/(2a). The
    iterative filtering and rejection sampling of the paper are not part of a loss.
    """

    source: ClassVar[str] = "Liang et al. 2024 (arXiv 2404.04102), robust loss"

    alpha: Annotated[float, Field(gt=0)] = 14.0
    """a: 0 tends to DPO alone (times 4a), large values to sigma(-z)."""

    @property
    def curvature(self) -> float:
        """Its largest second derivative, from the zero of the third."""
        a = self.alpha
        s = (1 + 3 * a - math.sqrt(1 + 3 * a * a)) / (6 * a)
        return 4 * 4 * a / (1 + a) ** 2 * s * (1 - s) * (1 + a * (1 - 2 * s))

    def ahead(self, z: Tensor) -> Tensor:
        """Return the two terms."""
        import torch

        scale = 4 * self.alpha / (1 + self.alpha) ** 2
        return scale * (self.alpha * torch.sigmoid(-z) - torch.nn.functional.logsigmoid(z))
