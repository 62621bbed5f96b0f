"""What `lora` and `full` share: one training loop, early stopping and prediction."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import fields, replace
from functools import partial
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal, NamedTuple

import numpy as np
import numpy.typing as npt
from pydantic import Field

from superalign import __version__
from superalign.checkpoint import Checkpoints
from superalign.config import digest
from superalign.distributed import Processes, together
from superalign.errors import ConfigError
from superalign.fit import Fit, Learned, Lesson, Report
from superalign.fits._generative import sayings, speaker
from superalign.fits._keep import moved, put_back
from superalign.fits._stopping import EarlyStop, OracleEarlyStop, hold_out
from superalign.label import Labels
from superalign.learner import Learner, Training
from superalign.model import Backbone, Model
from superalign.network import Network, Peers, Readable, Reading, Trainee
from superalign.objective import Objective
from superalign.policy import Answers, Policy
from superalign.reference import reference
from superalign.store import Store, tensors_sha256
from superalign.task import Task

if TYPE_CHECKING:
    from torch import nn

FloatArray = npt.NDArray[np.float32]
IntArray = npt.NDArray[np.int64]
PRIME = 1_000_003


class Body(NamedTuple):
    """A loaded model.

    Args:
        backbone: what shall move requires gradients.
        acting: its modules that behave differently while learning (dropout).
        turn: lets one of the peers that share the body compute with it, until another's turn.
        settle: puts what a step moved back to where it may be.
    """

    backbone: Backbone
    acting: Sequence[nn.Module]
    turn: Callable[[int], None] = lambda _: None
    settle: Callable[[], None] = lambda: None


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
    generative: Annotated[int, Field(ge=0)] = 0
    """Epochs in which a language model first learns to say all the texts, whatever their labels; then its head learns
    (Burns et al. 2023: before reward modelling)."""
    beta: Annotated[float, Field(gt=0)] = 0.1
    """Of a policy's implicit reward beta log(pi / reference): how dear it is to leave the reference."""
    keep: bool = False
    """Keep the trained parameters in the store, for `superalign export`: some MB for lora, all of a model for full."""

    @property
    def wants_gold(self) -> bool:
        """Tell whether the stop is the oracle's."""
        return self.stop == "oracle-early-stop"

    @abstractmethod
    def body(self, model: Model, peers: int = 1) -> Body:
        """Load the model for learners that share it; what shall move requires gradients."""

    def network(self, model: Model, outputs: int) -> Network:
        """Load the model with a zero head: an output a class, or 1 to score responses."""
        return self._network(self.body(model), model, outputs)

    def policy(self, model: Model, objective: Objective) -> Policy:
        """Load the model as a policy."""
        return self._policy(self.body(model), model, objective)

    def _network(self, body: Body, model: Model, outputs: int) -> Network:
        return Network(body.backbone, outputs, model.precision(), body.acting)

    def _policy(self, body: Body, model: Model, objective: Objective) -> Policy:
        return Policy(body.backbone, model.precision(), objective, self.beta, body.acting)

    @property
    def tells_scores(self) -> bool:
        """Tell that a head scores responses, and a policy, too."""
        return True

    def check(self, objective: Objective, task: Task | None) -> None:
        """Refuse what needs a policy where a head is read, and the reverse; see Fit.check."""
        if objective.wants_rewards != "none" and self.read != "policy":
            why = "it is about what a policy says, and a head of its own is read"
            raise ConfigError(f"{objective} takes in rewards", why=why, fix="read=policy")
        if task is not None and not task.pairwise:
            if self.read == "policy" and not _good_or_bad(task):
                why = "its items are not comparisons, nor responses that are good or bad"
                raise ConfigError(f"a policy cannot learn {task.name}", why=why, fix="read=head")
            if self.read == "head" and objective.unpaired:
                why = "this task asks for classes, not for the better of two responses"
                fix = "read=policy, or a task of comparisons"
                raise ConfigError(f"{objective} learns from responses", why=why, fix=fix)
        if self.generative and (self.read == "policy" or objective.peers > 1):
            why = "it prepares the body for the one head that learns next"
            raise ConfigError(f"generative={self.generative} is for a head alone", why=why, fix="generative=0")
        if self.keep and objective.peers > 1:
            why = "what it learns is two learners, whose mean is no model of its own"
            raise ConfigError(f"{objective} cannot be kept", why=why, fix="keep=false")
        super().check(objective, task)

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
        learned = []
        for lesson in lessons:
            self.check(lesson.objective, task)
        for lesson, asked in zip(lessons, predict, strict=True):
            helping = partial(_help, self, model, task, replace(lesson, oracle=None), asked, store.root)
            learned.append(together(helping, partial(self._learn, model, task, lesson, asked, store, report)))
        return learned

    def spread(self, network: Trainee[Any]) -> Processes:
        """Spread what learns over the processes that train it; return them."""
        return Processes.here()

    def _learn(
        self, model: Model, task: Task, lesson: Lesson, asked: IntArray, store: Store, report: Report
    ) -> Learned:
        import torch

        processes = Processes.here()
        if self.wants_gold and lesson.oracle is None and processes.first:
            raise ConfigError("stop=oracle-early-stop needs the truth, and this study gives none", fix="stop=early")
        with _seeded(lesson.seed):
            network, read = self._load(model, task, lesson.objective, store, report)
            taught, test, labels = read(lesson.items), read(asked), lesson.labels  # read before the policy moves
            observers = []
            if self.stop != "never":
                early, labels = self._early_stop(task, lesson, taught)
                observers.append(early)
            lines, given = _as_taken(lesson.objective, task, taught, labels)
            if lesson.start:
                put_back(network, lesson.start)
            processes = self.spread(network)
            said, spoken = self._speak(model, lesson, network, taught, processes, store, report)
            key = self._key(model, lesson, lines, [given, *(early.labels for early in observers)], processes)
            checkpoints = Checkpoints(store, key, processes, report)
            learner = Learner(network, lesson.objective, self, report, processes)
            if processes.rank:  # dropout differs from process to process; what is drawn before must not
                torch.manual_seed(lesson.seed + PRIME * processes.rank)
            facts = said | learner.train(lines, given, lesson.seed, observers, checkpoints)
            for early in observers:
                facts |= early.restore(network)
        scores = self._predict(network, test, len(asked), processes)
        probs = np.asarray(torch.from_numpy(scores).softmax(-1).numpy())
        checkpoints.clear()
        if spoken:
            spoken.clear()
        facts |= {
            "lr": self.lr,
            "stop": self.stop,
            "read": self.read,
            "layer": network.backbone.layer,
            "truncated": taught.truncated + test.truncated,
        }
        if processes.count > 1:
            facts["processes"] = processes.count
        worth = scores if task.pairwise else scores[:, 1:] if self.read == "policy" else None
        return Learned(probs, facts, worth, moved(network) if self.keep else {})

    def _speak(
        self,
        model: Model,
        lesson: Lesson,
        network: Trainee[Any],
        taught: Readable,
        processes: Processes,
        store: Store,
        report: Report,
    ) -> tuple[dict[str, Any], Checkpoints | None]:
        """Let the body learn to say the lesson's texts, if that is asked for; return facts, and its checkpoints."""
        if not (self.generative and isinstance(network, Network) and isinstance(taught, Reading)):
            return {}, None
        answers, weights = sayings(taught)
        policy, training = speaker(network), self.model_copy(update={"epochs": self.generative})
        key = self._key(model, replace(lesson, objective=policy.objective), answers, [weights], processes)
        checkpoints = Checkpoints(store, key, processes, report)
        learner = Learner(policy, policy.objective, training, report, processes)
        facts = learner.train(answers, weights, lesson.seed, (), checkpoints)
        return {f"generative_{name}": facts[name] for name in ("tokens", "first_loss", "last_loss")}, checkpoints

    def _predict(self, network: Trainee[Any], test: Readable, n: int, processes: Processes) -> FloatArray:
        """Return the logits of n items, float32 [n, k]; each process answers for some, unless all are needed."""
        import torch

        rows = np.arange(n) if processes.sharded else np.arange(processes.rank, n, processes.count)
        scores = np.zeros((n, network.classes), dtype=np.float32)
        scores[rows] = network.scores(test, rows, self.microbatch_tokens)
        if not processes.sharded:
            processes.add_up([torch.from_numpy(scores)])
        return scores

    def _key(
        self, model: Model, lesson: Lesson, lines: Readable, labels: Sequence[Labels], processes: Processes
    ) -> str:
        """Return the digest of all that decides the training, and of nothing else."""
        return digest(
            {
                "version": __version__,
                "model": [model.fingerprint(), model.precision()],
                "fit": self.model_copy(update={"keep": False}).spec(),  # which changes no number
                "objective": lesson.objective.spec(),
                "items": _content(lines),
                "labels": [_content(one) for one in labels],
                "seed": lesson.seed,
                **({"start": tensors_sha256(lesson.start)} if lesson.start else {}),
                "processes": [processes.count, processes.sharded],
            }
        )

    def _load(
        self, model: Model, task: Task, objective: Objective, store: Store, report: Report
    ) -> tuple[Trainee[Any], Callable[[IntArray], Readable]]:
        """Return what learns, and how it reads items of the task."""
        if self.read == "policy":
            body = self.body(model, objective.peers)
            policies = [self._policy(body, model, objective) for _ in range(objective.peers)]
            return _side_by_side(policies, body), partial(self._answers, model, policies[0], task, store, report)
        body, outputs = self.body(model, objective.peers), 1 if task.pairwise else len(task.classes)
        networks = [self._network(body, model, outputs) for _ in range(objective.peers)]
        return _side_by_side(networks, body), lambda items: Reading.of(task, items, body.backbone)

    def _answers(
        self, model: Model, policy: Policy, task: Task, store: Store, report: Report, items: IntArray
    ) -> Answers:
        """Return items as a policy reads them, with what it said of them before it learnt."""
        answers = Answers.of(task, items, policy.voice)
        if not (policy.objective.needs_reference and len(items)):
            return answers
        processes = Processes.here()
        said = reference(policy, answers, model, store, self.microbatch_tokens, report) if processes.first else None
        return replace(answers, reference=processes.told(said))

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
        return AgreedStop(reading, held, judging, self.microbatch_tokens), replace(lesson.labels, weight=weight)


