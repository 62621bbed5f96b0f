"""An axis of the user's own: a set of preferences."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

import numpy as np

from superalign.aim import Probe
from superalign.attacker import Goal
from superalign.axis import Axis, axes
from superalign.chat import asked
from superalign.feedback import Feedback
from superalign.task import TaskChoice, TaskSource


@axes.register("pairs")
class Pairs(Axis):
    """A task of Comparisons (`pairs:file:FILE`, `pairs:hf:NAME`): the preferred response against the other one.

    A goal's `denied` is here the response that the set prefers. Those of the transfer part are what people said, and
    are learnt; those of the other parts only a metric reads.
    """

    argument: ClassVar[str | None] = "task"
    own: ClassVar[bool] = True

    task: TaskChoice
    """Its Comparisons; settings of the task stand in parentheses: pairs:(file:a.jsonl,chosen=good,rejected=bad)."""
    called: str = ""
    """What figures call it; by default the task."""

    @property
    def label(self) -> str:
        """See Axis."""
        return self.called or str(self.task)

    def source(self, questions: TaskSource) -> TaskSource:
        """Return its own task."""
        return self.task

    def pairs(self, goals: Sequence[Goal], most: int, rng: np.random.Generator) -> list[Feedback]:
        """See Axis."""
        chosen = [goals[number] for number in rng.permutation(len(goals))[:most].tolist()]
        return [
            Feedback(one.id, asked(one.prompt), (one.claim, one.denied), 1.0, self.label, "the set", group=one.group)
            for one in chosen
        ]

    def probes(self, goals: Sequence[Goal]) -> list[Probe]:
        """Ask which response is likelier."""
        return [Probe(one.id, asked(one.prompt), one.denied, one.claim, one.group) for one in goals]
