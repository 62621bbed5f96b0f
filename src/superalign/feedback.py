"""Feedback is what a learner refines itself from: a conversation, two responses, and which one a critic prefers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from superalign.chat import Message, Messages
from superalign.config import digest
from superalign.label import Labels
from superalign.task import Comparison, Task

FloatArray = npt.NDArray[np.float32]
CLASSES = ("first", "second")


@dataclass(frozen=True)
class Feedback:
    """One pair with a noisy label. It holds no ground truth.

    Args:
        goal: id of the goal, or item, that it is about.
        messages: what the learner is told.
        responses: two that it may give.
        better: the probability, as who gave it sees it, that the second is the better one.
        aim: the dimension of what is wanted that it serves.
        by: who gave it.
        tactic: what was tried on the learner, if anything was.
        weight: of it, not negative.
        group: feedback of one group is about the same thing.
        revised: log-odds of the second against the first when the learner was asked again after a critique; None where
            it was not.
    """

    goal: str
    messages: Messages
    responses: tuple[str, str]
    better: float
    aim: str
    by: str
    tactic: str = ""
    weight: float = 1.0
    group: str = ""
    revised: float | None = None

    def written(self) -> dict[str, Any]:
        """Return this as plain data."""
        return {**asdict(self), "messages": [list(turn) for turn in self.messages], "responses": list(self.responses)}

    @classmethod
    def read(cls, row: Mapping[str, Any]) -> Feedback:
        """Rebuild from `written`."""
        messages = tuple(Message(*turn) for turn in row["messages"])
        return cls(**{**row, "messages": messages, "responses": (row["responses"][0], row["responses"][1])})


def as_pairs(rows: Sequence[Feedback]) -> tuple[Task, Labels]:
    """Return feedback as Comparisons with soft labels, of which each has its weight."""
    items = tuple(
        Comparison(f"{place}", "", row.responses, row.group, {"aim": row.aim}, messages=row.messages)
        for place, row in enumerate(rows)
    )
    better = np.array([row.better for row in rows], dtype=np.float32)
    weight = np.array([row.weight for row in rows], dtype=np.float32)
    labels = Labels(np.stack([1 - better, better], axis=1), weight, "feedback")
    return Task("feedback", digest([row.written() for row in rows]), items, CLASSES), labels
