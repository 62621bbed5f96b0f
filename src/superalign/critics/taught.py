"""A critic that learns, taught once by a labelled task of its own, to judge elsewhere."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from typing import Any, Self

from pydantic import model_validator

from superalign.config import digest
from superalign.critic import Case, Critic, CriticChoice, Critique, critics
from superalign.critics._cases import verdicts
from superalign.errors import ConfigError
from superalign.job import Tools
from superalign.label import Labels
from superalign.model import Model, Stage
from superalign.registry import default
from superalign.store import Artifact
from superalign.supervisor import GroundTruth
from superalign.task import Gold, Task, TaskChoice

VERSION = 1
"""Raised when the same labels would teach something else."""


@critics.register("taught")
class Taught(Critic):
    """Learns all labels of one task, and judges responses of any other.

    So a critic that needs labels can judge where there are none: responses to attacks, or what a learner writes in the
    loop. What it learnt is kept in the store.
    """

    on: TaskChoice
    """The labelled responses, or pairs, that it learns from."""
    critic: CriticChoice = default("weak,reads=response,within=200")
    """Who learns, and judges."""
    good: tuple[str, ...] = ()
    """Which classes of that task are good responses; without, the last of two."""

    @model_validator(mode="after")
    def _teachable(self) -> Self:
        if not self.critic.learns:
            raise ConfigError(f"critic {self.critic} learns nothing, so it cannot be taught", fix="trained, or weak")
        return self

    def models(self) -> tuple[Model, ...]:
        """Return the models of the critic that is taught."""
        return self.critic.models()

    def check(self, pair: bool) -> None:
        """Refuse what the critic that is taught cannot judge."""
        self.critic.check(pair)

    def prepare(self, report: Stage) -> None:
        """See that its task can be read and has the classes that are called good, and prepare its models."""
        super().prepare(report)
        self._labelled()

    def identity(self) -> dict[str, Any]:
        """Return what decides what it says, the content of its task included."""
        return {"critic": self.spec(), "of": self.critic.identity(), "on": self.on.fingerprint(), "version": VERSION}

    def judge(self, cases: Sequence[Case], tools: Tools, learnt: Artifact | None = None) -> list[Critique]:
        """Judge by what it learnt; see Critic.

        Raises:
            DataError: its task cannot be read, has other classes, or too few cases to learn from.
            ConfigError: it learnt pairs and is asked about single responses, or the other way round.
        """
        return self.critic.judge(cases, tools, self._learnt(tools))

    @cached_property
    def lesson(self) -> tuple[str, list[Case], Labels]:
        """What it is taught, read once, with the key by which the store knows what comes of it."""
        key, (task, gold) = digest({"taught": self.identity()}), self._labelled()
        return key, [Case.of(item) for item in task.items], GroundTruth().label(gold, 2, f"to teach critic {self}")

    def _learnt(self, tools: Tools) -> Artifact:
        """Return what it learnt: from the store, else learnt now."""
        key, cases, labels = self.lesson  # read in any case, so that every run that rests on these labels says so
        if (found := tools.store.load(key)) is None:
            found = self.critic.learn(cases, labels, tools)
            tools.store.save(key, found, {"taught": str(self)})
        return found

    def _labelled(self) -> tuple[Task, Gold]:
        task, truth = self.on.load()
        return task, Gold(verdicts(task, truth, self.good), "supervise")
