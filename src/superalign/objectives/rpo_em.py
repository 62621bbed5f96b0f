"""RPO by expectation-maximisation: each label weighs by the chance that it is right."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Annotated, ClassVar

from pydantic import Field

from superalign.objective import objectives
from superalign.objectives._pairs import PairLoss

if TYPE_CHECKING:
    from torch import Tensor


@objectives.register("rpo-em")
class ExpectationMaximization(PairLoss):
    """w l(z) + (1 - w) l(-z), l = -log sigma, w = eta p/(eta p + (1 - eta)(1 - p)), p = sigma(z), w detached.

    w is the posterior that the label is right, given the share eta of right labels and what the learner holds. The
    gradient is that of the likelihood of the noisy label, hence that of `forward` at rate 1 - eta. The paper
    re-estimates eta for each annotator as the mean of w; here it is given.
    """

    source: ClassVar[str] = "Cao et al. 2025 (arXiv 2509.24159), EM weights; formula re-derived"

    eta: Annotated[float, Field(gt=0.5, lt=1)] = 0.9
    """Share of labels taken to be right."""

    def ahead(self, z: Tensor) -> Tensor:
        """Return -w log sigma(z) - (1 - w) log sigma(-z)."""
        import torch

        right = torch.sigmoid(z.detach() + math.log(self.eta / (1 - self.eta)))
        log_sigmoid = torch.nn.functional.logsigmoid
        return -right * log_sigmoid(z) - (1 - right) * log_sigmoid(-z)
