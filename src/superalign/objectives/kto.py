"""KTO: single responses, good or bad, as gains and losses against what the policy does anyway."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, ClassVar

from pydantic import Field

from superalign.objective import Objective, objectives

if TYPE_CHECKING:
    from torch import Tensor


@objectives.register("kto")
class KTO(Objective):
    """q good (1 - sigma(r - r0)) + (1 - q) bad (1 - sigma(r0 - r)), r = logit1 - logit0 a response's implicit reward.

    q is the given probability that the response is a good one. The reference point r0 is beta times the divergence of
    the policy from its reference, never negative. Our reading: it is estimated by the batch's mean reward, where the
    paper's code computes responses to other prompts for it.
    """

    source: ClassVar[str] = "Ethayarajh et al. 2024 (arXiv 2402.01306), equations 7 and 8"
    classes: ClassVar[int | None] = 2
    unpaired: ClassVar[bool] = True

    good: Annotated[float, Field(gt=0)] = 1.0
    """Weight of good responses (the paper's lambda_D)."""
    bad: Annotated[float, Field(gt=0)] = 1.0
    """Weight of bad responses (lambda_U)."""

    def batch_context(self, logits: Tensor, labels: Tensor, weight: Tensor) -> Tensor:
        """Return the reference point, [...]."""
        reward = logits[..., 1] - logits[..., 0]
        return ((weight * reward).sum(-1) / weight.sum(-1)).clamp(min=0)

    def __call__(self, logits: Tensor, labels: Tensor, *, progress: float, context: Tensor | None) -> Tensor:
        """Return the loss of each response."""
        reward = logits[..., 1] - logits[..., 0]
        if context is None:
            context = reward.detach().mean(-1).clamp(min=0)
        against = reward - context.unsqueeze(-1)
        good, bad = self.good * (-against).sigmoid(), self.bad * against.sigmoid()
        return labels[..., 1] * good + labels[..., 0] * bad
