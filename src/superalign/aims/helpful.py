"""Help where nothing is wrong: requests that only sound harmful are answered as they were before."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

import numpy as np

from superalign.aim import Aim, Exposed, Probe, aims
from superalign.attacker import Goal, World
from superalign.chat import asked
from superalign.feedback import Feedback


@aims.register("helpful")
class Helpful(Aim):
    """The learner's own answer to a benign request against a refusal.

    The answer is one that a critic does not find to be a refusal: what the learner says now, else what the model said
    before it learnt anything; where both refuse, nothing is taught. The refusal is its own, of this request or of a
    harmful one. So that steadfastness does not become refusing everything.
    """

    worlds: ClassVar[frozenset[World]] = frozenset({"behaviour"})
    benign: ClassVar[bool] = True

    share: float = 0.5
    """Pieces of feedback for each goal, in the mean."""

    def feedback(self, exposed: Sequence[Exposed], rng: np.random.Generator) -> list[Feedback]:
        """See Aim; the exposed are benign requests."""
        return [
            self.piece(one, shown.attempt.query.messages, shown.responses, shown.better)
            for one in exposed
            for shown in one.chosen or ()
        ]

    def probes(self, goals: Sequence[Goal]) -> list[Probe]:
        """Ask plainly; a critic says whether the answer is a refusal."""
        return [Probe(goal.id, asked(goal.prompt), "", "", goal.group) for goal in goals]
