"""Confidence weighting: each item weighs by how sure its supervisor is."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from superalign.objective import objectives
from superalign.objectives._weighted import Weighted

if TYPE_CHECKING:
    from torch import Tensor


@objectives.register("confidence", "cw-po")
class ConfidenceWeighted(Weighted):
    """C times the base's loss, C = |2 q - 1|: a label at chance teaches nothing, a certain one fully.

    For k classes C = (max_k y_k - 1/k)/(1 - 1/k), our reading. As in the paper the base sees the named class as a
    hard label; the supervisor's doubt is in C alone.
    """

    source: ClassVar[str] = "Afzali et al. 2026 (arXiv 2603.04968), CW-PO"

    hard: bool = True
    """Give the base the most probable class as a hard label; otherwise the soft label."""

    def share(self, logits: Tensor, labels: Tensor) -> Tensor:
        """Return C."""
        chance = 1 / labels.shape[-1]
        return ((labels.amax(-1) - chance) / (1 - chance)).clamp(min=0)

    def targets(self, labels: Tensor) -> Tensor:
        """Return one-hot labels, or the labels themselves."""
        import torch

        if not self.hard:
            return labels
        return torch.nn.functional.one_hot(labels.argmax(-1), labels.shape[-1]).to(labels.dtype)
