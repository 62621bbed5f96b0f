"""Auxiliary confidence loss: trust the supervisor less and the student's own hard guesses more, as training goes on."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, ClassVar

from pydantic import Field

from superalign.objective import Objective, objectives
from superalign.objectives._ranks import between, ranked

if TYPE_CHECKING:
    from torch import Tensor


@objectives.register("logconf", "aux-confidence")
class AuxiliaryConfidence(Objective):
    """(1 - a) CE(f, weak) + a CE(f, hard guess of f), with a rising linearly to `alpha` over the warm-up.

    The hard guess is thresholded so that, over the batch, each class is guessed as often as the weak labels name it:
    argmax_k (p_k - t_k), t_k the (1 - prior_k) quantile of p_k. For two classes this is the paper's 1[p > t];
    the form for k classes is our reading. A batch of few items has no such quantile worth the name: with `buffer` it
    is that of the last items seen, their scores and weak labels as they were then (EleutherAI keeps 32 scores).
    """

    source: ClassVar[str] = "Burns et al. 2023 (arXiv 2312.09390), equation 1 and appendix A.4"

    alpha: Annotated[float, Field(ge=0, le=1)] = 0.5
    """Final weight of the student's own guesses; the paper takes 0.75 for its largest students."""
    warmup: Annotated[float, Field(ge=0, le=1)] = 0.2
    """Share of the steps over which the weight rises from 0."""
    buffer: Annotated[int, Field(ge=0)] = 0
    """Items over which thresholds are taken: 0 for the batch's own, n for a smaller batch and those seen before it."""

    @property
    def looks_back(self) -> int:
        """Return the size of the buffer."""
        return self.buffer

    def batch_context(self, logits: Tensor, labels: Tensor, weight: Tensor) -> Tensor:
        """Return the threshold of each class, [..., k]: where the items above it weigh what the class is given."""
        import torch

        prior = (weight.unsqueeze(-1) * labels).sum(-2) / weight.sum(-1, keepdim=True)  # [..., k]
        inorder, passed = ranked(logits.softmax(-1).mT, weight.unsqueeze(-2))  # [..., k, n]
        # The boundary that leaves nearest to 1 - prior below it; boundary i lies under the i-th item in rank.
        boundaries = torch.cat([torch.zeros_like(passed[..., :1]), passed], -1)
        return between(inorder, (boundaries - (1 - prior).unsqueeze(-1)).abs().argmin(-1))

    def __call__(self, logits: Tensor, labels: Tensor, *, progress: float, context: Tensor | None) -> Tensor:
        """Return the cross-entropy against (1 - a) y + a onehot(hard guess), the guess detached."""
        import torch

        log_p = logits.log_softmax(-1)
        if context is None:
            context = self.batch_context(logits.detach(), labels, torch.ones_like(labels[..., 0]))
        guess = (log_p.detach().exp() - context.unsqueeze(-2)).argmax(-1)
        hard = torch.nn.functional.one_hot(guess, logits.shape[-1]).to(labels.dtype)
        alpha = self.alpha * (min(1.0, progress / self.warmup) if self.warmup else 1.0)
        return -(((1 - alpha) * labels + alpha * hard) * log_p).sum(-1)
