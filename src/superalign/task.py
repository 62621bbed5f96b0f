"""A Task is a named, versioned set of Examples or Comparisons with sealed Gold, in three parts."""

from __future__ import annotations

import hashlib
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import Annotated, Any, ClassVar, Literal, NamedTuple, NoReturn

import numpy as np
import numpy.typing as npt
from pydantic import AfterValidator

from superalign.chat import Message, Messages
from superalign.config import Component
from superalign.errors import ConfigError, SealedGoldError
from superalign.registry import Registry, chosen

FloatArray = npt.NDArray[np.float32]
IntArray = npt.NDArray[np.int64]
Tag = str | float | int
PARTS = ("supervise", "transfer", "test")
CONFLICT = "conflict"
"""The fixed part of items of another aim, beside the task's own three."""


class Text(NamedTuple):
    """What a model reads: a plain text, or a prompt, or a whole conversation, with the response to it."""

    prompt: str | Messages
    response: str | None = None

    @property
    def plain(self) -> str:
        """All of it as one string, a turn a line."""
        given = [self.prompt] if isinstance(self.prompt, str) else [turn.content for turn in self.prompt]
        return "\n".join(part for part in (*given, self.response) if part)


@dataclass(frozen=True, slots=True)
class Example:
    """One point-wise item. Rows of one `group` (same question, same city) never cross parts.

    `messages` are the conversation that the response goes on from, where that is more than the prompt.
    """

    id: str
    prompt: str
    response: str | None = None
    group: str = ""
    tags: Mapping[str, Tag] = field(default_factory=dict)
    messages: Messages = ()

    def texts(self) -> tuple[Text, ...]:
        """Return the one text a model reads for this item."""
        return (Text(self.messages or self.prompt, self.response),)


@dataclass(frozen=True, slots=True)
class Comparison:
    """One pair-wise item: gold says which of the two responses (0 or 1) is preferred.

    `rewards` are what other aims than this task's make of the responses, in their order. `messages` are the
    conversation that the responses go on from, where that is more than the prompt.
    """

    id: str
    prompt: str
    responses: tuple[str, str]
    group: str = ""
    tags: Mapping[str, Tag] = field(default_factory=dict)
    rewards: tuple[float, float] | None = None
    messages: Messages = ()

    def texts(self) -> tuple[Text, ...]:
        """Return the two texts a model reads; without a prompt the responses are plain texts."""
        said = self.messages or self.prompt
        return tuple(Text(said, response) if said else Text(response) for response in self.responses)


Item = Example | Comparison


class Unsealing(NamedTuple):
    """One reading of ground truth, for the run's record."""

    part: str
    reader: str
    why: str
    n: int


_unsealings: ContextVar[list[Unsealing] | None] = ContextVar("unsealings", default=None)


@contextmanager
def recorded_unsealings() -> Iterator[list[Unsealing]]:
    """Collect every unsealing made inside the block."""
    log: list[Unsealing] = []
    token = _unsealings.set(log)
    try:
        yield log
    finally:
        _unsealings.reset(token)


class GoldReader:
    """Base of what may unseal gold. Reading more than the parent class does takes `Oracle` in the class's name."""

    gold_parts: ClassVar[frozenset[str]] = frozenset()

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        allowed = frozenset[str]().union(*(getattr(base, "gold_parts", frozenset()) for base in cls.__bases__))
        known = cls.__module__ in ("superalign.metric", "superalign.supervisor") and GoldReader in cls.__bases__
        if cls.gold_parts - allowed and not known and "Oracle" not in cls.__name__:
            raise SealedGoldError(
                f"{cls.__name__} wants to read gold of {sorted(cls.gold_parts - allowed)}",
                fix="put 'Oracle' into its name, so that every reader of its results knows",
            )


