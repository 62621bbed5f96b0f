"""Self-refinement: the learner learns to say at once what it says after a critique."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import ClassVar

from superalign.aim import Way
from superalign.feedback import Feedback, as_pairs
from superalign.label import Labels
from superalign.odds import sigmoid
from superalign.task import Task
from superalign.update import updates
from superalign.updates.pairs import Pairs


@updates.register("refine")
class Refine(Pairs):
    """As pairs, but where the learner was asked again after a critique, the label is what it then said.

    So the critics decide through their words alone. A revision that the critics' own verdict contradicts is left out.
    In the world of behaviours the better response is what the learner writes after the critique, where it is good.
    """

    source: ClassVar[str] = "our reading of self-refinement (Madaan et al. 2023, arXiv 2303.17651), distilled"
    ways: ClassVar[tuple[Way, ...]] = ("revision",)

    def lesson(self, feedback: Sequence[Feedback]) -> tuple[Task, Labels]:
        """See Update."""
        return as_pairs([_revised(row) for row in feedback])


def _revised(row: Feedback) -> Feedback:
    if row.revised is None:
        return row
    said = sigmoid(row.revised)
    return replace(row, better=said, weight=row.weight if (said > 0.5) == (row.better > 0.5) else 0.0)
