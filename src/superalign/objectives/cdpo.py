"""Conservative DPO: labels smoothed by an assumed rate of flips."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, ClassVar

from pydantic import Field

from superalign.objective import Objective, objectives

if TYPE_CHECKING:
    from torch import Tensor


@objectives.register("cdpo", "smoothing")
class ConservativeDPO(Objective):
    """Cross-entropy against labels of which a share `rate` is taken to be wrong: -(1-e) log sigma(z) - e log sigma(-z).

    Its optimum on a hard label is p = 1 - e. For k classes the target is (1 - e) y + e (1 - y)/(k - 1), our reading;
    that is label smoothing by e k/(k - 1).
    """

    source: ClassVar[str] = "Mitchell 2023, A note on DPO with noisy preferences (cDPO)"

    rate: Annotated[float, Field(ge=0, lt=0.5)] = 0.1
    """Share of labels taken to be wrong."""

    def __call__(self, logits: Tensor, labels: Tensor, *, progress: float, context: Tensor | None) -> Tensor:
        """Return the cross-entropy against the smoothed labels."""
        target = (1 - self.rate) * labels + self.rate / (logits.shape[-1] - 1) * (1 - labels)
        return -(target * logits.log_softmax(-1)).sum(-1)
