"""MODPO: preferences of one aim, learnt so that the policy serves other aims as well."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, ClassVar, Literal

from pydantic import Field

from superalign.objective import Said, objectives
from superalign.objectives._pairs import PairLoss

if TYPE_CHECKING:
    from torch import Tensor


@objectives.register("modpo")
class MultiObjectiveDPO(PairLoss):
    """-log sigma(z), z the difference of (beta log(pi/pi_ref) - w r) / w0 between the preferred response and the other.

    w r are the rewards of the other aims, which the items bring along, times their weights already: with one other
    aim, 1 - w0. The policy's own shift is then the reward of all aims together, and what is left of it without the
    others, divided by w0, explains the preferences. Where no rewards are known, as when it predicts, they are 0.
    """

    source: ClassVar[str] = "Zhou et al. 2023 (arXiv 2310.03708), MODPO loss"
    wants_rewards: ClassVar[Literal["none", "supervisor", "aims"]] = "aims"

    weight: Annotated[float, Field(gt=0, le=1)] = 0.5
    """w0, of the aim that the labels are about."""

    def score(self, said: Said, beta: float) -> Tensor:
        """Return what the preferences are to be explained by."""
        shift = super().score(said, beta)
        return (shift if said.rewards is None else shift - said.rewards) / self.weight

    def ahead(self, z: Tensor) -> Tensor:
        """Return -log sigma(z)."""
        import torch

        return -torch.nn.functional.logsigmoid(z)
