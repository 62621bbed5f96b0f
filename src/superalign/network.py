"""A network that learns: a model's body with a head that starts at zero, and the items it reads."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Generic, Protocol, TypeVar

import numpy as np
import numpy.typing as npt

from superalign.batching import pad, within_budget
from superalign.model import Backbone, Precision
from superalign.task import Task

if TYPE_CHECKING:
    import torch
    from torch import Tensor, nn

FloatArray = npt.NDArray[np.float32]
IntArray = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Reading:
    """Items as one model reads them.

    Args:
        ids: token ids of each text; the texts of an item stand together.
        sides: texts of an item: 1, or 2 for Comparisons.
        truncated: how many texts were cut at the model's length limit.
    """

    ids: Sequence[Sequence[int]]
    sides: int
    truncated: int

    @classmethod
    def of(cls, task: Task, items: IntArray, backbone: Backbone) -> Reading:
        """Tokenize items of a task."""
        ids, truncated = backbone.tokenize(task.texts(items))
        return cls(ids, 2 if task.pairwise else 1, truncated)

    @cached_property
    def lengths(self) -> IntArray:
        """Tokens of each item's longest text, int64 [n]."""
        lengths = np.array([len(row) for row in self.ids], dtype=np.int64)
        return np.asarray(lengths.reshape(-1, self.sides).max(1))

    def one_by_one(self) -> Reading:
        """Return the texts of all items as items of their own, in order."""
        return Reading(self.ids, 1, self.truncated)

    def texts(self, rows: IntArray) -> list[Sequence[int]]:
        """Return the token ids of the items' texts."""
        return [self.ids[row * self.sides + side] for row in rows for side in range(self.sides)]

    def tokens(self, rows: IntArray) -> int:
        """Count the real tokens of the items."""
        return sum(len(ids) for ids in self.texts(rows))

    def cut(self, rows: IntArray, budget: int) -> list[IntArray]:
        """Cut items into pieces of like length of at most `budget` tokens with padding, one item at least."""
        return within_budget(rows, self.lengths * self.sides, budget)

    def padded(self, rows: IntArray, budget: int) -> int:
        """Count the tokens computed for the items when they are cut to `budget`, padding included."""
        return sum(len(piece) * self.sides * int(self.lengths[piece].max()) for piece in self.cut(rows, budget))


class Readable(Protocol):
    """Items as a trainee reads them."""

    @property
    def truncated(self) -> int:
        """How many texts were cut at the model's length limit."""

    def one_by_one(self) -> Readable:
        """Return the texts of all items as items of their own, in order."""

    @property
    def lengths(self) -> IntArray:
        """Tokens of each item, int64 [n]."""

    def tokens(self, rows: IntArray) -> int:
        """Count the real tokens of the items."""

    def cut(self, rows: IntArray, budget: int) -> list[IntArray]:
        """Cut items into pieces of like length of at most `budget` tokens with padding, one item at least."""

    def padded(self, rows: IntArray, budget: int) -> int:
        """Count the tokens computed for the items when they are cut to `budget`, padding included."""


R = TypeVar("R", bound=Readable, contravariant=True)


