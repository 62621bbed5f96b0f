"""A Learner is a Model, an Objective and a Fit, trained on Labels by the one training loop."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Annotated, Any, Literal, NamedTuple, NoReturn, Protocol

import numpy as np
import numpy.typing as npt
from pydantic import Field

from superalign.batching import epoch_batches
from superalign.checkpoint import Checkpoints, State, gathered
from superalign.config import Config
from superalign.conflict import pull
from superalign.distributed import Processes
from superalign.errors import DataError, JobError
from superalign.fit import Report
from superalign.label import Labels
from superalign.network import Readable, Trainee
from superalign.objective import Objective

if TYPE_CHECKING:
    import torch
    from torch import Tensor

IntArray = npt.NDArray[np.int64]
CLIP = 1.0  # of the gradient's norm
READ_EVERY = 10  # steps between two looks at the losses: a look waits for the device


class Training(Config):
    """How a learner is trained, whatever part of it moves."""

    lr: Annotated[float, Field(gt=0)]
    """Peak learning rate of AdamW."""
    epochs: Annotated[int, Field(ge=1)] = 2
    """Passes over the labelled items; each deals other batches."""
    batch: Annotated[int, Field(ge=1)] = 32
    """Items of a batch, hence of one step; the last batch of an epoch may be smaller."""
    schedule: Literal["cosine", "constant"] = "cosine"
    """What the learning rate does after the warm-up: falls to 0 along a cosine, or stays."""
    warmup: Annotated[float, Field(ge=0, le=1)] = 0.1
    """Share of the steps over which the learning rate rises linearly."""
    weight_decay: Annotated[float, Field(ge=0)] = 0.0
    """Decoupled weight decay."""
    microbatch_tokens: Annotated[int, Field(ge=1)] = 1024
    """Tokens computed at once, padding included; takes memory and time, never changes the gradient."""

    def rate(self, step: int, steps: int) -> float:
        """Return the learning rate of a step (counted from 0) of `steps`."""
        rising = round(self.warmup * steps)
        if step < rising:
            return self.lr * (step + 1) / rising
        if self.schedule == "constant":
            return self.lr
        return self.lr * (1 + math.cos(math.pi * (step - rising) / (steps - rising))) / 2


class Observer(Protocol):
    """Looks at a learner between steps and keeps the best it saw, as early stopping does."""

    best_step: int
    best: tuple[float, float]
    state: list[Tensor]
    """The parameters that moved, as they were at that step."""

    def observe(self, step: int, steps: int, network: Trainee[Any]) -> None:
        """See the network after `step` of `steps`."""


@dataclass
class Learner:
    """The training loop.

    Each batch is cut into micro-batches of like length; their gradients add up to the gradient of the whole batch's
    weighted mean loss. An objective that must know the whole batch is told what it needs before: from the batch's own
    logits when it fits one micro-batch, else from a pass without gradients. Several processes deal the micro-batches
    among them and add up what each found. Of peers the losses are added up, each with parameters of its own.

    Args:
        network: what is trained, in place.
        objective: the loss.
        training: the settings.
        report: told of each step.
        processes: that train together; each calls `train` alike.
    """

    network: Trainee[Any]
    objective: Objective
    training: Training
    report: Report
    processes: Processes = field(default_factory=Processes.here)

    def __post_init__(self) -> None:
        self.memory = Memory(self.objective.looks_back)

    def train(
        self,
        reading: Readable,
        labels: Labels,
        seed: int,
        observers: Sequence[Observer] = (),
        checkpoints: Checkpoints | None = None,
    ) -> dict[str, Any]:
        """Train on labelled items and return what happened, JSON-able.

        Args:
            reading: the items.
            labels: one row an item; an item of weight 0 is as good as absent.
            seed: of the order of the items.
            observers: called after every step.
            checkpoints: of this very training: it goes on from the newest one, and writes others now and then.

        Raises:
            DataError: no item has a weight.
            JobError: the loss or the gradient is no longer finite.
        """
        import torch

        network, training = self.network, self.training
        plan, targets = self._plan(reading, labels, seed), Targets.on(network.device, labels)
        adam = torch.optim.AdamW(network.trainable, lr=training.lr, weight_decay=training.weight_decay, fused=True)
        trace = Trace(training.lr, len(plan))
        self.memory.tensors.clear()
        state = State(network, adam, trace, observers, self.processes, self.memory)
        done = checkpoints.restore(state, len(plan)) if checkpoints else 0
        for step, batch in enumerate(plan[done:], done):
            for group in adam.param_groups:
                group["lr"] = training.rate(step, len(plan))
            loss = self._gradient(reading, batch, targets, step / len(plan))
            norm = gathered(torch.nn.utils.clip_grad_norm_(network.trainable, CLIP))
            adam.step()
            network.settle()
            adam.zero_grad()
            trace.add(loss, norm, int(reading.sizes[batch].sum()))
            self.report(done=step + 1, total=len(plan), tokens=trace.tokens, **trace.news())
            for observer in observers:
                observer.observe(step + 1, len(plan), network)
            if checkpoints:
                checkpoints.keep(step + 1, state)
        computed = sum(network.computed(reading, piece) for batch in plan for piece in self._pieces(reading, batch))
        return {"steps": len(plan), "padding": computed / trace.tokens, **trace.ends()}

    def _plan(self, reading: Readable, labels: Labels, seed: int) -> list[IntArray]:
        """Return the items of every step."""
        rows = np.flatnonzero(labels.weight)
        if not len(rows):
            raise DataError(f"labels by {labels.by}: no item has a weight above 0, so there is nothing to learn from")
        epochs = (np.random.default_rng([seed, epoch]) for epoch in range(self.training.epochs))
        return [
            rows[batch] for rng in epochs for batch in epoch_batches(reading.lengths[rows], self.training.batch, rng)
        ]

    def _gradient(self, reading: Readable, batch: IntArray, targets: Targets, progress: float) -> Tensor:
        """Leave the gradient of the batch's weighted mean loss on the parameters; return the loss, on the device."""
        import torch

        pieces = self._pieces(reading, batch)
        mine = self.processes.deal([self.network.computed(reading, piece) for piece in pieces])
        apart = len(pieces) > 1 or self.processes.count > 1
        context = self._context(reading, pieces, mine, targets) if apart else None
        weight, total = targets.weight[batch].sum(), targets.weight.new_zeros(())
        for number, counts in mine:
            piece = pieces[number]
            logits = self.network.logits(reading, piece)
            labels, each = targets.probs[piece].expand_as(logits), targets.weight[piece]
            if not apart:
                context = self._known(logits.detach(), labels, each)
            losses = self.objective(logits, labels, progress=progress, context=context)
            if targets.against is not None:
                losses = losses + pull(logits, targets.against[piece].expand_as(logits))
            loss = (losses * each).sum() / weight * counts
            torch.autograd.backward(loss)
            total += loss.detach()
        self.processes.add_up([total, *self.processes.gradients(self.network.trainable)])
        return total

    def _pieces(self, reading: Readable, batch: IntArray) -> list[IntArray]:
        """Cut a batch into what is computed at once: small enough for each process to get a piece."""
        network, budget, count = self.network, self.training.microbatch_tokens, self.processes.count
        if count > 1:
            whole = sum(network.computed(reading, piece) for piece in network.cut(reading, batch, budget))
            budget = min(budget, -(-whole // count))
        return network.cut(reading, batch, budget)

    def _context(
        self, reading: Readable, pieces: list[IntArray], mine: list[tuple[int, bool]], targets: Targets
    ) -> Tensor | None:
        """Return what the objective must know of the whole batch, from a pass without gradients or dropout."""
        import torch

        if not self.objective.needs_batch:
            return None
        network = self.network
        peers = (network.peers,) if network.peers > 1 else ()
        found = [targets.probs.new_zeros(*peers, len(piece), network.classes) for piece in pieces]
        with torch.no_grad():
            for number, counts in mine:
                found[number] = network.logits(reading, pieces[number]) * counts
        logits, rows = torch.cat(found, -2), np.concatenate(pieces)
        self.processes.add_up([logits])
        return self._known(logits, targets.probs[rows].expand_as(logits), targets.weight[rows])

    def _known(self, logits: Tensor, labels: Tensor, weight: Tensor) -> Tensor | None:
        """Return what the objective must know of a batch and of the items it looks back to, and remember the batch."""
        seen = self.memory.with_batch(logits, labels, weight.expand(logits.shape[:-1]))
        return self.objective.batch_context(*seen)


class Memory:
    """The last items seen, as they were then, for an objective that looks back.

    Args:
        items: how many to keep.
    """

    def __init__(self, items: int) -> None:
        self.items = items
        self.tensors: list[Tensor] = []  # logits [..., m, k], labels [..., m, k], weights [..., m, 1]

    def with_batch(self, logits: Tensor, labels: Tensor, weight: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Return the batch, after those seen before it where it is smaller than what is looked at; keep the last."""
        import torch

        if not self.items:
            return logits, labels, weight
        seen = [logits, labels, weight.unsqueeze(-1)]
        needed = max(self.items, logits.shape[-2])
        if self.tensors:
            seen = [torch.cat(both, -2)[..., -needed:, :] for both in zip(self.tensors, seen, strict=True)]
        self.tensors[:] = [tensor[..., -self.items :, :].clone() for tensor in seen]
        return seen[0], seen[1], seen[2].squeeze(-1)


class Targets(NamedTuple):
    """Labels on the device."""

    probs: Tensor
    weight: Tensor
    against: Tensor | None = None

    @classmethod
    def on(cls, device: torch.device, labels: Labels) -> Targets:
        """Copy labels to the device."""
        import torch

        probs, weight = (torch.from_numpy(one).to(device) for one in (labels.probs, labels.weight))
        return cls(probs, weight, None if labels.against is None else torch.from_numpy(labels.against).to(device))


class Trace:
    """Losses and gradient norms; they stay on the device until a look at them, which waits for it."""

    def __init__(self, lr: float, steps: int) -> None:
        self.lr, self.steps, self.tokens = lr, steps, 0
        self.unread: list[tuple[Tensor, Tensor]] = []
        self.losses: list[float] = []

    def add(self, loss: Tensor, norm: Tensor, tokens: int) -> None:
        """Keep what one step gave."""
        self.unread.append((loss, norm))
        self.tokens += tokens

    def news(self) -> dict[str, float]:
        """Return the mean loss of the last steps every few steps, else nothing; see `read`."""
        if len(self.unread) < READ_EVERY and len(self.losses) + len(self.unread) < self.steps:
            return {}
        news = self.read()
        return {"loss": sum(news) / len(news)}

    def read(self) -> list[float]:
        """Look at the losses that were not looked at yet, and return them.

        Raises:
            JobError: a loss or a gradient is not finite.
        """
        import torch

        news = torch.stack([torch.stack(pair) for pair in self.unread]).tolist() if self.unread else []
        for loss, norm in news:
            self.losses.append(loss)
            if not math.isfinite(loss + norm):
                self._refuse(loss, norm)
        self.unread.clear()
        return [loss for loss, _ in news]

    def ends(self) -> dict[str, float | int]:
        """Return the tokens read, and the mean loss of the first and of the last few steps."""
        first, last = self.losses[:READ_EVERY], self.losses[-READ_EVERY:]
        return {
            "tokens": self.tokens,
            "first_loss": sum(first) / len(first),
            "last_loss": sum(last) / len(last),
        }

    def _refuse(self, loss: float, norm: float) -> NoReturn:
        what, value = ("gradient", norm) if math.isfinite(loss) else ("loss", loss)
        raise JobError(
            f"training diverged: the {what} is {value} at step {len(self.losses)} of {self.steps}",
            why=f"the peak learning rate is {self.lr:g}",
            fix=f"set a lower one, such as lr={self.lr / 3:.1g}",
        )
