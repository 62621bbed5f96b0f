"""Forward correction: the learner's probabilities passed through the noise before they meet the labels."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

import numpy as np

from superalign.objective import objectives
from superalign.objectives._noise import NoiseCorrected

if TYPE_CHECKING:
    from torch import Tensor


@objectives.register("forward")
class ForwardCorrection(NoiseCorrected):
    """-log (T' p)_y: its minimum is the clean posterior, though the labels are noisy.

    Soft labels: the expectation over the given label, our reading.
    """

    source: ClassVar[str] = "Patrini et al. 2017 (arXiv 1609.03683), theorem 2"

    def __call__(self, logits: Tensor, labels: Tensor, *, progress: float, context: Tensor | None) -> Tensor:
        """Return -sum_j y_j log sum_i T_ij p_i."""
        import torch

        transition = self.matrix(logits.shape[-1])
        transition[:, transition.sum(0) == 0] = 1e-30  # a label that noise never gives: no gradient, and no infinity
        with np.errstate(divide="ignore"):
            log_t = torch.from_numpy(np.log(transition)).to(logits.dtype).to(logits.device, non_blocking=True)
        noisy = (logits.log_softmax(-1).unsqueeze(-1) + log_t).logsumexp(-2)
        return -(labels * noisy).sum(-1)
