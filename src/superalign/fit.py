"""A Fit says how much of a model moves: a probe on frozen features, LoRA adapters, or everything."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Annotated, Any, ClassVar

import numpy as np
import numpy.typing as npt

from superalign.config import Component
from superalign.errors import ConfigError
from superalign.label import Labels
from superalign.model import Model
from superalign.objective import Objective
from superalign.registry import Registry, chosen
from superalign.store import Array, Store
from superalign.task import Comparison, Gold, Item, Task

FloatArray = npt.NDArray[np.float32]
IntArray = npt.NDArray[np.int64]
Report = Callable[..., None]
"""Called with keyword facts of the progress: done, total, tokens, loss, note."""


@dataclass(frozen=True)
class Lesson:
    """What one learner is trained on.

    Args:
        objective: the loss.
        items: indices into the task's items, int64 [n].
        labels: Labels of those items, in the same order.
        seed: of data order and initialisation.
        oracle: sealed truth of these items, given only for an oracle early stop.
        start: what the learner knows already, as a fit of the same settings kept it; what it said before it learnt is
            still what the model itself says.
    """

    objective: Objective
    items: IntArray
    labels: Labels
    seed: int
    oracle: Gold | None = None
    start: Mapping[str, Array] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if self.objective.wants_rewards != "none" and self.labels.rewards is None:
            why = f"labels by {self.labels.by} do not say what each response is worth"
            fix = "let a weak model that scores responses give the labels: weak_fit=lora,read=policy"
            raise ConfigError(f"{self.objective} takes in rewards, and there are none", why=why, fix=fix)


@dataclass(frozen=True)
class Learned:
    """What one trained learner says.

    Args:
        probs: float32 [m, k] for the items asked for.
        facts: what the training decided or saw, JSON-able (regularisation, steps, loss, truncated).
        scores: float32 [m, s], what each of an item's s responses is worth to it, before the softmax; None where it
            does not judge them one by one.
        kept: what was learnt, by name, for `superalign export`; empty unless the fit keeps it.
    """

    probs: FloatArray
    facts: Mapping[str, Any] = field(default_factory=dict)
    scores: FloatArray | None = None
    kept: Mapping[str, Array] = field(default_factory=dict)


class Fit(Component, ABC):
    """Base of the fits."""

    together: ClassVar[bool] = False
    """Whether all lessons on one model are solved as one problem (one job) or one by one (a job each)."""

    @property
    def wants_gold(self) -> bool:
        """Tell whether training peeks at ground truth (an oracle early stop); such results are flagged."""
        return False

    @property
    def tells_scores(self) -> bool:
        """Tell whether learners may say what each response of a Comparison is worth."""
        return False

    def check(self, objective: Objective, task: Task | None) -> None:
        """Refuse what cannot be learnt, before anything is trained.

        Args:
            objective: by which it is to be learnt.
            task: None while only the settings are known; then what depends on the items passes.

        Raises:
            ConfigError: the fit, or the task, does not give what the objective needs.
        """
        if task is None:
            return
        if objective.classes not in (None, len(task.classes)):
            why = f"it is defined for {objective.classes} classes, and {task.name} has {len(task.classes)}"
            raise ConfigError(f"{objective} cannot learn {task.name}", why=why)
        if objective.wants_rewards == "aims":
            for item in task.items:
                aims_of(item)

    @abstractmethod
    def learn(
        self,
        model: Model,
        task: Task,
        lessons: Sequence[Lesson],
        predict: Sequence[IntArray],
        *,
        store: Store,
        report: Report,
    ) -> list[Learned]:
        """Train one learner a lesson and predict, for each, its items `predict`."""


def aims_of(item: Item) -> tuple[float, float]:
    """Return what other aims make of the responses of an item.

    Raises:
        ConfigError: it does not say.
    """
    if isinstance(item, Comparison) and item.rewards:
        return item.rewards
    raise ConfigError(
        "the items bring no rewards of other aims along",
        where=f"item {item.id}",
        fix="task=file:pairs.jsonl,rewards=COLUMN+COLUMN (of the chosen and the rejected response)",
    )


fits: Registry[Fit] = Registry("fit", "superalign.fits", Fit)
FitChoice = Annotated[Fit, *chosen(fits)]
