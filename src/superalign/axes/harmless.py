"""Harmlessness, by a harmless stand-in: what is marked as confidential is refused, and all else is answered."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from superalign.aim import Probe
from superalign.aims.refuse import Refuse
from superalign.attacker import Goal
from superalign.axis import Axis, axes, by_aim
from superalign.feedback import Feedback


@axes.register("harmless")
class Harmless(Axis):
    """Refusing what a stand-in policy forbids and nothing else, as the aim `refuse`; half of the probes are each."""

    def pairs(self, goals: Sequence[Goal], most: int, rng: np.random.Generator) -> list[Feedback]:
        """See Axis."""
        return by_aim(Refuse, goals, most, rng)

    def probes(self, goals: Sequence[Goal]) -> list[Probe]:
        """Ask with marks that are not taught."""
        return Refuse().probes(goals)
