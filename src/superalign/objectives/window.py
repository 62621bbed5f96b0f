"""Confidence window: learn only where the learner, or its supervisor, is unsure - or only where it is sure."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, ClassVar, Literal

from pydantic import Field

from superalign.objective import objectives
from superalign.objectives._weighted import Weighted

if TYPE_CHECKING:
    from torch import Tensor


@objectives.register("window")
class ConfidenceWindow(Weighted):
    """The base's loss where max_k p_k - 1/k <= radius, else 0; `keep=confident` turns it round.

    By default p is the learner's, as in the source: what it has settled, it is taught no further. For two classes
    that is |p - 1/2| <= radius. `of=supervisor,keep=confident,radius=0.25` keeps the labels that are at least 75 %
    sure. At the edge of a window on the learner the gradient jumps, so items may go in and out of it.
    """

    source: ClassVar[str] = "EleutherAI 2024, Experiments in weak-to-strong generalization (confidence window)"

    radius: Annotated[float, Field(ge=0, lt=1)] = 0.15
    """Half the width of the window, in probability above chance."""
    of: Literal["learner", "supervisor"] = "learner"
    """Whose probabilities are looked at: the learner's of the moment, or the labels."""
    keep: Literal["uncertain", "confident"] = "uncertain"
    """Which items teach: those inside the window, or those outside."""

    def share(self, logits: Tensor, labels: Tensor) -> Tensor:
        """Return 1 for the items that teach, else 0."""
        probs = logits.softmax(-1) if self.of == "learner" else labels
        inside = probs.amax(-1) - 1 / probs.shape[-1] <= self.radius
        return (inside if self.keep == "uncertain" else ~inside).to(labels.dtype)
