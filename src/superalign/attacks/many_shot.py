"""Many-shot: earlier turns in which the assistant answered as it is to answer now."""

from __future__ import annotations

from typing import Annotated, ClassVar

from pydantic import Field

from superalign.attacker import Goal, GoalByGoal, Query, Scene, Search, attacks, tried
from superalign.attacks._frames import opening, shuffled, turns
from superalign.errors import ConfigError


@attacks.register("many-shot")
class ManyShot(GoalByGoal):
    """k earlier turns: goals that are not attacked, each answered as the attack wants its own to be.

    They are drawn anew for each k, without those of the goal's group. A k above what there is of them is left out;
    when all are, what there is of them is shown.
    """

    source: ClassVar[str] = "Anil et al. 2024, Many-shot jailbreaking"

    shots: tuple[Annotated[int, Field(ge=1)], ...] = (1, 2, 4, 8, 16, 32)
    """Numbers k of earlier turns."""

    def search(self, index: int, goal: Goal, scene: Scene) -> Search:
        """See GoalByGoal."""
        others = [one for one in scene.examples if one.id != goal.id and not (goal.group and one.group == goal.group)]
        if not others:
            raise ConfigError(
                f"attack {self} has no examples to show",
                why="every goal is attacked, or is about the same thing as the one that is",
                fix="give more goals, so that some can serve as examples",
            )
        queries = []
        for k in [k for k in self.shots if k <= len(others)] or [len(others)]:
            shown = shuffled(others, scene.rng(self.name, goal.id, k))[:k]
            said = [text for one in shown for text in (one.prompt, opening(one))]
            queries.append(Query(index, turns(*said, goal.prompt), "many shots", {"shots": k}))
        yield from tried(queries)