class AgreedStop(EarlyStop):
    """Early stopping in which all processes keep what the first one finds best."""

    def _score(self, network: Trainee[Any]) -> tuple[float, float]:
        return Processes.here().told(super()._score(network))


def _good_or_bad(task: Task) -> bool:
    """Tell whether the items are responses, each of which is good or bad."""
    return len(task.classes) == 2 and all(item.texts()[0].response for item in task.items)


def _as_taken(objective: Objective, task: Task, taught: Readable, labels: Labels) -> tuple[Readable, Labels]:
    """Return items and labels as the objective takes them: with rewards, or response by response."""
    if isinstance(taught, Answers) and objective.wants_rewards != "none":
        taught = replace(taught, rewards=labels.rewards)  # not where early stopping asks what it would predict
    if objective.unpaired and task.pairwise:
        return taught.one_by_one(), labels.one_by_one()
    return taught, labels


def _side_by_side(learners: Sequence[Trainee[Any]], body: Body) -> Trainee[Any]:
    """Return peers on one body as one trainee, or the only learner."""
    trainee = Peers(learners, body.turn) if len(learners) > 1 else learners[0]
    trainee.settle = body.settle
    return trainee


def _help(fit: FineTune, model: Model, task: Task, lesson: Lesson, asked: IntArray, root: Path) -> None:
    """Train in a process that only helps the first one: it sees no truth and reports nothing."""
    fit._learn(model, task, lesson, asked, Store(root), lambda **_: None)


def _content(value: Readable | Labels) -> str:
    """Return the SHA-256 of a dataclass of token ids and arrays."""
    seal = sha256()
    for field in fields(value):
        one = getattr(value, field.name)
        seal.update(one.tobytes() if isinstance(one, np.ndarray) else digest(one).encode())
    return seal.hexdigest()


@contextmanager
def _seeded(seed: int) -> Iterator[None]:
    """Seed what is drawn inside (adapters, dropout) and leave the generators outside as they were."""
    import torch

    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        yield
