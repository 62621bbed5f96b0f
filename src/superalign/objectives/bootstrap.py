"""Bootstrapping: labels mixed with the learner's own belief."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, ClassVar, Literal

from pydantic import Field

from superalign.objective import Objective, objectives

if TYPE_CHECKING:
    from torch import Tensor


@objectives.register("bootstrap")
class Bootstrap(Objective):
    """-sum_k (beta y_k + (1 - beta) t_k) log p_k, t the learner's probabilities (soft) or its guess (hard).

    The soft form is cross-entropy with an entropy penalty: the gradient flows through t = p too (detached, it would
    be beta times that of cross-entropy and nothing more). The hard guess has no gradient.
    """

    source: ClassVar[str] = "Reed et al. 2014 (arXiv 1412.6596), equations 6 and 7"

    kind: Literal["soft", "hard"] = "soft"
    """What stands for the learner's own belief."""
    beta: Annotated[float, Field(ge=0.5, le=1)] | None = None
    """Weight of the given labels; the paper's 0.95 (soft) or 0.8 (hard) when not given."""

    def __call__(self, logits: Tensor, labels: Tensor, *, progress: float, context: Tensor | None) -> Tensor:
        """Return the cross-entropy against the mixed target."""
        import torch

        log_p = logits.log_softmax(-1)
        if self.kind == "soft":
            beta, own = self.beta or 0.95, log_p.exp()
        else:
            beta = self.beta or 0.8
            own = torch.nn.functional.one_hot(log_p.detach().argmax(-1), logits.shape[-1]).to(labels.dtype)
        return -((beta * labels + (1 - beta) * own) * log_p).sum(-1)
