"""A network that learns: a model's body with a head that starts at zero, and the items it reads."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any, ClassVar, Generic, NamedTuple, Protocol, TypeVar

import numpy as np
import numpy.typing as npt

from superalign.batching import filled, pad, within_budget
from superalign.flat import Flat, set_flat
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
        return np.asarray(self._by_text.max(1))

    @cached_property
    def sizes(self) -> IntArray:
        """Tokens of all of an item's texts, int64 [n]."""
        return np.asarray(self._by_text.sum(1))

    @property
    def widths(self) -> IntArray:
        """Tokens of an item's texts when each is padded to the longest, int64 [n]."""
        return self.lengths * self.sides

    @cached_property
    def _by_text(self) -> IntArray:
        return np.array([len(row) for row in self.ids], dtype=np.int64).reshape(-1, self.sides)

    def one_by_one(self) -> Reading:
        """Return the texts of all items as items of their own, in order."""
        return Reading(self.ids, 1, self.truncated)

    def texts(self, rows: IntArray) -> list[Sequence[int]]:
        """Return the token ids of the items' texts."""
        return [self.ids[row * self.sides + side] for row in rows for side in range(self.sides)]


class Readable(Protocol):
    """Items as a trainee reads them, a dataclass."""

    __dataclass_fields__: ClassVar[dict[str, Any]]

    @property
    def truncated(self) -> int:
        """How many texts were cut at the model's length limit."""

    def one_by_one(self) -> Readable:
        """Return the texts of all items as items of their own, in order."""

    @property
    def lengths(self) -> IntArray:
        """Tokens of each item's longest row, int64 [n]."""

    @property
    def sizes(self) -> IntArray:
        """Real tokens of each item, int64 [n]."""

    @property
    def widths(self) -> IntArray:
        """Tokens of each item in a batch that it is the longest of, int64 [n]."""


class Rows(NamedTuple):
    """Token ids as rows of a batch.

    Args:
        ids: int64 [b, t].
        positions: int64 [b, t].
        segments: int64 [b, t]: 0 is seen by the whole row, 1 and 2 by themselves, -1 is padding, on the right.
    """

    ids: IntArray
    positions: IntArray
    segments: IntArray

    def shared(self) -> int:
        """Return how many tokens all rows begin with alike, before any response."""
        same = (self.ids == self.ids[:1]).all(0) & (self.segments == 0).all(0)
        if len(self.ids) < 2:
            return 0
        return len(same) if same.all() else int(np.argmin(same))

    @classmethod
    def of(cls, texts: Sequence[Sequence[int]], filler: int) -> Rows:
        """Pad texts to the longest."""
        ids, mask = pad(texts, filler)
        return cls(ids, np.tile(np.arange(ids.shape[1]), (len(ids), 1)), mask - 1)


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
        self.settle: Callable[[], None] = _as_it_is  # called after every step
        backbone.module.eval()
        self.flat = _flattens(self)

    def cut(self, reading: Readable, rows: IntArray, budget: int) -> list[IntArray]:
        """Cut items into pieces of like length of at most `budget` computed tokens, one item at least."""
        if self.flat:
            return filled(rows, reading.sizes, budget)
        return within_budget(rows, reading.widths, budget)

    def computed(self, reading: Readable, piece: IntArray) -> int:
        """Count the tokens computed for a piece, padding included."""
        return int(reading.sizes[piece].sum() if self.flat else len(piece) * reading.widths[piece].max())

    def hidden(self, rows: Rows) -> Tensor:
        """Return the body's last hidden states, [b, t, d]; what stands in padding has no meaning."""
        import torch

        real = rows.segments >= 0
        shared = rows.segments.max() > 1  # two responses that must not see each other
        mask = self._mask(rows) if self.flat or shared else torch.from_numpy(real.astype(np.int64)).to(self.device)
        inputs: dict[str, Any] = {"attention_mask": mask}
        ids, positions = rows.ids, rows.positions
        if self.flat:
            once, opening = real.copy(), rows.shared() if self.backbone.causal else 0
            once[1:, :opening] = False  # what all rows begin with is computed in the first one
            token = np.where(once, once.cumsum().reshape(once.shape) - 1, 0)
            token[1:, :opening] = token[0, :opening]
            tokens, places = self._here(token.ravel(), np.flatnonzero(once))
            inputs["flat"] = Flat(len(real), real.shape[1], tokens, places, opening)
            ids, positions = ids[once][None], positions[once][None]
        inputs["input_ids"], inputs["position_ids"] = self._here(ids, positions)
        with torch.autocast(self.device.type, torch.bfloat16, enabled=self.precision == "bf16"):
            hidden: Tensor = self.backbone.module(**inputs).last_hidden_state
        return inputs["flat"].spread(hidden[0]) if self.flat else hidden

    def _here(self, *arrays: IntArray) -> list[Tensor]:
        import torch

        return [torch.from_numpy(np.ascontiguousarray(array)).to(self.device) for array in arrays]

    def _mask(self, rows: Rows) -> Tensor | dict[str, Tensor]:
        """Return which places see which, as what is added to attention's scores: [b, 1, t, t], a kind of layer."""
        import torch

        segments, positions = self._here(rows.segments, rows.positions)
        if self.backbone.causal and rows.segments.max() <= 0:  # padding on the right is never seen
            segments, positions = torch.zeros_like(segments[:1]), positions[:1]
        mine, other = segments[:, :, None], segments[:, None, :]
        seen = (other == 0) | (other == mine)
        seen = seen.tril() if self.backbone.causal else seen
        distance = (positions[:, :, None] - positions[:, None, :]).abs()
        dtype = next(self.backbone.module.parameters()).dtype
        masks = {}
        for kind, window in self.backbone.windows.items():
            near = seen if window is None else seen & (distance < window)
            mask = torch.zeros(near.shape, dtype=dtype, device=self.device)
            masks[kind] = mask.masked_fill_(~near, torch.finfo(dtype).min).unsqueeze(1)
        return masks.get("", masks)

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
            for piece in self.cut(reading, rows, budget):
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
        rows_of_texts = Rows.of(reading.texts(rows), self.backbone.pad_id)
        (real,) = self._here(rows_of_texts.segments + 1)
        pooled = self.backbone.pool(self.hidden(rows_of_texts), real)
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


def _as_it_is() -> None:
    """Leave what moved where it is."""


def _flattens(trainee: Trainee[Any]) -> bool:
    """Tell by a trial whether the body computes texts one after the other as it does each alone, and set it so."""
    import torch

    body: Any = trainee.backbone.module
    before = getattr(getattr(body, "config", None), "_attn_implementation", None)
    if before is None:
        return False
    texts = [[1, 2, 3, 4, 5], [6, 7, 4]]
    filler = trainee.backbone.pad_id
    trainee.flat = False
    with torch.inference_mode():
        alone = [trainee.hidden(Rows.of([text], filler))[0] for text in texts]
        try:
            set_flat(body)
            trainee.flat = True
            both = trainee.hidden(Rows.of(texts, filler))
            found = [both[row, : len(text)] for row, text in enumerate(texts)]
            if all(torch.allclose(a, b, rtol=0.02, atol=0.02) for a, b in zip(found, alone, strict=True)):
                return True
        except (TypeError, ValueError, RuntimeError, KeyError, IndexError, AttributeError):
            pass
        body.set_attn_implementation(before)
    return False
