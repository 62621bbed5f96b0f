"""Identity preference optimisation: regression of the scores' difference on a fixed gap."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, ClassVar

from pydantic import Field

from superalign.objective import objectives
from superalign.objectives._pairs import PairLoss

if TYPE_CHECKING:
    from torch import Tensor


@objectives.register("ipo")
class IdentityPreference(PairLoss):
    """(z - 1/(2 tau))^2: a preference is a gap to reach, not to widen for ever.

    With a policy's scores, z = beta (log-ratio), the paper's tau is tau beta and the loss is beta^2 times the
    paper's: tau = 1 makes beta play its tau.
    """

    source: ClassVar[str] = "Azar et al. 2023 (arXiv 2310.12036), equation 17"

    tau: Annotated[float, Field(gt=0)] = 1.0
    """Sets the gap, 1/(2 tau), in units of the scores."""

    @property
    def curvature(self) -> float:
        """Of a square, 2, over cross-entropy's 1/4."""
        return 8.0

    def ahead(self, z: Tensor) -> Tensor:
        """Return (z - 1/(2 tau))^2."""
        return (z - 1 / (2 * self.tau)).square()
