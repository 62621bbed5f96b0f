"""Nearest neighbours: drop or relabel the items whose neighbours are least of their label."""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal

import numpy as np
from pydantic import Field

from superalign.filter import BoolArray, Evidence, Filter, FloatArray, Share, filters, worst
from superalign.neighbours import nearest, standardised, votes


@filters.register("knn")
class NearestNeighbours(Filter):
    """The k nearest items vote with their labels; the worst share by the vote for the given label goes."""

    source: ClassVar[str] = "EleutherAI 2024, Experiments in weak-to-strong generalization: kNN probe, k = 50"

    k: Annotated[int, Field(ge=1)] = 50
    """Neighbours that vote, at most a tenth of the items."""
    share: Share = 0.1
    """Share of the items that goes."""
    action: Literal["drop", "relabel"] = "drop"
    """What happens to them; relabelled ones get their neighbours' mean label."""

    def apply(self, evidence: Evidence) -> tuple[FloatArray, BoolArray]:
        """See Filter."""
        labels = evidence.labels
        rows = standardised(evidence.features, centre=not evidence.pairwise)
        k = min(self.k, max(1, int(evidence.present.sum()) // 10))
        found = nearest(rows, k, groups=evidence.groups, present=evidence.present, pairwise=evidence.pairwise)
        said = votes(found, labels.probs, pairwise=evidence.pairwise)
        bad = worst(-(said * labels.probs).sum(1), self.share, evidence.present)
        if self.action == "drop":
            return labels.probs, ~bad
        return np.where(bad[:, None], said, labels.probs), np.ones(len(labels), dtype=np.bool_)
