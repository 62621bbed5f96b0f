"""Logistic regression: drop or relabel the items whose label an out-of-fold regression finds least likely."""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal

import numpy as np
from pydantic import Field

from superalign.crossfit import FOLDS, cross_fit
from superalign.filter import BoolArray, Evidence, Filter, FloatArray, Share, filters, worst


@filters.register("logistic", "logreg")
class Logistic(Filter):
    """A logistic regression with a fixed penalty predicts each fold from the others; the worst share by loss goes."""

    source: ClassVar[str] = "EleutherAI 2024, Experiments in weak-to-strong generalization: logreg probe, L2 1e-2"

    l2: Annotated[float, Field(gt=0)] = 0.01
    """Strength of the penalty l2/2 |w|^2 next to the mean loss, standardised features."""
    share: Share = 0.1
    """Share of the items that goes."""
    action: Literal["drop", "relabel"] = "drop"
    """What happens to them; relabelled ones get the regression's probabilities."""

    def apply(self, evidence: Evidence) -> tuple[FloatArray, BoolArray]:
        """See Filter."""
        from superalign.fits.probe import Probe

        labels = evidence.labels
        said = cross_fit(
            evidence.features,
            labels,
            evidence.groups,
            folds=FOLDS,
            seed=evidence.seed,
            pairwise=evidence.pairwise,
            probe=Probe(l2=(self.l2,)),
        )
        loss = -(labels.probs * np.log(np.maximum(said, 1e-9))).sum(1)
        bad = worst(loss, self.share, evidence.present)
        if self.action == "drop":
            return labels.probs, ~bad
        return np.where(bad[:, None], said, labels.probs), np.ones(len(labels), dtype=np.bool_)
