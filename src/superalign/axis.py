"""An Axis is one of the aims that are balanced against each other: pairs that teach it, and probes that measure it."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Annotated, ClassVar

import numpy as np

from superalign.aim import Aim, Exposed, Probe
from superalign.attacker import Goal
from superalign.config import Component
from superalign.feedback import Feedback
from superalign.registry import Registry, chosen
from superalign.task import TaskSource


class Axis(Component, ABC):
    """Base of the axes. By default an axis is made of questions with two answers, without any ground truth."""

    own: ClassVar[bool] = False
    """Whether it is made of a task of its own, whose preferred responses are what is wanted."""

    @property
    def label(self) -> str:
        """What figures call it."""
        return self.name

    def source(self, questions: TaskSource) -> TaskSource:
        """Return the task that it is made of; `questions` are those of the study."""
        return questions

    @abstractmethod
    def pairs(self, goals: Sequence[Goal], most: int, rng: np.random.Generator) -> list[Feedback]:
        """Make at most so many pairs to learn from."""

    @abstractmethod
    def probes(self, goals: Sequence[Goal]) -> list[Probe]:
        """Return what a model is asked about goals that nothing is learnt from, worded as no pair is."""


def by_aim(aim: type[Aim], goals: Sequence[Goal], most: int, rng: np.random.Generator) -> list[Feedback]:
    """Return the feedback that an aim makes of goals that nobody attacked."""
    made = aim(share=most / len(goals)).feedback([Exposed(goal, (), None, "") for goal in goals], rng)
    return made[:most]


axes: Registry[Axis] = Registry("axis", "superalign.axes", Axis)
AxisChoice = Annotated[Axis, *chosen(axes)]
"""What is balanced, one axis a file."""
