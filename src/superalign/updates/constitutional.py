"""Constitutional self-critique: the learner revises what it said by principles, and learns to say the revision."""

from __future__ import annotations

from typing import ClassVar

from superalign.aim import Way
from superalign.attacker import World
from superalign.critic import Critic, CriticChoice
from superalign.registry import default
from superalign.update import updates
from superalign.updates.sft import Sft


@updates.register("constitutional")
class Constitutional(Sft):
    """Critique by principles, revision, SFT on the revision as the answer to the attack itself.

    The critique is the learner's own. The paper learns every revision; here one that the loop's critics do not find
    good is left out. Its second stage, a preference model of the principles, is the update self-rewarding with
    `judge=principles`.
    """

    source: ClassVar[str] = "our reading of Constitutional AI, Bai et al. 2022 (arXiv 2212.08073), first stage"
    worlds: ClassVar[frozenset[World]] = frozenset({"behaviour"})
    ways: ClassVar[tuple[Way, ...]] = ("revision",)

    principles: CriticChoice = default("principles")
    """Who criticises; its model is the learner."""

    @property
    def advisor(self) -> Critic:
        """See Update."""
        return self.principles

    @property
    def advises_itself(self) -> bool:
        """Return True."""
        return True
