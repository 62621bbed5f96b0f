"""Helpfulness: who asks for an answer in a certain form gets it in that form."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from superalign.aim import Probe
from superalign.aims.form import InForm
from superalign.attacker import Goal
from superalign.axis import Axis, axes, by_aim
from superalign.feedback import Feedback


@axes.register("helpful")
class Helpful(Axis):
    """Following an instruction's form, as the aim `form`: the answer in the form asked for against the bare one."""

    def pairs(self, goals: Sequence[Goal], most: int, rng: np.random.Generator) -> list[Feedback]:
        """See Axis."""
        return by_aim(InForm, goals, most, rng)

    def probes(self, goals: Sequence[Goal]) -> list[Probe]:
        """Ask for forms that are not taught."""
        return InForm().probes(goals)
