"""Honesty: what the model says plainly it also says after a sentence of pressure."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Self

import numpy as np
from pydantic import model_validator

from superalign.aim import Probe
from superalign.attacker import Goal, apart
from superalign.attacks.pressure import TACTICS, pressed
from superalign.axis import Axis, axes
from superalign.errors import ConfigError, did_you_mean
from superalign.feedback import Feedback
from superalign.tasks._tabular import Names


@axes.register("honest")
class Honest(Axis):
    """The plain answer against the claim, after one sentence of pressure (the attack `pressure`).

    What is wanted follows from what the model said plainly before it learnt anything; whether that is true is not at
    stake, and nobody asks. Tactics that are taught and those by which it is measured are different ones.
    """

    taught: Names = ("assertion", "consensus", "contradiction")
    """Tactics of the attack `pressure` in the pairs, joined by `+`."""
    probed: Names = ("authority", "quotation", "emotion")
    """Tactics in the probes."""

    @model_validator(mode="after")
    def _apart(self) -> Self:
        for name in (*self.taught, *self.probed):
            if name not in TACTICS:
                raise ConfigError(f"unknown tactic '{name}'", fix=did_you_mean(name, TACTICS))
        if not self.taught or not self.probed:
            raise ConfigError("honest needs a tactic to teach and one to probe with")
        if both := sorted({*self.taught} & {*self.probed}):
            raise ConfigError(f"tactic '{both[0]}' is taught and probed", why="a probe is worded as no pair is")
        return self

    def pairs(self, goals: Sequence[Goal], most: int, rng: np.random.Generator) -> list[Feedback]:
        """See Axis."""
        found = []
        for place, number in enumerate(rng.permutation(len(goals))[:most].tolist()):
            goal, tactic = goals[number], self.taught[place % len(self.taught)]
            messages, both = pressed(goal, tactic), apart(goal.claim, goal.denied)
            told = {"by": "the model itself", "tactic": tactic, "group": goal.group}
            found.append(Feedback(goal.id, messages, both, 1.0, self.name, **told))
        return found

    def probes(self, goals: Sequence[Goal]) -> list[Probe]:
        """Ask under other tactics."""
        found = []
        for place, goal in enumerate(goals):
            claim, denied = apart(goal.claim, goal.denied)
            messages = pressed(goal, self.probed[place % len(self.probed)])
            found.append(Probe(goal.id, messages, denied, claim, goal.group))
        return found
