"""Co-teaching: two learners side by side, each taught by the items the other one finds easy."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, ClassVar, Self

from pydantic import Field

from superalign.errors import ConfigError
from superalign.objective import FloatArray, Objective, objectives
from superalign.objectives._noise import Rate, flip_rate
from superalign.objectives._ranks import between, ranked

if TYPE_CHECKING:
    from torch import Tensor

ROUNDING = 1e-6  # of sums of shares


@objectives.register("co-teaching")
class CoTeaching(Objective):
    """Each peer's cross-entropy on the share R(t) = 1 - rate * min(t/warmup, 1) that is smallest in the other's eyes.

    R is counted in the peer's own weights and rounded up to whole items; the other peer's loss ranks them, and ties
    are taken together. Items that are not selected lose 0 and the others are divided by the selected share, so that
    the weighted mean over the batch is the mean over the selected items. Soft labels are ranked by their
    cross-entropy, our reading. Step by step instead of epoch by epoch, our reading too.
    """

    source: ClassVar[str] = "Han et al. 2018 (arXiv 1804.06872), algorithm 1"
    peers: ClassVar[int] = 2

    rate: Rate | None = None
    """tau, the share of items dropped in the end. Not given: the rate of wrong labels, estimated before training."""
    warmup: Annotated[float, Field(ge=0, le=1)] = 0.2
    """T_k, the share of the steps over which the dropped share rises from 0; the paper's is 0.05 (of 200 epochs)."""

    @property
    def wants_noise(self) -> bool:
        """Tell that no rate was given."""
        return self.rate is None

    def with_noise(self, transition: FloatArray) -> Self:
        """Return this loss at the noise's mean rate; a rate the user gave stays."""
        if self.rate is not None:
            return self
        return self.parse({**self.model_dump(), "rate": flip_rate(transition, self.name)})

    @property
    def curvature(self) -> float:
        """Of cross-entropy over the smallest share that is ever selected; twice where the rate is not known yet."""
        return 1 / (1 - (0.5 if self.rate is None else self.rate))

    def kept(self, progress: float) -> float:
        """Return R, the share to learn from when a share `progress` of the training is done.

        Raises:
            ConfigError: the rate is not known.
        """
        if self.rate is None:
            raise ConfigError(
                f"objective '{self.name}' must know how many labels are wrong",
                fix=f"{self.name},rate=0.2, or estimate it",
            )
        return 1 - self.rate * (min(1.0, progress / self.warmup) if self.warmup else 1.0)

    def batch_context(self, logits: Tensor, labels: Tensor, weight: Tensor) -> Tensor:
        """Return for each peer the other's losses in rising order and the share of its own weight up to each.

        Args:
            logits: [..., 2, n, k], detached.
            labels: [..., 2, n, k].
            weight: [..., 2, n].

        Returns:
            [..., 2, 2, n]: peer, then losses and shares.
        """
        import torch

        return torch.stack(ranked(self._eyes_of_the_other(logits, labels), weight), -2)

    def __call__(self, logits: Tensor, labels: Tensor, *, progress: float, context: Tensor | None) -> Tensor:
        """Return the losses of both peers, [..., 2, n]: 0 where the other did not select the item."""
        import torch

        each = self._cross_entropy(logits, labels)
        seen = each.detach().flip(-2)
        if context is None:
            context = torch.stack(ranked(seen, torch.ones_like(seen)), -2)
        inorder, passed = context.unbind(-2)
        wanted = self.kept(progress) - ROUNDING
        last = (passed < wanted).sum(-1).clamp(max=passed.shape[-1] - 1)  # place of the item that makes R full
        threshold = between(inorder, last + 1).unsqueeze(-1)
        share = torch.where(inorder <= threshold, passed, 0).amax(-1, keepdim=True)
        return torch.where(seen <= threshold, each / share, 0)

    def _eyes_of_the_other(self, logits: Tensor, labels: Tensor) -> Tensor:
        return self._cross_entropy(logits, labels).flip(-2)

    def _cross_entropy(self, logits: Tensor, labels: Tensor) -> Tensor:
        if logits.ndim < 3 or logits.shape[-3] != self.peers:
            raise ConfigError(f"objective '{self.name}' takes the logits of two learners", why=f"got {logits.shape}")
        return -(labels * logits.log_softmax(-1)).sum(-1)
