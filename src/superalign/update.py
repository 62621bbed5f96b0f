"""An Update is how a learner refines itself from feedback: what it is shown of it, and by which loss it learns."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Annotated, ClassVar

from superalign.config import Component
from superalign.feedback import Feedback
from superalign.label import Labels
from superalign.objective import Objective
from superalign.registry import Registry, chosen
from superalign.task import Task


class Update(Component, ABC):
    """Base of the updates."""

    source: ClassVar[str]
    """The paper, or the words 'our reading' and the paper."""

    @property
    @abstractmethod
    def loss(self) -> Objective:
        """By which objective the policy learns."""

    @abstractmethod
    def lesson(self, feedback: Sequence[Feedback]) -> tuple[Task, Labels]:
        """Return the items that the learner sees, with their labels."""


updates: Registry[Update] = Registry("update", "superalign.updates", Update)
UpdateChoice = Annotated[Update, *chosen(updates)]
