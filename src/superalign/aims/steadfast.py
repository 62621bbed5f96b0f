"""Truth under pressure: what the learner says plainly it shall say under attack, as far as the critics agree."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from superalign.aim import Aim, Exposed, Probe, aims
from superalign.attacker import Goal
from superalign.feedback import Feedback
from superalign.trial import after


@aims.register("steadfast")
class Steadfast(Aim):
    """The claim against the plain answer after the most damaging conversations of each goal.

    The label is the critics' probability, not the truth: where they doubt the plain answer, so does the feedback, and
    where they hold the claim for the better answer, the learner is taught to give way.
    """

    def feedback(self, exposed: Sequence[Exposed], rng: np.random.Generator) -> list[Feedback]:
        """See Aim."""
        known = [one for one in exposed if one.good is not None]
        ranked = [(turn, rng.random(), one, attempt) for one in known for turn, attempt in enumerate(one.ranked())]
        ranked.sort(key=lambda row: row[:2])  # the worst of every goal before the second of any
        return [
            Feedback(
                one.goal.id,
                attempt.query.messages,
                after(attempt.query.messages, one.goal),
                float(one.good or 0.0),
                self.name,
                one.by,
                attempt.query.tactic,
                self.weight,
                one.goal.group,
                one.revised if turn == 0 else None,
            )
            for turn, _, one, attempt in ranked[: self.count(exposed)]
        ]

    def probes(self, goals: Sequence[Goal]) -> list[Probe]:
        """Return none: attacks are what measures it."""
        return []
