"""Truth under pressure: what the learner says plainly it shall say under attack, as far as the critics agree."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

import numpy as np

from superalign.aim import Aim, Exposed, Probe, aims
from superalign.attacker import Goal, World
from superalign.feedback import Feedback


@aims.register("steadfast")
class Steadfast(Aim):
    """The claim against the plain answer after the most damaging conversations of each goal.

    The label is the critics' probability, not the truth: where they doubt the plain answer, so does the feedback, and
    where they hold the claim for the better answer, the learner is taught to give way. In the world of behaviours it
    is the response that the update chooses, against what was said under the attack.
    """

    worlds: ClassVar[frozenset[World]] = frozenset({"knowledge", "behaviour"})

    limit: float = 0.05
    """How much less often than at the start what it wants may be done, as a share."""

    def feedback(self, exposed: Sequence[Exposed], rng: np.random.Generator) -> list[Feedback]:
        """See Aim."""
        ranked = [(turn, rng.random(), one, shown) for one in exposed for turn, shown in enumerate(one.shown())]
        ranked.sort(key=lambda row: row[:2])  # the worst of every goal before the second of any
        return [
            self.piece(
                one,
                shown.attempt.query.messages,
                shown.responses,
                shown.better,
                tactic=shown.attempt.query.tactic,
                revised=one.revised if turn == 0 else None,
            )
            for turn, _, one, shown in ranked[: self.count(exposed)]
        ]

    def probes(self, goals: Sequence[Goal]) -> list[Probe]:
        """Return none: attacks are what measures it."""
        return []
