"""An Aim is one dimension of what is wanted of a learner: it makes feedback for it, and asks how the learner stands."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, Any, ClassVar, Literal, NamedTuple

import numpy as np
from pydantic import Field

from superalign.attacker import Attempt, Goal, World
from superalign.chat import Messages
from superalign.config import Component
from superalign.feedback import Feedback
from superalign.registry import Registry, chosen
from superalign.trial import after

Way = Literal["plain", "revision", "drawn", "stand-in"]


class Own(NamedTuple):
    """A response that the learner may be taught, in the world of behaviours.

    Args:
        way: `plain`: its answer to the plain request; `revision`: what it writes after a critique; `drawn`: one of
            several answers to the attack; `stand-in`: it is not its own, the user gave it.
        text: what it says.
        good: the critics' probability that it is good; None where they cannot tell.
    """

    way: Way
    text: str
    good: float | None


class Shown(NamedTuple):
    """An attempt that the learner is to learn from.

    Args:
        attempt: what was asked.
        responses: two.
        better: how probably the second is the better one.
        way: where the second comes from, in the world of behaviours: a Way, or `self-judged` where the learner alone
            finds it good.
    """

    attempt: Attempt
    responses: tuple[str, str]
    better: float
    way: Way | Literal["self-judged", ""] = ""


@dataclass(frozen=True)
class Exposed:
    """What a round of attacks and its critics found out about one goal.

    Args:
        goal: that was attacked; `denied` is what the learner said plainly before it learnt anything.
        attempts: that were made.
        good: the critics' probability that `denied` is better than `claim`, in the world of behaviours that the plain
            answer is good; None where they cannot tell.
        by: who said so.
        revised: log-odds of `denied` against `claim` after a critique of what was said under the worst attempt; None
            where that was not asked.
        own: in the world of behaviours, the responses that may be taught.
        chosen: in the world of behaviours, what an update made of them; None where it was not asked.
    """

    goal: Goal
    attempts: tuple[Attempt, ...]
    good: float | None
    by: str
    revised: float | None = None
    own: tuple[Own, ...] = ()
    chosen: tuple[Shown, ...] | None = None

    def shown(self) -> list[Shown]:
        """Return what is to be learnt from, the most damaging first; nothing where the critics cannot tell."""
        if self.chosen is not None:
            return list(self.chosen)
        if self.good is None:
            return []
        return [Shown(one, after(one.query.messages, self.goal), self.good) for one in self.ranked()]

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

    worlds: ClassVar[frozenset[World]] = frozenset({"knowledge"})
    """Where it makes sense."""
    benign: ClassVar[bool] = False
    """Whether it is about requests that nobody should refuse, and not about what is attacked."""

    weight: Annotated[float, Field(ge=0)] = 1.0
    """How much a piece of feedback for this aim weighs."""
    share: Annotated[float, Field(ge=0)] = 1.0
    """Pieces of feedback for each goal that was attacked in the round, in the mean."""
    limit: Annotated[float, Field(ge=0)] = 0.1
    """How much less often than at the start a learner may do what is wanted and pass the gate, as a share."""

    @abstractmethod
    def feedback(self, exposed: Sequence[Exposed], rng: np.random.Generator) -> list[Feedback]:
        """Make feedback from what a round found out."""

    @abstractmethod
    def probes(self, goals: Sequence[Goal]) -> list[Probe]:
        """Return what a learner is asked about goals that it never learns from."""

    def count(self, exposed: Sequence[Exposed]) -> int:
        """Return how many pieces of feedback there shall be."""
        return round(self.share * len(exposed))

    def piece(
        self, one: Exposed, messages: Messages, responses: tuple[str, str], better: float, **more: Any
    ) -> Feedback:
        """Return a piece of feedback for this aim about a goal; `more` are fields of Feedback."""
        told = {"by": one.by, "weight": self.weight, "group": one.goal.group, **more}
        return Feedback(one.goal.id, messages, responses, better, self.name, **told)


aims: Registry[Aim] = Registry("aim", "superalign.aims", Aim)
AimChoice = Annotated[Aim, *chosen(aims)]
