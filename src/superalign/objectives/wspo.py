"""WSPO: a strong policy moves as far from its reference as the weak one that gave the labels moved from its own."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar, Literal

from superalign.objective import Objective, Said, objectives

if TYPE_CHECKING:
    from torch import Tensor


@objectives.register("wspo")
class WeakToStrongPreference(Objective):
    """sum_s q_s (beta log(pi/pi_ref)(y_s) - w_s)^2 / |y_s|, q_s the probability that response s is preferred.

    w is the weak policy's own shift, in nats: its implicit reward beta_w log(pi_w/pi_w,ref). The paper compares the
    shifts token by token on the chosen response and needs one tokenizer for both models. Our reading compares those of
    whole responses and divides by the strong model's tokens, so that any two models will do. The paper's coefficient
    is the two fits' beta / beta_w. A reward head may give w as well, but fixes no zero of it.
    """

    source: ClassVar[str] = "Zhu et al. 2025 (arXiv 2410.18640), the WSPO loss, by whole responses"
    classes: ClassVar[int | None] = 2
    wants_rewards: ClassVar[Literal["none", "supervisor", "aims"]] = "supervisor"

    @property
    def curvature(self) -> float:
        """Of a square, whose second derivative is 2, against cross-entropy's 1/2."""
        return 4.0

    def score(self, said: Said, beta: float) -> Tensor:
        """Return how far the policy's shift is from the supervisor's, or, where that is not known, the shift."""
        shift = super().score(said, beta)
        return shift if said.rewards is None else (shift - said.rewards) / said.tokens.sqrt()

    def __call__(self, logits: Tensor, labels: Tensor, *, progress: float, context: Tensor | None) -> Tensor:
        """Return the squares, weighted by the probability that each response is the preferred one."""
        return (labels * logits.square()).sum(-1)
