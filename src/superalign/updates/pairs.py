"""Learning from pairs: any pair objective on the policy, with the critics' probabilities as soft labels."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar, Self

from pydantic import model_validator

from superalign.errors import ConfigError
from superalign.feedback import Feedback, as_pairs
from superalign.label import Labels
from superalign.objective import Objective, ObjectiveChoice
from superalign.registry import default
from superalign.task import Task
from superalign.update import Update, updates


@updates.register("pairs")
class Pairs(Update):
    """Every pair, with how probably the second response is the better one.

    By default the loss is -q log sigma(z) - (1 - q) log sigma(-z), z half the difference of the log-probabilities, q
    the critics' probability: conservative DPO whose noise rate is the critics' own doubt of each pair, without a
    reference, because what is wanted is what the learner says and not how far it moved. Critics that are the model
    itself take the same half of what it says plainly: then the least loss is where it says the same under attack.
    """

    source: ClassVar[str] = "our reading of cDPO (Mitchell 2023) and SimPO (arXiv 2405.14734), by pair"

    objective: ObjectiveChoice = default("simpo,gamma=0,scale=0.5,normalise=false")
    """See superalign ls objectives."""

    @model_validator(mode="after")
    def _learnable(self) -> Self:
        odd = self.objective
        if not odd.wants_labels_alone:
            why = "it is told how probably the second response is better, and no more"
            raise ConfigError(f"update {self.name} cannot learn by {odd}", why=why, fix="objective=cdpo")
        return self

    @property
    def loss(self) -> Objective:
        """See Update."""
        return self.objective

    def lesson(self, feedback: Sequence[Feedback]) -> tuple[Task, Labels]:
        """See Update."""
        return as_pairs(feedback)
