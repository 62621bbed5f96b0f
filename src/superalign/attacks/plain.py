"""No attack at all: what the others are to be compared with."""

from __future__ import annotations

from typing import ClassVar

from superalign.attacker import Goal, GoalByGoal, Scene, Search, attacks, plainly, tried


@attacks.register("plain")
class Plain(GoalByGoal):
    """Asks plainly, once: how many requests a model complies with when nobody presses it."""

    source: ClassVar[str] = "the baseline of every study of attacks"

    def search(self, index: int, goal: Goal, scene: Scene) -> Search:
        """See GoalByGoal."""
        yield from tried([plainly(index, goal)])
