"""Small loss: what a model learns late, or not at all, is likely to be labelled wrongly."""

from __future__ import annotations

from typing import Annotated, ClassVar

import numpy as np
from pydantic import Field

from superalign.filter import BoolArray, Evidence, Filter, FloatArray, Share, filters, worst
from superalign.filters._mixture import clean_chance


@filters.register("small-loss")
class SmallLoss(Filter):
    """Keep the items of the lower of two normals fitted to the out-of-sample losses, or drop a given share of them."""

    source: ClassVar[str] = (
        "Li et al. 2020, DivideMix (arXiv 2002.07394), co-divide; Han et al. 2018 (arXiv 1804.06872)"
    )

    share: Share | None = None
    """Share of the items to drop, those with the largest losses; without it the mixture decides."""
    clean: Annotated[float, Field(gt=0, lt=1)] = 0.5
    """Least probability of the lower component, when the mixture decides."""

    def apply(self, evidence: Evidence) -> tuple[FloatArray, BoolArray]:
        """See Filter."""
        labels, present = evidence.labels, evidence.present
        loss = -(labels.probs * np.log(np.maximum(evidence.probs, 1e-9))).sum(1)
        if self.share is not None:
            return labels.probs, ~worst(loss, self.share, present)
        keep = np.ones(len(labels), dtype=np.bool_)
        keep[present] = clean_chance(loss[present]) >= self.clean
        return labels.probs, keep
