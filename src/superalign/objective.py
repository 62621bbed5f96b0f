"""An Objective is a loss that learns from noisy Labels: a pure function of logits and labels to a per-item loss."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, Annotated, ClassVar

from superalign.config import Component
from superalign.registry import Registry, chosen

if TYPE_CHECKING:
    from torch import Tensor


class Objective(Component, ABC):
    """Base of the objectives. Leading dimensions (`...`) are independent learners solved together."""

    source: ClassVar[str]
    """Paper and equation."""

    @abstractmethod
    def __call__(self, logits: Tensor, labels: Tensor, *, progress: float, context: Tensor | None) -> Tensor:
        """Return the loss of each item.

        Args:
            logits: [..., n, k].
            labels: [..., n, k] probabilities.
            progress: share of the training steps done, in [0, 1].
            context: what `batch_context` returned for the whole batch these items belong to.

        Returns:
            [..., n], not reduced and not weighted.
        """

    def batch_context(self, probs: Tensor, labels: Tensor) -> Tensor | None:
        """Return what the loss must know of the whole batch before any micro-batch of it is seen.

        Args:
            probs: [..., n, k] the learner's detached probabilities.
            labels: [..., n, k].
        """
        return None

    @property
    def needs_batch(self) -> bool:
        """Tell whether `batch_context` matters, so that micro-batches need a scoring pass first."""
        return type(self).batch_context is not Objective.batch_context


objectives: Registry[Objective] = Registry("objective", "superalign.objectives", Objective)
ObjectiveChoice = Annotated[Objective, *chosen(objectives)]
