"""What `lora` and `full` share: one training loop, early stopping and prediction."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from typing import Annotated, Literal

import numpy as np
import numpy.typing as npt
from pydantic import Field

from superalign.errors import ConfigError
from superalign.fit import Fit, Learned, Lesson, Report
from superalign.fits._stopping import EarlyStop, OracleEarlyStop, hold_out
from superalign.label import Labels
from superalign.learner import Learner, Training
from superalign.model import Model
from superalign.network import Network, Reading
from superalign.store import Store
from superalign.task import Task

IntArray = npt.NDArray[np.int64]


class FineTune(Training, Fit, ABC):
    """Base of the fits that move the body of a model."""

    stop: Literal["never", "early", "oracle-early-stop"] = "never"
    """When training ends: after all steps; where it agrees best with held-out labels of its own supervisor; or, as a
    diagnostic that reads ground truth and is flagged, where it is most often right."""
    validation: Annotated[float, Field(gt=0, lt=1)] = 0.1
    """Share of the groups held out for early stopping."""

    @property
    def wants_gold(self) -> bool:
        """Tell whether the stop is the oracle's."""
        return self.stop == "oracle-early-stop"

    @abstractmethod
    def network(self, model: Model, outputs: int) -> Network:
        """Load the model with a zero head; what shall move requires gradients."""

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
        """Train a fresh network a lesson; see Fit.learn."""
        return [self._learn(model, task, *one, report) for one in zip(lessons, predict, strict=True)]

    def _learn(self, model: Model, task: Task, lesson: Lesson, asked: IntArray, report: Report) -> Learned:
        if self.wants_gold and lesson.oracle is None:
            raise ConfigError("stop=oracle-early-stop needs the truth, and this study gives none", fix="stop=early")
        with _seeded(lesson.seed):
            network = self.network(model, outputs=1 if task.pairwise else len(task.classes))
            reading = Reading.of(task, lesson.items, network.backbone)
            learner = Learner(network, lesson.objective, self, report)
            if self.stop == "never":
                facts = learner.train(reading, lesson.labels, lesson.seed)
            else:
                early, taught = self._early_stop(task, lesson, reading)
                facts = learner.train(reading, taught, lesson.seed, [early])
                facts |= early.restore(network)
        test = Reading.of(task, asked, network.backbone)
        probs = network.probs(test, np.arange(len(asked)), self.microbatch_tokens)
        facts |= {
            "lr": self.lr,
            "stop": self.stop,
            "layer": network.backbone.layer,
            "truncated": reading.truncated + test.truncated,
        }
        return Learned(probs, facts)

    def _early_stop(self, task: Task, lesson: Lesson, reading: Reading) -> tuple[EarlyStop, Labels]:
        """Return the judge of the steps, and the lesson's labels with those it holds out left without weight."""
        rows = np.flatnonzero(lesson.labels.weight)
        groups = np.array(task.groups())[lesson.items[rows]]
        held = rows[hold_out(groups, self.validation, lesson.seed)]
        weight = lesson.labels.weight.copy()
        weight[held] = 0
        judge = lesson.labels
        if self.wants_gold and lesson.oracle is not None:
            judge = OracleEarlyStop().labels(lesson.oracle, len(task.classes))
        judging = Labels(judge.probs[held], judge.weight[held], judge.by)
        return EarlyStop(reading, held, judging, self.microbatch_tokens), replace(lesson.labels, weight=weight)


@contextmanager
def _seeded(seed: int) -> Iterator[None]:
    """Seed what is drawn inside (adapters, dropout) and leave the generators outside as they were."""
    import torch

    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        yield
