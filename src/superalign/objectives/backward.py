"""Backward correction: the loss multiplied by the inverse of the noise."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar, Self

import numpy as np
from pydantic import model_validator

from superalign.errors import ConfigError
from superalign.objective import objectives
from superalign.objectives._noise import NoiseCorrected

if TYPE_CHECKING:
    from torch import Tensor

WORST = 1e6  # condition number of a noise that counts as invertible


@objectives.register("backward")
class BackwardCorrection(NoiseCorrected):
    """sum_j (T^-1)_yj (-log p_j): over the noise its mean is the clean cross-entropy, whatever the learner holds.

    It is not bounded below. Soft labels: the expectation over the given label, our reading.
    """

    source: ClassVar[str] = "Patrini et al. 2017 (arXiv 1609.03683), theorem 1"

    @model_validator(mode="after")
    def _invertible(self) -> Self:
        if self.transition is not None and np.linalg.cond(np.array(self.transition)) > WORST:
            raise ConfigError(
                "the noise cannot be undone: two classes are labelled alike, so its matrix has no inverse",
                why=f"transition {self.transition}",
                fix="use forward, or an objective that needs no noise (gce)",
            )
        return self

    def __call__(self, logits: Tensor, labels: Tensor, *, progress: float, context: Tensor | None) -> Tensor:
        """Return -sum_j (y T^-1)_j log p_j."""
        import torch

        inverse = torch.from_numpy(np.linalg.inv(self.matrix(logits.shape[-1])))
        corrected = labels @ inverse.to(labels.dtype).to(labels.device, non_blocking=True)
        return -(corrected * logits.log_softmax(-1)).sum(-1)
