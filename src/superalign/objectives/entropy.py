"""Self-entropy: logconf with the learner's soft probabilities in place of its hard guesses."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, ClassVar

from pydantic import Field

from superalign.objective import Objective, objectives

if TYPE_CHECKING:
    from torch import Tensor


@objectives.register("entropy")
class SoftSelfTarget(Objective):
    """(1 - a) CE(p, weak) + a CE(p, p detached), with a rising linearly to `alpha` over the warm-up.

    The detached target leaves (1 - a) times the gradient of cross-entropy: the loss learns less from the labels late
    in training and from itself nothing. `bootstrap` is the form whose gradient lowers the entropy.
    """

    source: ClassVar[str] = "EleutherAI 2024, Experiments in weak-to-strong generalization (log-entropy loss)"

    alpha: Annotated[float, Field(ge=0, lt=1)] = 0.5
    """Final weight of the learner's own probabilities."""
    warmup: Annotated[float, Field(ge=0, le=1)] = 0.2
    """Share of the steps over which the weight rises from 0."""

    def __call__(self, logits: Tensor, labels: Tensor, *, progress: float, context: Tensor | None) -> Tensor:
        """Return the cross-entropy against (1 - a) y + a p, p without gradient in the target."""
        log_p = logits.log_softmax(-1)
        alpha = self.alpha * (min(1.0, progress / self.warmup) if self.warmup else 1.0)
        return -(((1 - alpha) * labels + alpha * log_p.detach().exp()) * log_p).sum(-1)
