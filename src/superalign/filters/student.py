"""Student-to-student: a student's predictions become the next one's labels."""

from __future__ import annotations

from typing import Annotated, ClassVar

import numpy as np
from pydantic import Field

from superalign.crossfit import FOLDS, cross_fit
from superalign.filter import BoolArray, Evidence, Filter, FloatArray, filters
from superalign.label import Labels


@filters.register("student", "s2s")
class Student(Filter):
    """Replace all labels by what students trained on them say out of sample, again and again.

    Every round deals new folds, so that no item is predicted by a probe trained on its own label of that round.
    """

    source: ClassVar[str] = "EleutherAI 2024, Experiments in weak-to-strong generalization: s2s, two rounds"

    rounds: Annotated[int, Field(ge=1)] = 2
    """Students in a row."""

    def apply(self, evidence: Evidence) -> tuple[FloatArray, BoolArray]:
        """See Filter."""
        labels, said = evidence.labels, evidence.probs
        for number in range(1, self.rounds):
            said = cross_fit(
                evidence.features,
                Labels(said, labels.weight, labels.by),
                evidence.groups,
                folds=FOLDS,
                seed=evidence.seed + number,
                pairwise=evidence.pairwise,
            )
        return said, np.ones(len(labels), dtype=np.bool_)
