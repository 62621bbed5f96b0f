"""Hoelder-DPO: a redescending preference loss."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Annotated, ClassVar

from pydantic import Field

from superalign.objective import objectives
from superalign.objectives._pairs import PairLoss

if TYPE_CHECKING:
    from torch import Tensor


@objectives.register("holder")
class HolderDPO(PairLoss):
    """-(1+g) p^g + g p^(1+g), p = sigma(z): a pair far on the wrong side has no pull at all (redescending).

    Its gradient is -g (1+g) p^g (1-p)^2.
    """

    source: ClassVar[str] = "Fujisawa et al. 2025 (arXiv 2505.17859), Hoelder-DPO loss"

    gamma: Annotated[float, Field(gt=0)] = 2.0
    """g: how early a pair the learner rejects loses its pull."""

    @property
    def curvature(self) -> float:
        """Its largest second derivative, from the larger zero of the third."""
        g, c = self.gamma, self.gamma + 2
        half = c * (2 * g + 1)
        p = (half + math.sqrt(half**2 - 4 * c * (g + 3) * g**2)) / (2 * c * (g + 3))
        return float(4 * g * (1 + g) * p**g * (1 - p) ** 2 * (c * p - g))

    def ahead(self, z: Tensor) -> Tensor:
        """Return -(1+g) p^g + g p^(1+g)."""
        import torch

        log_p = torch.nn.functional.logsigmoid(z)
        return self.gamma * ((1 + self.gamma) * log_p).exp() - (1 + self.gamma) * (self.gamma * log_p).exp()
