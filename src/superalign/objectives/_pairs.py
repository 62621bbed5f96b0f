"""What the losses of two responses share."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, ClassVar

from superalign.errors import ConfigError
from superalign.objective import Objective

if TYPE_CHECKING:
    from torch import Tensor


class PairLoss(Objective, ABC):
    """Base of the losses of two responses: q l(z) + (1 - q) l(-z), z = logit1 - logit0, q = labels[..., 1].

    The logits are the responses' scores. For a policy they are its implicit rewards beta log(pi/pi_ref), so that
    Bradley-Terry on rewards and DPO on policies are one loss, and each variant of it serves both. A soft label weighs
    the two orders, our reading where a paper has hard labels.
    """

    classes: ClassVar[int | None] = 2

    @abstractmethod
    def ahead(self, z: Tensor) -> Tensor:
        """Return l(z): the loss when the preferred response's score is z ahead of the other's."""

    def __call__(self, logits: Tensor, labels: Tensor, *, progress: float, context: Tensor | None) -> Tensor:
        """Return q l(z) + (1 - q) l(-z)."""
        if logits.shape[-1] != 2:
            raise ConfigError(
                f"objective '{self.name}' compares two classes, not {logits.shape[-1]}", fix="use naive, gce or cdpo"
            )
        z = logits[..., 1] - logits[..., 0]
        return labels[..., 1] * self.ahead(z) + labels[..., 0] * self.ahead(-z)