class Trainee(ABC, Generic[R]):
    """What the training loop moves: a body, and what is made of its hidden states.

    Args:
        backbone: the body; the parameters that shall move require gradients, the others do not.
        precision: of the body's matrix products.
        acting: modules that behave differently while learning (dropout); everything else never does.
    """

    classes = 2
    """Of the logits."""
    peers = 1
    """Learners side by side; several have the first dimension of the logits."""

    def __init__(self, backbone: Backbone, precision: Precision, acting: Sequence[nn.Module] = ()) -> None:
        self.backbone, self.precision, self.acting = backbone, precision, acting
        self.device: torch.device = next(backbone.module.parameters()).device
        self.trainable: list[Tensor] = [p for p in backbone.module.parameters() if p.requires_grad]
        backbone.module.eval()

    @abstractmethod
    def logits(self, reading: R, rows: IntArray) -> Tensor:
        """Return float32 [n, k], or [peers, n, k]; dropout acts only where gradients are recorded."""

    def act(self) -> None:
        """Let dropout act where gradients are recorded."""
        import torch

        for module in self.acting:
            module.training = torch.is_grad_enabled()  # not train(): what is inside keeps its mode

    def probs(self, reading: R, rows: IntArray, budget: int) -> FloatArray:
        """Return class probabilities of items, float32 [n, k], at most `budget` tokens at once; of peers the mean."""
        import torch

        return np.asarray(torch.from_numpy(self.scores(reading, rows, budget)).softmax(-1).numpy())

    def scores(self, reading: R, rows: IntArray, budget: int) -> FloatArray:
        """Return the logits of items, float32 [n, k], at most `budget` tokens at once.

        Those of peers are the logarithms of the mean of their probabilities.
        """
        import torch

        out = np.empty((len(rows), self.classes), dtype=np.float32)
        place = {int(row): number for number, row in enumerate(rows)}
        with torch.inference_mode():
            for piece in reading.cut(rows, budget):
                logits = self.logits(reading, piece)
                if self.peers > 1:
                    logits = logits.log_softmax(-1).logsumexp(0) - math.log(self.peers)
                out[[place[int(row)] for row in piece]] = logits.cpu().numpy()
        return out

    def state(self) -> list[Tensor]:
        """Return a copy of the parameters that move."""
        return [parameter.detach().clone() for parameter in self.trainable]

    def restore(self, state: Sequence[Tensor]) -> None:
        """Set the parameters that move to what `state` returned."""
        import torch

        with torch.no_grad():
            for parameter, value in zip(self.trainable, state, strict=True):
                parameter.copy_(value)


class Network(Trainee[Reading]):
    """A body and a head on its pooled hidden states; matrix products in `precision`, head and loss in float32.

    The head of Examples has an output a class. That of Comparisons scores each response on its own, r0 and r1, and
    these are the logits: cross-entropy is then the loss of Bradley and Terry (1952) in r1 - r0. A single response
    scored so has the logits 0 and r.

    Args:
        backbone: the body; the parameters that shall move require gradients, the others do not.
        outputs: classes, or 1 to score responses.
        precision: of the body's matrix products.
        acting: modules that behave differently while learning (dropout).
    """

    def __init__(
        self, backbone: Backbone, outputs: int, precision: Precision, acting: Sequence[nn.Module] = ()
    ) -> None:
        from torch import nn

        super().__init__(backbone, precision, acting)
        self.head = nn.Linear(backbone.width, outputs, bias=False, device=self.device)
        nn.init.zeros_(self.head.weight)
        self.trainable.append(self.head.weight)
        self.classes = max(2, outputs)

    def logits(self, reading: Reading, rows: IntArray) -> Tensor:
        """Return float32 [n, k]; dropout acts only where gradients are recorded."""
        import torch

        self.act()
        ids, mask = (torch.from_numpy(x).to(self.device) for x in pad(reading.texts(rows), self.backbone.pad_id))
        with torch.autocast(self.device.type, torch.bfloat16, enabled=self.precision == "bf16"):
            hidden = self.backbone.module(input_ids=ids, attention_mask=mask).last_hidden_state
            pooled = self.backbone.pool(hidden, mask)
        scores: Tensor = self.head(pooled.float())
        if self.head.out_features > 1:
            return scores
        return scores.view(-1, 2) if reading.sides == 2 else torch.cat([torch.zeros_like(scores), scores], 1)


class Peers(Trainee[R]):
    """Learners side by side on one body.

    Args:
        learners: with the same body, of which each has a part of its own.
        turn: lets one of them compute with that part.
    """

    def __init__(self, learners: Sequence[Trainee[R]], turn: Callable[[int], None]) -> None:
        first = learners[0]
        super().__init__(first.backbone, first.precision, first.acting)
        self.learners, self.turn = learners, turn
        self.classes, self.peers = first.classes, len(learners)
        each = {id(parameter): parameter for learner in learners for parameter in learner.trainable}
        self.trainable = list(each.values())  # all adapters, once, and the heads

    def logits(self, reading: R, rows: IntArray) -> Tensor:
        """Return float32 [peers, n, k]."""
        import torch

        said = []
        for number, learner in enumerate(self.learners):
            self.turn(number)
            said.append(learner.logits(reading, rows))
        return torch.stack(said)
