"""An Update is how a learner refines itself from feedback: what it is shown of it, and by which loss it learns."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import replace
from typing import Annotated, ClassVar

from superalign.aim import Exposed, Own, Shown, Way
from superalign.attacker import World
from superalign.config import Component
from superalign.critic import Critic
from superalign.feedback import Feedback
from superalign.label import Labels
from superalign.objective import Objective
from superalign.odds import preferred
from superalign.registry import Registry, chosen
from superalign.task import Task


class Update(Component, ABC):
    """Base of the updates.

    In the world of behaviours nobody knows the right response. An update chooses it among what the learner wrote.
    """

    source: ClassVar[str]
    """The paper, or the words 'our reading' and the paper."""
    worlds: ClassVar[frozenset[World]] = frozenset({"knowledge", "behaviour"})
    """Where it makes sense."""
    ways: ClassVar[tuple[Way, ...]] = ("plain", "revision")
    """World of behaviours: of the learner's own responses the first that the critics find good is the better one."""

    @property
    @abstractmethod
    def loss(self) -> Objective:
        """By which objective the policy learns."""

    @abstractmethod
    def lesson(self, feedback: Sequence[Feedback]) -> tuple[Task, Labels]:
        """Return the items that the learner sees, with their labels."""

    @property
    def draws(self) -> tuple[int, float]:
        """How many answers to the worst attack on a goal the learner is to draw, and at which temperature."""
        return 0, 0.0

    @property
    def advisor(self) -> Critic | None:
        """Who criticises what is revised, and judges what is drawn; None for the loop's critics."""
        return None

    @property
    def advises_itself(self) -> bool:
        """Tell whether the advisor's model is the learner as it is now."""
        return False

    def choose(self, one: Exposed) -> Exposed:
        """Choose, in the world of behaviours, the better response and those it is set against; else change nothing.

        By default the worse ones are what the critics found bad. Where no response of the learner's own is found good
        the one that the user gave stands in; where there is none, nothing is learnt from the goal.
        """
        if one.goal.denied:
            return one
        better = self.best(one)
        if better is None:
            return replace(one, chosen=())
        broken = [attempt for attempt in one.ranked() if attempt.outcome == "broken"]
        return replace(
            one,
            chosen=tuple(
                Shown(
                    attempt,
                    (attempt.response, better.text),
                    preferred(0.5 - (attempt.score or 0.0), better.good or 0.0),
                    better.way,
                )
                for attempt in broken
            ),
        )

    def best(self, one: Exposed) -> Own | None:
        """Return the first response, in the order of `ways`, that the critics find good."""
        for way in (*self.ways, "stand-in"):
            for own in one.own:
                if own.way == way and own.good is not None and own.good > 0.5:
                    return own
        return None


updates: Registry[Update] = Registry("update", "superalign.updates", Update)
UpdateChoice = Annotated[Update, *chosen(updates)]
"""How a learner refines itself from feedback, one way a file."""
