"""Rejection sampling: the learner learns to say the best of several answers that it draws under the attack."""

from __future__ import annotations

from dataclasses import replace
from typing import Annotated, ClassVar

from pydantic import Field

from superalign.aim import Exposed, Shown, Way
from superalign.attacker import World
from superalign.update import updates
from superalign.updates.sft import Sft


@updates.register("rejection")
class Rejection(Sft):
    """Of k answers drawn under the worst attack on a goal, the one that the critics find best is learnt by SFT.

    One that they do not find good is not learnt. Each weighs the same.
    """

    source: ClassVar[str] = "RAFT, Dong et al. 2023 (arXiv 2304.06767), with critics as the reward; best-of-n"
    worlds: ClassVar[frozenset[World]] = frozenset({"behaviour"})
    ways: ClassVar[tuple[Way, ...]] = ("drawn",)

    samples: Annotated[int, Field(ge=1)] = 4
    """k above."""
    temperature: Annotated[float, Field(gt=0)] = 0.9
    """Of the draws."""

    @property
    def draws(self) -> tuple[int, float]:
        """See Update."""
        return self.samples, self.temperature

    def choose(self, one: Exposed) -> Exposed:
        """Set the best answer against what was said under the worst attack, whether that was bad or not."""
        known = [own for own in one.own if own.way == "drawn" and own.good is not None]
        best = max(known, key=lambda own: own.good or 0.0, default=None)
        if best is None or (best.good or 0.0) <= 0.5:
            best = self.best(one)
        if best is None or (worst := one.worst) is None:
            return replace(one, chosen=())
        return replace(one, chosen=(Shown(worst, (worst.response, best.text), 1.0, best.way),))
