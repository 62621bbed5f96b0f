"""An Ensemble is several weak learners that label as one. It sees gold of the supervise part, as each of them does."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Annotated, Any, ClassVar

import numpy as np
import numpy.typing as npt

from superalign.config import Component
from superalign.label import Labels
from superalign.registry import Registry, chosen
from superalign.task import Comparison, Item, Task

FloatArray = npt.NDArray[np.float32]
Float64Array = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.int64]
StrArray = npt.NDArray[np.str_]
PLAIN = "{text}"
"""The prompt template that changes nothing."""
Way = Callable[[Sequence[Labels]], FloatArray]
"""One weak model under one prompt: trains a learner on each Labels and returns what each says, float32 [m, n, k]."""


@dataclass(frozen=True)
class Teaching:
    """What the members of an ensemble are trained on.

    Args:
        ways: every weak model under every prompt.
        labels: true labels of the items taught.
        taught: which of the n items a member is asked about those are, int64.
        groups: of the items taught.
        seed: of whatever is drawn.
    """

    ways: Sequence[Way]
    labels: Labels
    taught: IntArray
    groups: StrArray
    seed: int = 0

    def learn(self, labels: Sequence[Labels]) -> FloatArray:
        """Train a learner of every way on each of m Labels; return what they say, [ways m, n, k], ways outermost."""
        return np.concatenate([way(labels) for way in self.ways])

    def resampled(self, members: int) -> list[Labels]:
        """Return the labels with the weights of `members` bootstrap samples of the groups.

        An item's weight is how often its group was drawn: related items stay together, as they do in every part.
        """
        names, which = np.unique(self.groups, return_inverse=True)
        drawn = np.random.default_rng(self.seed).multinomial(len(names), [1 / len(names)] * len(names), members)
        given = self.labels
        return [Labels(given.probs, given.weight * times[which].astype(np.float32), given.by) for times in drawn]


@dataclass(frozen=True)
class Vote:
    """What an ensemble says.

    Args:
        probs: class probabilities, float32 [n, k].
        weight: of each item as a label, float32 [n].
        members: what each member says, float32 [m, n, k].
        facts: what the training decided, JSON-able.
    """

    probs: FloatArray
    weight: FloatArray
    members: FloatArray
    facts: Mapping[str, Any] = field(default_factory=dict)

    @classmethod
    def mean(cls, members: FloatArray, share: Float64Array | None = None, **facts: Any) -> Vote:
        """Return the mean of the members' probabilities; `share` [m] are their weights, equal ones when None."""
        m, n, _ = members.shape
        share = np.full(m, 1 / m) if share is None else share
        probs = np.tensordot(share, members.astype(np.float64), 1).astype(np.float32)
        return cls(probs, np.ones(n, dtype=np.float32), members, {"members": m, **facts})


class Ensemble(Component, ABC):
    """Base of the ensembles."""

    source: ClassVar[str]
    """Paper and section."""

    @property
    def asked(self) -> tuple[str, ...]:
        """Return the prompt templates under which every weak model is asked."""
        return (PLAIN,)

    @abstractmethod
    def teach(self, teaching: Teaching) -> Vote:
        """Train the members and let them vote."""


class JointEnsemble(Ensemble):
    """Base of the ensembles whose members' weights are learnt together with the student."""

    @abstractmethod
    def settle(
        self, members: FloatArray, features: FloatArray, groups: StrArray, seed: int = 0, *, pairwise: bool = False
    ) -> tuple[Float64Array, Mapping[str, Any]]:
        """Return the members' weights [m], which sum to 1, and facts; no truth goes into them.

        Args:
            members: what each member says of the transfer items, [m, n, k].
            features: the student's own of the same items, [n, d]; of Comparisons the differences.
            groups: [n].
            seed: of the folds.
            pairwise: whether the items are Comparisons.
        """


ensembles: Registry[Ensemble] = Registry("ensemble", "superalign.ensembles", Ensemble)
EnsembleChoice = Annotated[Ensemble, *chosen(ensembles)]


def reworded(task: Task, template: str) -> Task:
    """Return the task with every prompt put into a template: what stands for `{text}`.

    A Comparison without a prompt has its responses put into it.
    """

    def put(text: str) -> str:
        return template.replace(PLAIN, text)

    def one(item: Item) -> Item:
        if isinstance(item, Comparison) and not item.prompt:
            first, second = item.responses
            return replace(item, responses=(put(first), put(second)))
        return replace(item, prompt=put(item.prompt))

    return task if template == PLAIN else replace(task, items=tuple(one(item) for item in task.items))
