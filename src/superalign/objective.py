"""An Objective is a loss that learns from noisy Labels: a pure function of logits and labels to a per-item loss."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, Annotated, ClassVar, Literal, NamedTuple, Self

import numpy as np
import numpy.typing as npt

from superalign.config import Component
from superalign.registry import Registry, chosen

if TYPE_CHECKING:
    from torch import Tensor

FloatArray = npt.NDArray[np.float32]


class Said(NamedTuple):
    """What a policy says of the responses of n items: s = 2 of a Comparison, 1 of an Example.

    Args:
        logprob: [n, s] log-probability of each response given its prompt, summed over its tokens.
        reference: [n, s] the same of the reference policy; 0 where the objective needs none.
        tokens: [n, s] tokens of each response.
        rewards: [n, s] what each response is worth to who gave the labels, in nats; None where nobody said, as when a
            policy predicts.
    """

    logprob: Tensor
    reference: Tensor
    tokens: Tensor
    rewards: Tensor | None = None


class Objective(Component, ABC):
    """Base of the objectives. Leading dimensions (`...`) are independent learners solved together."""

    source: ClassVar[str]
    """Paper and equation."""
    classes: ClassVar[int | None] = None
    """How many classes the loss is defined for; None for any number."""
    needs_reference: ClassVar[bool] = True
    """Whether a policy's score compares it with the policy it started from."""
    unpaired: ClassVar[bool] = False
    """Whether the responses of a Comparison are learnt from one by one, as good or bad ones."""
    wants_rewards: ClassVar[Literal["none", "supervisor", "aims"]] = "none"
    """Whose rewards the score of a policy's responses takes in: those of the supervisor who gave the labels, or those
    of other aims, which the items bring along."""
    peers: ClassVar[int] = 1
    """How many learners are trained side by side, each looking at what the others make of an item. With more than one,
    logits, labels, weights and losses have a dimension of the peers directly before that of the items."""

    @abstractmethod
    def __call__(self, logits: Tensor, labels: Tensor, *, progress: float, context: Tensor | None) -> Tensor:
        """Return the loss of each item.

        Args:
            logits: [..., n, k].
            labels: [..., n, k] probabilities.
            progress: share of the training steps done, in [0, 1].
            context: what `batch_context` returned for the whole batch these items belong to; None when these items
                are the whole batch and weigh the same.

        Returns:
            [..., n], not reduced and not weighted.
        """

    def score(self, said: Said, beta: float) -> Tensor:
        """Return what a policy's responses are worth, [n, s]: by default the implicit reward of DPO.

        Args:
            said: of the policy and its reference.
            beta: how dear it is to leave the reference.
        """
        return beta * (said.logprob - said.reference)

    def batch_context(self, logits: Tensor, labels: Tensor, weight: Tensor) -> Tensor | None:
        """Return what the loss must know of the whole batch before any micro-batch of it is seen.

        Args:
            logits: [..., n, k], detached.
            labels: [..., n, k].
            weight: [..., n], not negative; an item of weight 0 counts as absent.
        """
        return None

    @property
    def wants_labels_alone(self) -> bool:
        """Tell whether one learner needs nothing but which response is better, and how probably."""
        return self.wants_rewards == "none" and not self.wants_noise and self.peers == 1

    @property
    def wants_noise(self) -> bool:
        """Tell whether the loss must be given the labels' noise before training (`with_noise`)."""
        return False

    def with_noise(self, transition: FloatArray) -> Self:
        """Return this objective knowing the noise.

        Args:
            transition: [k, k], entry i, j the probability that an item of class i is labelled j.
        """
        return self

    @property
    def curvature(self) -> float:
        """Bound of the second derivatives in the logits, as a multiple of cross-entropy's: how short a step must be."""
        return 1.0

    @property
    def looks_back(self) -> int:
        """Return over how many items `batch_context` shall look at least.

        A smaller batch is preceded by those seen last, as they were when they were seen. Nothing is remembered
        here: the training loop keeps them.
        """
        return 0

    @property
    def needs_batch(self) -> bool:
        """Tell whether `batch_context` matters, so that micro-batches need a scoring pass first."""
        return type(self).batch_context is not Objective.batch_context


objectives: Registry[Objective] = Registry("objective", "superalign.objectives", Objective)
ObjectiveChoice = Annotated[Objective, *chosen(objectives)]
