"""Self-refinement: the learner learns to say at once what it says after a critique."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from typing import ClassVar

from superalign.feedback import Feedback, as_pairs
from superalign.label import Labels
from superalign.task import Task
from superalign.update import updates
from superalign.updates.pairs import Pairs

MOST = 30.0  # nats: further out the probability is 0 or 1 in float32


@updates.register("refine")
class Refine(Pairs):
    """As pairs, but where the learner was asked again after a critique, the label is what it then said.

    So the critics decide through their words alone. A revision that the critics' own verdict contradicts is left out.
    """

    source: ClassVar[str] = "our reading of self-refinement (Madaan et al. 2023, arXiv 2303.17651), distilled"

    def lesson(self, feedback: Sequence[Feedback]) -> tuple[Task, Labels]:
        """See Update."""
        return as_pairs([_revised(row) for row in feedback])


def _revised(row: Feedback) -> Feedback:
    if row.revised is None:
        return row
    said = 1 / (1 + math.exp(-max(-MOST, min(MOST, row.revised))))
    return replace(row, better=said, weight=row.weight if (said > 0.5) == (row.better > 0.5) else 0.0)
