"""P(IK): where the strong model knows, its own label; elsewhere the given one, smoothed over its neighbours."""

from __future__ import annotations

from typing import Annotated, ClassVar

import numpy as np
from pydantic import Field

from superalign.estimation import confident_joint
from superalign.filter import BoolArray, Evidence, Filter, FloatArray, filters, one_hot
from superalign.neighbours import nearest, standardised, votes


@filters.register("p-ik")
class KnowsItself(Filter):
    """Trust the strong model where it knows, and its neighbourhood where it does not.

    Our reading: the strong model's own label is the cross-fitted probe's; it knows when that class's probability is at
    least `threshold`, or, without one, at least the class's mean self-confidence, which falls with the noise. The
    paper trains a classifier of P(IK) on answers that the strong model samples; a probe has none.
    """

    source: ClassVar[str] = "Selective weak-to-strong generalization (arXiv 2511.14166)"

    threshold: Annotated[float, Field(gt=0, le=1)] | None = None
    """Least probability at which the strong model knows; None for each class's mean self-confidence."""
    k: Annotated[int, Field(ge=1)] = 10
    """Neighbours that smooth the other labels."""
    smoothing: Annotated[float, Field(ge=0, le=1)] = 0.5
    """Weight of the neighbours' mean label beside the item's own."""

    def apply(self, evidence: Evidence) -> tuple[FloatArray, BoolArray]:
        """See Filter."""
        labels, present, k = evidence.labels, evidence.present, evidence.k
        own = evidence.probs.argmax(1)
        sure = evidence.probs[np.arange(len(own)), own]
        given, p = labels.argmax[present], evidence.probs[present]
        if evidence.pairwise:
            given, p = np.r_[given, 1 - given], np.r_[p, p[:, ::-1]]
        least = confident_joint(given, p, k).thresholds[own] if self.threshold is None else self.threshold
        knows = sure >= np.asarray(least) - 1e-9
        rows = standardised(evidence.features, centre=not evidence.pairwise)
        found = nearest(rows, self.k, groups=evidence.groups, present=present, pairwise=evidence.pairwise)
        around = votes(found, labels.probs, pairwise=evidence.pairwise)
        smooth = (1 - self.smoothing) * labels.probs + self.smoothing * around
        return np.where(knows[:, None], one_hot(own, k), smooth), np.ones(len(labels), dtype=np.bool_)
