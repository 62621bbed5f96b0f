"""Self-rewarding: the learner draws several answers, judges them itself, and learns its best against its worst."""

from __future__ import annotations

from dataclasses import replace
from typing import Annotated, ClassVar

from pydantic import Field

from superalign.aim import Exposed, Shown, Way
from superalign.attacker import World
from superalign.critic import Critic, CriticChoice
from superalign.objective import ObjectiveChoice
from superalign.registry import default
from superalign.update import updates
from superalign.updates.pairs import Pairs


@updates.register("self-rewarding")
class SelfRewarding(Pairs):
    """Of k answers drawn under the worst attack on a goal, the one it judges best against the one it judges worst.

    The judge is the learner as it is now; where it finds no difference nothing is learnt. The paper's judge gives
    points from 0 to 5, ours the probability that a response is good by a rubric.
    """

    source: ClassVar[str] = "our reading of self-rewarding language models, Yuan et al. 2024 (arXiv 2401.10020)"
    worlds: ClassVar[frozenset[World]] = frozenset({"behaviour"})
    ways: ClassVar[tuple[Way, ...]] = ("drawn",)

    objective: ObjectiveChoice = default("dpo")
    """See superalign ls objectives."""
    samples: Annotated[int, Field(ge=2)] = 4
    """k above."""
    temperature: Annotated[float, Field(gt=0)] = 0.9
    """Of the draws."""
    judge: CriticChoice = default("rubric,rubric=harmlessness")
    """How it judges; its model is the learner."""

    @property
    def draws(self) -> tuple[int, float]:
        """See Update."""
        return self.samples, self.temperature

    @property
    def advisor(self) -> Critic:
        """See Update."""
        return self.judge

    @property
    def advises_itself(self) -> bool:
        """Return True."""
        return True

    def choose(self, one: Exposed) -> Exposed:
        """Set the best against the worst of what was drawn."""
        known = sorted((own.good, own.text) for own in one.own if own.way == "drawn" and own.good is not None)
        worst = one.worst
        if worst is None or len(known) < 2 or known[0][0] == known[-1][0]:
            return replace(one, chosen=())
        return replace(one, chosen=(Shown(worst, (known[0][1], known[-1][1]), 1.0, "self-judged"),))
