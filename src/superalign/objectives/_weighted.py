"""What the objectives that weigh the items of another one share."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, Self

from superalign.objective import FloatArray, Objective, ObjectiveChoice
from superalign.registry import default

if TYPE_CHECKING:
    from torch import Tensor


class Weighted(Objective, ABC):
    """Base of the objectives that are a share in [0, 1] of each item's loss under another objective.

    Shares are not renormalised: an item of share 0 counts in the batch's mean, as a loss of 0.
    """

    base: ObjectiveChoice = default("naive")
    """The objective whose items are weighed."""

    @abstractmethod
    def share(self, logits: Tensor, labels: Tensor) -> Tensor:
        """Return what part of its loss each item keeps, [..., n] in [0, 1], from detached logits."""

    def targets(self, labels: Tensor) -> Tensor:
        """Return the labels the base sees, [..., n, k]."""
        return labels

    def batch_context(self, logits: Tensor, labels: Tensor, weight: Tensor) -> Tensor | None:
        """Return what the base must know of the batch, in which an item weighs its share."""
        import torch

        kept = weight * self.share(logits, labels).to(weight.dtype)
        kept = torch.where(kept.sum(-1, keepdim=True) > 0, kept, weight)  # nothing is kept: any context will do
        return self.base.batch_context(logits, self.targets(labels), kept)

    def __call__(self, logits: Tensor, labels: Tensor, *, progress: float, context: Tensor | None) -> Tensor:
        """Return the share of each item times its loss under the base."""
        import torch

        if context is None and self.needs_batch:
            context = self.batch_context(logits.detach(), labels, torch.ones_like(labels[..., 0]))
        losses = self.base(logits, self.targets(labels), progress=progress, context=context)
        return self.share(logits.detach(), labels) * losses

    @property
    def needs_batch(self) -> bool:
        """Tell whether the base needs the whole batch."""
        return self.base.needs_batch

    @property
    def looks_back(self) -> int:
        """Return over how many items the base looks."""
        return self.base.looks_back

    @property
    def wants_noise(self) -> bool:
        """Tell whether the base must know the noise."""
        return self.base.wants_noise

    def with_noise(self, transition: FloatArray) -> Self:
        """Return this objective with a base that knows the noise."""
        return self.model_copy(update={"base": self.base.with_noise(transition)})

    @property
    def curvature(self) -> float:
        """The base's: no share is above 1."""
        return self.base.curvature
