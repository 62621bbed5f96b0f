"""Hinge loss on the difference of the scores."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from superalign.objective import objectives
from superalign.objectives._pairs import PairLoss

if TYPE_CHECKING:
    from torch import Tensor


@objectives.register("hinge", "slic")
class Hinge(PairLoss):
    """max(0, 1 - z): a pair that is ranked by a gap of 1 teaches nothing more."""

    source: ClassVar[str] = "Zhao et al. 2023 (arXiv 2305.10425), rank calibration; Liu et al. 2023 (arXiv 2309.06657)"

    @property
    def curvature(self) -> float:
        """4: no bound holds at the corner; with this one a first step fits the labels by least squares."""
        return 4.0

    def ahead(self, z: Tensor) -> Tensor:
        """Return max(0, 1 - z)."""
        return (1 - z).relu()