class Gold:
    """Ground truth of one part, sealed: only a metric, a supervisor on its own part, or an Oracle unseals it."""

    __slots__ = ("__labels", "part")

    def __init__(self, labels: IntArray, part: str) -> None:
        self.__labels = np.asarray(labels, dtype=np.int64)
        self.part = part

    def unseal(self, reader: object, why: str) -> IntArray:
        """Return the class index of each item, int64 [n], and record who read it and why.

        Raises:
            SealedGoldError: the reader may not see this part.
        """
        name = type(reader).__name__
        if not (isinstance(reader, GoldReader) and self.part in reader.gold_parts):
            raise SealedGoldError(
                f"{name} may not read the gold of part '{self.part}'",
                why="only metrics, supervisors on the supervise part, and objects named Oracle unseal gold",
            )
        log = _unsealings.get()
        if log is not None:
            log.append(Unsealing(self.part, name, why, len(self)))
        return self.__labels.copy()

    def __len__(self) -> int:
        return len(self.__labels)

    def __repr__(self) -> str:
        return f"Gold(sealed, part={self.part!r}, n={len(self)})"

    def _sealed(self, *_: object) -> NoReturn:
        raise SealedGoldError("gold is sealed", fix="only Gold.unseal(reader, why) reads it")

    __array__ = __getitem__ = __iter__ = __reduce__ = __reduce_ex__ = __copy__ = __deepcopy__ = _sealed


@dataclass(frozen=True, slots=True)
class Dropped:
    """A row that was left out, and why."""

    where: str
    reason: str


@dataclass(frozen=True)
class Task:
    """Items without their gold, and what a source knows about them.

    Args:
        items: all Examples, or all Comparisons.
        classes: names of the classes; a Comparison's are ("first", "second").
        fixed_parts: for each item the part its source put it in, or None to let the split decide.
        dropped: rows quarantined while reading.
        warnings: what is odd about the data, in words.
    """

    name: str
    version: str
    items: tuple[Item, ...]
    classes: tuple[str, ...]
    fixed_parts: tuple[str | None, ...] = ()
    dropped: tuple[Dropped, ...] = ()
    warnings: tuple[str, ...] = ()

    @property
    def pairwise(self) -> bool:
        """Tell whether the items are Comparisons."""
        return isinstance(self.items[0], Comparison)

    def texts(self, index: Sequence[int] | IntArray | None = None) -> list[Text]:
        """Return what a model reads, in item order: one text an Example, two a Comparison."""
        items = self.items if index is None else [self.items[i] for i in index]
        return [text for item in items for text in item.texts()]

    def by_item(self, features: FloatArray) -> FloatArray:
        """Return one row an item, [items, d], of one row a text: of a Comparison second minus first."""
        return features[1::2] - features[0::2] if self.pairwise else features

    def groups(self) -> tuple[str, ...]:
        """Return each item's group; an item without one is its own."""
        return tuple(item.group or item.id for item in self.items)

    def to_meta(self) -> dict[str, Any]:
        """Return this as JSON-able data."""
        return {
            "name": self.name,
            "version": self.version,
            "classes": list(self.classes),
            "pairwise": self.pairwise,
            "items": [_row(item) for item in self.items],
            "fixed_parts": list(self.fixed_parts),
            "dropped": [[row.where, row.reason] for row in self.dropped],
            "warnings": list(self.warnings),
        }

    @classmethod
    def from_meta(cls, meta: Mapping[str, Any]) -> Task:
        """Rebuild from `to_meta`."""
        read = _comparison if meta["pairwise"] else _example
        return cls(
            meta["name"],
            meta["version"],
            tuple(read(row) for row in meta["items"]),
            tuple(meta["classes"]),
            tuple(meta["fixed_parts"]),
            tuple(Dropped(*row) for row in meta["dropped"]),
            tuple(meta["warnings"]),
        )


def _check(shares: tuple[int, int, int]) -> tuple[int, int, int]:
    """Refuse shares that leave a part empty."""
    if min(shares) <= 0:
        raise ConfigError(f"split {shares}: every part needs a share above 0")
    return shares


Shares = Annotated[tuple[int, int, int], AfterValidator(_check)]
"""Proportions of supervise, transfer and test."""


class Parts(NamedTuple):
    """Item indices of the three parts, int64, sorted."""

    supervise: IntArray
    transfer: IntArray
    test: IntArray


