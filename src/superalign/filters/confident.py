"""Confident learning: drop what the confident joint puts off its diagonal."""

from __future__ import annotations

from typing import ClassVar, Literal

import numpy as np

from superalign.estimation import confident_joint
from superalign.filter import BoolArray, Evidence, Filter, FloatArray, filters


@filters.register("confident", "confident-learning")
class Confident(Filter):
    """Drop items that are confidently of another class, or as many of each class as the confident joint says.

    `off-diagonal` drops item x given i when its confident class is not i. `noise-rate` drops, for each pair i, j, the
    round(n Q_ij) items given i with the largest margin p_j - p_i, where that margin is positive.
    """

    source: ClassVar[str] = "Northcutt et al. 2021 (arXiv 1911.00068), section 3.2, methods 2 and 4"

    rule: Literal["off-diagonal", "noise-rate"] = "off-diagonal"
    """Which items go."""

    def apply(self, evidence: Evidence) -> tuple[FloatArray, BoolArray]:
        """See Filter."""
        labels, k = evidence.labels, evidence.k
        rows = np.flatnonzero(evidence.present)
        given, p = labels.argmax[rows], evidence.probs[rows]
        if evidence.pairwise:
            joint = confident_joint(np.r_[given, 1 - given], np.r_[p, p[:, ::-1]], k)
        else:
            joint = confident_joint(given, p, k)
        if self.rule == "off-diagonal":
            above = p >= joint.thresholds - 1e-9
            best = np.where(above, p, -1).argmax(1)
            wrong = above.any(1) & (best != given)
        else:
            wrong = _by_rate(given, p, joint.calibrated * len(rows))
        keep = np.ones(len(labels), dtype=np.bool_)
        keep[rows[wrong]] = False
        return labels.probs, keep


def _by_rate(given: np.ndarray, p: FloatArray, expected: np.ndarray) -> BoolArray:
    wrong = np.zeros(len(given), dtype=np.bool_)
    for i, j in zip(*np.nonzero(np.round(expected) > 0), strict=True):
        if i != j:
            mine = np.flatnonzero(given == i)
            margin = p[mine, j] - p[mine, i]
            order = np.argsort(-margin, kind="stable")[: round(float(expected[i, j]))]
            wrong[mine[order[margin[order] > 0]]] = True
    return wrong
