"""A Fit says how much of a model moves: a probe on frozen features, LoRA adapters, or everything."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Annotated, Any, ClassVar

import numpy as np
import numpy.typing as npt

from superalign.config import Component
from superalign.label import Labels
from superalign.model import Model
from superalign.objective import Objective
from superalign.registry import Registry, chosen
from superalign.store import Array, Store
from superalign.task import Gold, Task

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
    """

    objective: Objective
    items: IntArray
    labels: Labels
    seed: int
    oracle: Gold | None = None


@dataclass(frozen=True)
class Learned:
    """What one trained learner says.

    Args:
        probs: float32 [m, k] for the items asked for.
        facts: what the training decided or saw, JSON-able (regularisation, steps, loss, truncated).
        kept: what was learnt, by name, for `superalign export`; empty unless the fit keeps it.
    """

    probs: FloatArray
    facts: Mapping[str, Any] = field(default_factory=dict)
    kept: Mapping[str, Array] = field(default_factory=dict)


class Fit(Component, ABC):
    """Base of the fits."""

    together: ClassVar[bool] = False
    """Whether all lessons on one model are solved as one problem (one job) or one by one (a job each)."""

    @property
    def wants_gold(self) -> bool:
        """Tell whether training peeks at ground truth (an oracle early stop); such results are flagged."""
        return False

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


fits: Registry[Fit] = Registry("fit", "superalign.fits", Fit)
FitChoice = Annotated[Fit, *chosen(fits)]
