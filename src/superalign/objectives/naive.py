"""Naive fine-tuning: cross-entropy on the supervisor's soft labels."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from superalign.objective import Objective, objectives

if TYPE_CHECKING:
    from torch import Tensor


@objectives.register("naive", "xent", "cross-entropy", "bt", "dpo")
class SoftCrossEntropy(Objective):
    """Cross-entropy against soft labels: -sum_k y_k log p_k.

    On the scores of two responses it is the loss of Bradley and Terry (`bt`), and where the scores are a policy's
    implicit rewards, beta log(pi/pi_ref), that of DPO (`dpo`).
    """

    source: ClassVar[str] = (
        "Burns et al. 2023 (arXiv 2312.09390), section 4.1; DPO: Rafailov et al. 2023 (arXiv 2305.18290), equation 7"
    )

    def __call__(self, logits: Tensor, labels: Tensor, *, progress: float, context: Tensor | None) -> Tensor:
        """Return -sum_k y_k log softmax(logits)_k."""
        return -(labels * logits.log_softmax(-1)).sum(-1)
