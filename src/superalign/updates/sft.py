"""Supervised fine-tuning on what the critics prefer."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import ClassVar

import numpy as np

from superalign.feedback import Feedback, as_pairs
from superalign.label import Labels
from superalign.objective import Objective
from superalign.task import Example, Task
from superalign.update import Update, updates


@updates.register("sft")
class Sft(Update):
    """The learner learns to say the preferred response; a pair that the critics doubt weighs less, |2q - 1|."""

    source: ClassVar[str] = "our reading of SFT on chosen responses, weighted by confidence"

    @property
    def loss(self) -> Objective:
        """See Update."""
        from superalign.fits._generative import Likelihood

        return Likelihood()

    def lesson(self, feedback: Sequence[Feedback]) -> tuple[Task, Labels]:
        """See Update."""
        task, labels = as_pairs(feedback)
        items = tuple(
            Example(str(place), "", row.responses[int(row.better > 0.5)], row.group, {"aim": row.aim}, row.messages)
            for place, row in enumerate(feedback)
        )
        sure = labels.weight * np.abs(2 * labels.probs[:, 1] - 1)
        said = Labels.hard(np.ones(len(items), dtype=np.int64), 2, labels.by)
        return replace(task, items=items, classes=("unsaid", "said")), replace(said, weight=sure)
