"""What `lora` and `full` share: one training loop, early stopping and prediction."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING, Annotated, Any, Literal, NamedTuple

import numpy as np
import numpy.typing as npt
from pydantic import Field

from superalign.errors import ConfigError
from superalign.fit import Fit, Learned, Lesson, Report
from superalign.fits._stopping import EarlyStop, OracleEarlyStop, hold_out
from superalign.label import Labels
from superalign.learner import Learner, Training
from superalign.model import Backbone, Model
from superalign.network import Network, Readable, Reading, Trainee
from superalign.objective import Objective
from superalign.policy import Answers, Policy
from superalign.reference import reference
from superalign.store import Store
from superalign.task import Task

if TYPE_CHECKING:
    from torch import nn

IntArray = npt.NDArray[np.int64]


class Body(NamedTuple):
    """A loaded model.

    Args:
        backbone: what shall move requires gradients.
        acting: its modules that behave differently while learning (dropout).
    """

    backbone: Backbone
    acting: Sequence[nn.Module]


class FineTune(Training, Fit, ABC):
    """Base of the fits that move the body of a model."""

    stop: Literal["never", "early", "oracle-early-stop"] = "never"
    """When training ends: after all steps; where it agrees best with held-out labels of its own supervisor; or, as a
    diagnostic that reads ground truth and is flagged, where it is most often right."""
    validation: Annotated[float, Field(gt=0, lt=1)] = 0.1
    """Share of the groups held out for early stopping."""

    read: Literal["head", "policy"] = "head"
    """What is read: a head of its own (a class of Examples, a reward of each response), or the policy itself: how
    much more probable each response became than it was before learning."""
    beta: Annotated[float, Field(gt=0)] = 0.1
    """Of a policy's implicit reward beta log(pi / reference): how dear it is to leave the reference."""

    @property
    def wants_gold(self) -> bool:
        """Tell whether the stop is the oracle's."""
        return self.stop == "oracle-early-stop"

    @abstractmethod
    def body(self, model: Model) -> Body:
        """Load the model; what shall move requires gradients."""

    def network(self, model: Model, outputs: int) -> Network:
        """Load the model with a zero head: an output a class, or 1 to score responses."""
        body = self.body(model)
        return Network(body.backbone, outputs, model.precision(), body.acting)

    def policy(self, model: Model, objective: Objective) -> Policy:
        """Load the model as a policy."""
        body = self.body(model)
        return Policy(body.backbone, model.precision(), objective, self.beta, body.acting)

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
        return [self._learn(model, task, *one, store, report) for one in zip(lessons, predict, strict=True)]

    def _learn(
        self, model: Model, task: Task, lesson: Lesson, asked: IntArray, store: Store, report: Report
    ) -> Learned:
        if self.wants_gold and lesson.oracle is None:
            raise ConfigError("stop=oracle-early-stop needs the truth, and this study gives none", fix="stop=early")
        with _seeded(lesson.seed):
            network, read = self._load(model, task, lesson.objective, store, report)
            taught, test, labels = read(lesson.items), read(asked), lesson.labels  # read before the policy moves
            observers = []
            if self.stop != "never":
                early, labels = self._early_stop(task, lesson, taught)
                observers.append(early)
            unpaired = lesson.objective.unpaired and task.pairwise
            lines, given = (taught.one_by_one(), labels.one_by_one()) if unpaired else (taught, labels)
            facts = Learner(network, lesson.objective, self, report).train(lines, given, lesson.seed, observers)
            for early in observers:
                facts |= early.restore(network)
        probs = network.probs(test, np.arange(len(asked)), self.microbatch_tokens)
        facts |= {
            "lr": self.lr,
            "stop": self.stop,
            "read": self.read,
            "layer": network.backbone.layer,
            "truncated": taught.truncated + test.truncated,
        }
        return Learned(probs, facts)

    def _load(
        self, model: Model, task: Task, objective: Objective, store: Store, report: Report
    ) -> tuple[Trainee[Any], Callable[[IntArray], Readable]]:
        """Return what learns, and how it reads items of the task."""
        if self.read == "policy":
            policy = self.policy(model, objective)
            return policy, lambda items: self._answers(model, policy, task, store, report, items)
        if objective.unpaired and not task.pairwise:
            why = "this task asks for classes, not for the better of two responses"
            raise ConfigError(
                f"{objective} learns from responses", why=why, fix="read=policy, or a task of comparisons"
            )
        network = self.network(model, outputs=1 if task.pairwise else len(task.classes))
        return network, lambda items: Reading.of(task, items, network.backbone)

    def _answers(
        self, model: Model, policy: Policy, task: Task, store: Store, report: Report, items: IntArray
    ) -> Answers:
        """Return items as a policy reads them, with what it said of them before it learnt."""
        if task.pairwise or (len(task.classes) == 2 and all(task.items[item].texts()[0].response for item in items)):
            answers = Answers.of(task, items, policy.voice)
        else:
            why = "its items are not comparisons, nor responses that are good or bad"
            raise ConfigError(f"a policy cannot learn {task.name}", why=why, fix="read=head")
        if not policy.objective.needs_reference:
            return answers
        return replace(answers, reference=reference(policy, answers, model, store, self.microbatch_tokens, report))

    def _early_stop(self, task: Task, lesson: Lesson, reading: Readable) -> tuple[EarlyStop, Labels]:
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
