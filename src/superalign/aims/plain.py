"""What the learner knows it shall keep: without any pressure it answers as it did before."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from superalign.aim import Aim, Exposed, Probe, aims
from superalign.attacker import Goal, apart
from superalign.chat import asked
from superalign.feedback import Feedback


@aims.register("plain")
class Plain(Aim):
    """The plain question with both answers, and the critics' probability."""

    share: float = 0.2
    """Pieces of feedback for each goal, in the mean."""
    limit: float = 0.12
    """How much less often than at the start what it wants may be done, as a share."""

    def feedback(self, exposed: Sequence[Exposed], rng: np.random.Generator) -> list[Feedback]:
        """See Aim."""
        known = [one for one in exposed if one.good is not None]
        chosen = rng.permutation(len(known))[: self.count(exposed)]
        return [
            self.piece(one, asked(one.goal.prompt), apart(one.goal.claim, one.goal.denied), float(one.good or 0.0))
            for one in (known[place] for place in chosen.tolist())
        ]

    def probes(self, goals: Sequence[Goal]) -> list[Probe]:
        """Ask plainly."""
        found = []
        for goal in goals:
            claim, denied = apart(goal.claim, goal.denied)
            found.append(Probe(goal.id, asked(goal.prompt), denied, claim, goal.group))
        return found
