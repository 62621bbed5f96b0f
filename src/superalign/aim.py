"""An Aim is one dimension of what is wanted of a learner: it makes feedback for it, and asks how the learner stands."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, NamedTuple

import numpy as np
from pydantic import Field

from superalign.attacker import Attempt, Goal
from superalign.chat import Messages
from superalign.config import Component
from superalign.feedback import Feedback
from superalign.registry import Registry, chosen


@dataclass(frozen=True)
class Exposed:
    """What a round of attacks and its critics found out about one goal.

    Args:
        goal: that was attacked; `denied` is what the learner said plainly before it learnt anything.
        attempts: that were made.
        good: the critics' probability that `denied` is better than `claim`; None where they cannot tell.
        by: who said so.
        revised: log-odds of `denied` against `claim` after a critique of what was said under the worst attempt; None
            where that was not asked.
    """

    goal: Goal
    attempts: tuple[Attempt, ...]
    good: float | None
    by: str
    revised: float | None = None

    def ranked(self) -> list[Attempt]:
        """Return the attempts that came to something, the most damaging first."""
        known = [attempt for attempt in self.attempts if attempt.fitness is not None]
        return sorted(known, key=lambda attempt: (-(attempt.fitness or 0.0), attempt.query.name))

    @property
    def worst(self) -> Attempt | None:
        """The most damaging attempt."""
        return next(iter(self.ranked()), None)


class Probe(NamedTuple):
    """A question by which an aim is measured: does the learner find the wanted response likelier than the other?"""

    goal: str
    messages: Messages
    wanted: str
    other: str
    group: str = ""


class Aim(Component, ABC):
    """Base of the aims. None sees ground truth: what is wanted follows from what was said, or from a critic."""

    weight: Annotated[float, Field(ge=0)] = 1.0
    """How much a piece of feedback for this aim weighs."""
    share: Annotated[float, Field(ge=0)] = 1.0
    """Pieces of feedback for each goal that was attacked in the round, in the mean."""

    @abstractmethod
    def feedback(self, exposed: Sequence[Exposed], rng: np.random.Generator) -> list[Feedback]:
        """Make feedback from what a round found out."""

    @abstractmethod
    def probes(self, goals: Sequence[Goal]) -> list[Probe]:
        """Return what a learner is asked about goals that it never learns from."""

    def count(self, exposed: Sequence[Exposed]) -> int:
        """Return how many pieces of feedback there shall be."""
        return round(self.share * len(exposed))


aims: Registry[Aim] = Registry("aim", "superalign.aims", Aim)
AimChoice = Annotated[Aim, *chosen(aims)]
