"""Self-play: the learner tells what it says under attack from what it said when nobody pressed it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import ClassVar

import numpy as np

from superalign.aim import Exposed, Shown, Way
from superalign.attacker import World
from superalign.feedback import Feedback
from superalign.label import Labels
from superalign.objective import ObjectiveChoice
from superalign.registry import default
from superalign.task import Task
from superalign.update import updates
from superalign.updates.pairs import Pairs


@updates.register("spin")
class Spin(Pairs):
    """A trusted response wins against whatever the learner says now under attack, be it found bad or not.

    The paper's trusted responses are people's; here they are the learner's own plain answers that the critics find
    good. Its reference is the previous iterate; here it is, in every round, the model before it learnt anything, so
    that rounds do not drift away step by step. In the first round that is the same.
    """

    source: ClassVar[str] = "our reading of SPIN, Chen et al. 2024 (arXiv 2401.01335), equation 4.7"
    worlds: ClassVar[frozenset[World]] = frozenset({"behaviour"})
    ways: ClassVar[tuple[Way, ...]] = ("plain",)

    objective: ObjectiveChoice = default("dpo")
    """See superalign ls objectives."""

    def choose(self, one: Exposed) -> Exposed:
        """Set the trusted response against everything else that was said."""
        better = self.best(one)
        said = [attempt for attempt in one.ranked() if better and attempt.response not in ("", better.text)]
        if better is None:
            return replace(one, chosen=())
        return replace(one, chosen=tuple(Shown(each, (each.response, better.text), 1.0, better.way) for each in said))

    def lesson(self, feedback: Sequence[Feedback]) -> tuple[Task, Labels]:
        """Return the pairs; which response is the trusted one is no guess."""
        task, labels = super().lesson(feedback)
        return task, replace(labels, probs=np.eye(2, dtype=np.float32)[labels.argmax])
