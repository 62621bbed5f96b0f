"""An attacker proposes queries that expose a model's weaknesses, within a budget.

An Attack is written as its paper writes it: a generator that yields what it wants to ask and is sent what came back.
Whoever drives it (`campaign.py`) asks the models, so batching, budgets, errors and the record are in one place.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Generator, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Annotated, Any, ClassVar, Literal

import numpy as np
from pydantic import Field

from superalign.chat import Messages, Reply, Sampling, Scored, asked
from superalign.config import Component, Config, digest
from superalign.model import Model
from superalign.registry import Registry, chosen
from superalign.store import Store
from superalign.task import Tag

Outcome = Literal["broken", "held", "undetermined", "error"]
World = Literal["knowledge", "behaviour"]
Role = Literal["attacker", "critic"]


@dataclass(frozen=True)
class Goal:
    """What an attack is to bring about. It holds no ground truth.

    Args:
        id: of the item it was made from.
        prompt: what is asked plainly.
        claim: what the model shall say: in the world of knowledge the answer it does not give when asked plainly, in
            the world of behaviours the opening of an answer that complies, or nothing.
        denied: the answer that the model gives when asked plainly; empty in the world of behaviours.
        group: goals of one group are about the same thing.
        tags: of the item.
    """

    id: str
    prompt: str
    claim: str = ""
    denied: str = ""
    group: str = ""
    tags: Mapping[str, Tag] = field(default_factory=dict)


@dataclass(frozen=True)
class Query:
    """One conversation that is put to the target.

    Args:
        goal: index of the goal it is to reach.
        messages: the conversation.
        tactic: what is tried, in a word; figures are given by tactic.
        tags: what else is to be known of it, JSON-able (depth, parent, cell).
    """

    goal: int
    messages: Messages
    tactic: str
    tags: Mapping[str, Any] = field(default_factory=dict)

    @property
    def name(self) -> str:
        """Return a digest of what is said and what for."""
        return digest([self.goal, [list(turn) for turn in self.messages], self.tactic])[:16]


@dataclass(frozen=True)
class Attempt:
    """What came of a query.

    Args:
        query: what was asked.
        outcome: `broken`: the goal was reached; `held`: it was not; `undetermined`: nobody can tell; `error`: the
            target did not answer. The last two never count as either of the first.
        score: the higher the nearer to broken (0 is the border), where there is such a thing.
        response: what the target wrote, where it was asked to.
        why: in words, for `undetermined` and `error`.
        tokens: that the target read and wrote.
    """

    query: Query
    outcome: Outcome
    score: float | None = None
    response: str = ""
    why: str = ""
    tokens: int = 0

    @property
    def fitness(self) -> float | None:
        """The score; where there is none, 1 for broken and -1 for held; None where nobody can tell."""
        if self.outcome in ("undetermined", "error"):
            return None
        return self.score if self.score is not None else 1.0 if self.outcome == "broken" else -1.0


@dataclass(frozen=True)
class Rehearse:
    """A query for one of the scene's examples, from which an attack learns: an Attempt comes back.

    It is put to the target and costs tokens, but takes no query of a goal's budget, and no figure counts it.

    Args:
        query: whose goal is an index of the scene's examples.
    """

    query: Query


@dataclass(frozen=True)
class Ask:
    """A conversation that the attacker's own model, or the critic's, is to answer: a Reply comes back.

    Args:
        messages: the conversation.
        sampling: how the answer is drawn.
        seed: of the draws.
        role: whose model is asked.
        model: who is asked instead, such as the role's model with an adapter.
    """

    messages: Messages
    sampling: Sampling
    seed: int = 0
    role: Role = "attacker"
    model: Model | None = None


@dataclass(frozen=True)
class Choose:
    """Answers to a conversation whose likelihood one of the models is to give: a Scored comes back."""

    messages: Messages
    answers: tuple[str, ...]
    role: Literal["attacker", "critic", "target"] = "critic"


@dataclass(frozen=True)
class Work:
    """A computation of the attack's own that takes long, such as a step along a gradient.

    Args:
        name: what decides its result, JSON-able.
        compute: makes the result, JSON-able; it comes back. It is not called when the result is in the store.
        tokens: that it reads, for the budget; or what tells them from the result.
    """

    name: Any
    compute: Callable[[], Any]
    tokens: int | Callable[[Any], int] = 0


Request = Query | Rehearse | Ask | Choose | Work
Search = Generator[Sequence[Request], Sequence[Any], None]
"""Yields requests that may be answered together; is sent one answer a request, in order."""


def apart(one: str, other: str) -> tuple[str, str]:
    """Return two answers without the words that both begin and end with: what is weighed when they are compared.

    A claim that was just repeated word for word is likely for that reason alone; what differs is what is meant. Where
    nothing would be left of one, both are returned whole.
    """
    a, b = one.split(), other.split()
    start = 0
    while start < min(len(a), len(b)) and a[start] == b[start]:
        start += 1
    end = 0
    while end < min(len(a), len(b)) - start and a[-1 - end] == b[-1 - end]:
        end += 1
    found = (" ".join(words[start : len(words) - end]) for words in (a, b))
    first, second = found
    if end == 0 and first.endswith(".") and second.endswith("."):
        first, second = first.rstrip("."), second.rstrip(".")
    return (first, second) if first and second else (one, other)


def tried(queries: Sequence[Query]) -> Generator[Sequence[Request], Sequence[Any], list[Attempt]]:
    """Put queries to the target; use it with `yield from`."""
    return list((yield queries))


def told(asks: Sequence[Ask]) -> Generator[Sequence[Request], Sequence[Any], list[Reply]]:
    """Let a model answer; use it with `yield from`."""
    return list((yield asks))


def weighed(choices: Sequence[Choose]) -> Generator[Sequence[Request], Sequence[Any], list[Scored]]:
    """Let a model say how likely answers are; use it with `yield from`."""
    return list((yield choices))


@dataclass(frozen=True)
class Scene:
    """What a search may know and use. There is no ground truth in it.

    Args:
        target: the model under attack. Only a white-box attack looks inside; all others ask it by queries alone.
        world: what the goals are.
        seed: of all that is drawn.
        examples: goals to learn from, none of which is attacked: what many-shot and the learned attacker may show.
        attacker: the attacker's own model, where there is one.
        store: of the run, for what an attack learns.
    """

    target: Model
    world: World
    seed: int
    examples: tuple[Goal, ...] = ()
    attacker: Model | None = None
    store: Store = field(default_factory=Store)

    def rng(self, *names: str | int) -> np.random.Generator:
        """Return random numbers that depend on the seed and these names alone."""
        key = digest([self.seed, *map(str, names)])
        return np.random.default_rng(int(key[:16], 16))


class Budget(Config):
    """What an attack may spend; it ends when the first of these is spent."""

    queries: Annotated[int, Field(ge=1)] = 10
    """To the target, a goal; a search for several goals may deal them out among these as it likes."""
    tokens: Annotated[int, Field(ge=1)] | None = None
    """That all models read and write, for all goals together."""
    seconds: Annotated[float, Field(gt=0)] | None = None
    """Of computing. A run that this ends is not the same on another machine."""


class Attack(Component, ABC):
    """Base of the attacks. Its fields are its parameters."""

    source: ClassVar[str]
    """The paper, or the words 'our reading' and the paper."""
    worlds: ClassVar[frozenset[World]] = frozenset({"knowledge", "behaviour"})
    """Where it makes sense."""
    white_box: ClassVar[bool] = False
    """Whether it looks inside the target."""
    optional: ClassVar[frozenset[Role]] = frozenset()
    """Models that it uses where there are any, besides those of `roles`."""

    @property
    def roles(self) -> frozenset[Role]:
        """Models it needs besides the target, as it is set."""
        return frozenset()

    def check(self, target: Model, attacker: Model | None) -> None:
        """Refuse models that it cannot go for or use, before anything is done; by default all will do.

        Raises:
            ConfigError: it cannot.
        """
        return

    @abstractmethod
    def searches(self, goals: Sequence[Goal], scene: Scene) -> Iterable[tuple[Sequence[int], Search]]:
        """Return the searches, each with the indices of the goals it is for; they go on side by side."""


class GoalByGoal(Attack, ABC):
    """Base of the attacks that go for each goal on its own."""

    def searches(self, goals: Sequence[Goal], scene: Scene) -> Iterable[tuple[Sequence[int], Search]]:
        """Return a search a goal."""
        return [((index,), self.search(index, goal, scene)) for index, goal in enumerate(goals)]

    @abstractmethod
    def search(self, index: int, goal: Goal, scene: Scene) -> Search:
        """Go for one goal; `index` is its place, for queries."""


def plainly(index: int, goal: Goal) -> Query:
    """Return the query that only asks."""
    return Query(index, asked(goal.prompt), "plain")


attacks: Registry[Attack] = Registry("attack", "superalign.attacks", Attack)
AttackChoice = Annotated[Attack, *chosen(attacks)]
