"""Dr. DPO: distributionally robust over a batch's pairs."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, ClassVar

from pydantic import Field

from superalign.objective import objectives
from superalign.objectives._pairs import PairLoss
from superalign.objectives._parts import power_curvature

if TYPE_CHECKING:
    from torch import Tensor


@objectives.register("dr-dpo")
class DistributionallyRobustDPO(PairLoss):
    """-beta' log sum_i w_i exp(-l_i/beta') over the batch, l = -log sigma(z), w the items' shares of its weight.

    The soft minimum lets the pairs the learner fits lead: pair i has weight w_i exp(-l_i/beta'), renormalised.
    With log M = log sum_j w_j exp(-l_j/beta') from the whole batch, the loss of an item is
    beta' (1 - log M - exp(-l_i/beta')/M): over the batch its weighted mean is the loss above, and so is its gradient,
    however the batch is cut.
    """

    source: ClassVar[str] = "Wu et al. 2024 (arXiv 2407.07880), Dr. DPO loss; beta' = 1 as in its code"

    beta: Annotated[float, Field(gt=0.05)] = 1.0
    """beta': small values follow the best-fitted pairs alone, large ones tend to plain DPO."""

    @property
    def curvature(self) -> float:
        """Bound wherever the batch's loss is no worse than that of equal scores, so that M >= 2^(-1/beta').

        The second derivative for a hard label is then at most 2^(1/beta') times that of a power of p; soft labels can
        exceed it by less than 10 %, found by search.
        """
        return 1.1 * max(1.0, 2 ** (1 / self.beta) * power_curvature(1 / self.beta))

    def ahead(self, z: Tensor) -> Tensor:
        """Return -log sigma(z)."""
        import torch

        return -torch.nn.functional.logsigmoid(z)

    def batch_context(self, logits: Tensor, labels: Tensor, weight: Tensor) -> Tensor:
        """Return log M, [...]."""
        losses = super().__call__(logits, labels, progress=0.0, context=None)
        return (weight.log() - losses / self.beta).logsumexp(-1) - weight.sum(-1).log()

    def __call__(self, logits: Tensor, labels: Tensor, *, progress: float, context: Tensor | None) -> Tensor:
        """Return beta' (1 - log M - exp(-l_i/beta')/M)."""
        import torch

        losses = super().__call__(logits, labels, progress=progress, context=None)
        if context is None:
            context = self.batch_context(logits.detach(), labels, torch.ones_like(labels[..., 0]))
        log_m = context.unsqueeze(-1)
        # Only an item of next to no weight can lie above: exp(-l/beta')/M is at most one over its share.
        pull = (-losses / self.beta - log_m).clamp(max=80).exp()
        return self.beta * (1 - log_m - pull)
