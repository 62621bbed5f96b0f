"""Robust DPO: the pair loss made unbiased under a known rate of flips."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar, Self

from superalign.errors import ConfigError
from superalign.objective import FloatArray, objectives
from superalign.objectives._noise import Rate, flip_rate
from superalign.objectives._pairs import PairLoss

if TYPE_CHECKING:
    from torch import Tensor


@objectives.register("rdpo", "robust")
class RobustDPO(PairLoss):
    """(-(1-e) log sigma(z) + e log sigma(-z))/(1 - 2e): over flips at rate e its mean is the clean loss.

    It is `backward` for two classes and one rate, and like it not bounded below.
    """

    source: ClassVar[str] = "Chowdhury et al. 2024 (arXiv 2403.00409), equation 12"

    rate: Rate | None = None
    """e, the share of flipped preferences. Not given: it is estimated before training."""

    @property
    def wants_noise(self) -> bool:
        """Tell that no rate was given."""
        return self.rate is None

    def with_noise(self, transition: FloatArray) -> Self:
        """Return this loss at the noise's mean rate of flips; a rate the user gave stays."""
        return self.parse({"rate": flip_rate(transition, self.name)}) if self.rate is None else self

    def ahead(self, z: Tensor) -> Tensor:
        """Return (-(1-e) log sigma(z) + e log sigma(-z))/(1 - 2e)."""
        import torch

        if self.rate is None:
            raise ConfigError("objective 'rdpo' must know the rate of flips", fix="rdpo,rate=0.2, or estimate it")
        log_sigmoid = torch.nn.functional.logsigmoid
        return (self.rate * log_sigmoid(-z) - (1 - self.rate) * log_sigmoid(z)) / (1 - 2 * self.rate)