def split(task: Task, shares: Shares, seed: int) -> Parts:
    """Divide a task by group: the test part is the same for every seed, the other two are dealt anew by each.

    Parts that the source fixed are kept. `shares` are proportions of supervise, transfer and test.
    """
    groups = np.array(task.groups())
    fixed = np.array([part or "" for part in task.fixed_parts] or [""] * len(task.items))
    names = np.unique(groups[fixed == ""])
    order = sorted(names, key=lambda name: hashlib.sha256(str(name).encode()).digest())
    n_test = 0 if (fixed == "test").any() else round(len(order) * shares[2] / sum(shares))
    test, rest = order[:n_test], np.array(order[n_test:])
    rest = rest[np.random.default_rng(seed).permutation(len(rest))] if len(rest) else rest
    ratio = shares[0] / (shares[0] + shares[1])
    if {"supervise", "transfer"} & set(fixed):
        ratio = 0.0 if (fixed == "supervise").any() else 1.0
    n_supervise = round(len(rest) * ratio)
    dealt = {
        "supervise": rest[:n_supervise],
        "transfer": rest[n_supervise:],
        "test": np.array(test),
    }
    return Parts(*(np.flatnonzero((fixed == part) | ((fixed == "") & np.isin(groups, dealt[part]))) for part in PARTS))


class Loaded(NamedTuple):
    """A task and its ground truth: class index of each item, int64 [n]. Only `Gold` hands the second on."""

    task: Task
    labels: IntArray


class Original(NamedTuple):
    """One row of a source as it stands there, and the ids of the items it became: none when reading left it out."""

    where: str
    values: Mapping[str, Any]
    items: tuple[str, ...]


class TaskSource(Component, ABC):
    """Where a task comes from: generated, a file, a hub data set."""

    kind: ClassVar[Literal["task"]] = "task"

    @abstractmethod
    def load(self) -> Loaded:
        """Read or generate the task.

        Raises:
            DataError: the data is missing, unreadable or degenerate.
        """

    @abstractmethod
    def fingerprint(self) -> str:
        """Return a digest of what decides the content (a file's SHA-256, a package's version), cheaply."""

    def originals(self, loaded: Loaded) -> Iterator[Original]:
        """Yield the rows that `load` read; where a source has none of its own, its items and labels as plain data."""
        for item, label in zip(loaded.task.items, loaded.labels.tolist(), strict=True):
            yield Original(item.id, _plain(item, loaded.task, label), (item.id,))


tasks: Registry[TaskSource] = Registry("task", "superalign.tasks", TaskSource)
TaskChoice = Annotated[TaskSource, *chosen(tasks)]


def _plain(item: Item, task: Task, label: int) -> dict[str, Any]:
    if isinstance(item, Comparison):
        chosen, rejected = item.responses[label], item.responses[1 - label]
        return {"id": item.id, "prompt": item.prompt, "chosen": chosen, "rejected": rejected}
    answered = {} if item.response is None else {"response": item.response}
    return {"id": item.id, "prompt": item.prompt, **answered, "label": task.classes[label]}


def _row(item: Item) -> list[Any]:
    said = [list(turn) for turn in item.messages]
    if isinstance(item, Example):
        return _short([item.id, item.prompt, item.response, item.group, dict(item.tags)], said)
    rewards = list(item.rewards) if item.rewards else None
    return _short([item.id, item.prompt, item.responses, item.group, dict(item.tags)], rewards, said)


def _short(row: list[Any], *rest: Any) -> list[Any]:
    """Return a row without the empty fields at its end, which most items have."""
    last = max((place for place, one in enumerate(rest, 1) if one), default=0)
    return [*row, *rest[:last]]


def _example(row: list[Any]) -> Example:
    return Example(row[0], row[1], row[2], row[3], row[4], _messages(row[5:]))


def _comparison(row: list[Any]) -> Comparison:
    rewards = (row[5][0], row[5][1]) if len(row) > 5 and row[5] else None
    return Comparison(row[0], row[1], (row[2][0], row[2][1]), row[3], row[4], rewards, _messages(row[6:]))


def _messages(rest: list[Any]) -> Messages:
    return tuple(Message(*turn) for turn in rest[0]) if rest else ()
