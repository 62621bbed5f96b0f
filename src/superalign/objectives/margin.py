"""Bradley-Terry with a margin, and rewards held near zero."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, ClassVar

from pydantic import Field

from superalign.objective import objectives
from superalign.objectives._pairs import PairLoss

if TYPE_CHECKING:
    from torch import Tensor


@objectives.register("margin")
class MarginRanking(PairLoss):
    """-log sigma(z - m) + c (r0 + r1)^2: the preferred response must be ahead by m.

    The centre penalty holds the two scores around zero; it is the one loss here that a constant added to both scores
    changes.
    """

    source: ClassVar[str] = (
        "Touvron et al. 2023 (arXiv 2307.09288), equation 2; centre: Eisenstein et al. 2023 (arXiv 2312.09244)"
    )

    margin: Annotated[float, Field(ge=0)] = 1.0
    """m, in units of the scores; 0 is plain Bradley-Terry."""
    center: Annotated[float, Field(ge=0)] = 0.0
    """c; 0.01 is usual for reward models."""

    @property
    def curvature(self) -> float:
        """Of cross-entropy along the difference of the scores, of the penalty along their sum."""
        return max(1.0, 8 * self.center)

    def ahead(self, z: Tensor) -> Tensor:
        """Return -log sigma(z - m)."""
        import torch

        return -torch.nn.functional.logsigmoid(z - self.margin)

    def __call__(self, logits: Tensor, labels: Tensor, *, progress: float, context: Tensor | None) -> Tensor:
        """Return the loss of the two orders and the centre penalty."""
        ranking = super().__call__(logits, labels, progress=progress, context=context)
        return ranking + self.center * logits.sum(-1).square()
