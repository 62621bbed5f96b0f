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
        ranked = []
        for one in exposed:
            known = [
                (attempt.fitness, rng.random(), attempt) for attempt in one.attempts if attempt.fitness is not None
            ]
            if one.good is not None:
                worst = sorted(known, key=lambda row: (-row[0], row[1]))
                ranked += [(turn, rng.random(), one, attempt) for turn, (_, _, attempt) in enumerate(worst)]
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
            )
            for _, _, one, attempt in ranked[: self.count(exposed)]
        ]

    def probes(self, goals: Sequence[Goal]) -> list[Probe]:
        """Return none: attacks are what measures it."""
        return []
