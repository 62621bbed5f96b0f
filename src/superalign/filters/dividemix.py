"""DivideMix's label refinement: the given label where it is likely right, the model's where it is likely wrong."""

from __future__ import annotations

from typing import Annotated, ClassVar

import numpy as np
from pydantic import Field

from superalign.filter import BoolArray, Evidence, Filter, FloatArray, filters
from superalign.filters._mixture import clean_chance


@filters.register("dividemix")
class DivideMix(Filter):
    """Relabel to w y + (1 - w) p, sharpened: w is the mixture's probability that the label is clean.

    Our reading: out-of-sample probabilities p stand in for the second network's; MixMatch training is left out.
    """

    source: ClassVar[str] = "Li et al. 2020, DivideMix (arXiv 2002.07394), co-refinement and sharpening"

    temperature: Annotated[float, Field(gt=0, le=1)] = 0.5
    """Targets are raised to the power of its inverse; 1 leaves them as they are."""

    def apply(self, evidence: Evidence) -> tuple[FloatArray, BoolArray]:
        """See Filter."""
        labels, present = evidence.labels, evidence.present
        loss = -(labels.probs * np.log(np.maximum(evidence.probs, 1e-9))).sum(1)
        w = np.ones((len(labels), 1))
        w[present, 0] = clean_chance(loss[present])
        target = (w * labels.probs + (1 - w) * evidence.probs) ** (1 / self.temperature)
        return np.asarray(target / target.sum(1, keepdims=True)), np.ones(len(labels), dtype=np.bool_)
