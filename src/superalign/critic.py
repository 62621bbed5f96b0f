"""A Critic, given a query and a response, says in words what is wrong with it, gives a verdict and how sure it is."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Annotated, Any, ClassVar, Literal

from pydantic import Field

from superalign.chat import Message, Messages, asked
from superalign.config import Component
from superalign.errors import ConfigError
from superalign.job import Tools
from superalign.label import Labels
from superalign.model import Model, Stage
from superalign.registry import Registry, chosen
from superalign.store import Artifact
from superalign.task import Comparison, Item

Verdict = Literal["good", "bad", "undetermined"]
Severity = Literal["minor", "major"]
Abstain = Annotated[float, Field(ge=0.5, lt=1)]
"""The least confidence with which a verdict is given; 0.5 gives it always."""


@dataclass(frozen=True)
class Case:
    """What is judged: a response to a conversation, or which of two responses is the better one.

    Args:
        id: of the item.
        messages: what the model was asked.
        responses: one, or two.
        group: cases of one group are about the same thing.
    """

    id: str
    messages: Messages
    responses: tuple[str, ...]
    group: str = ""

    @classmethod
    def of(cls, item: Item) -> Case:
        """Make a case of a task's item; a text without a response is itself what is judged."""
        group = item.group or item.id
        if isinstance(item, Comparison):
            return cls(item.id, asked(item.prompt) if item.prompt else (), item.responses, group)
        if item.response is None:
            return cls(item.id, (), (item.prompt,), group)
        return cls(item.id, asked(item.prompt), (item.response,), group)

    @property
    def pair(self) -> bool:
        """Tell whether there are two responses."""
        return len(self.responses) == 2


@dataclass(frozen=True)
class Flaw:
    """One thing that is wrong with a response.

    Args:
        quote: the words of the response that hold it, exactly; empty when it is an omission.
        what: in words.
        severity: how bad it is.
    """

    quote: str
    what: str
    severity: Severity = "major"


@dataclass(frozen=True)
class Cost:
    """What a critique took: tokens that models read and wrote, seconds, and answers of people."""

    tokens_in: int = 0
    tokens_out: int = 0
    seconds: float = 0.0
    people: int = 0

    def __add__(self, other: Cost) -> Cost:
        return Cost(
            self.tokens_in + other.tokens_in,
            self.tokens_out + other.tokens_out,
            self.seconds + other.seconds,
            self.people + other.people,
        )


@dataclass(frozen=True)
class Critique:
    """What a critic says of a case.

    Args:
        words: the critique.
        good: probability that the response is good; of two responses, that the second is the better one. None when the
            critic cannot tell.
        undetermined: why it cannot tell: "abstained", "unparsable", "error: ..." or "unanswered".
        flaws: what it found.
        cost: what it took.
        orders: where it was asked in more than one order (of responses, or of the answers it may give): what it said in
            each, as `good` is to be read; the first is the order of the case. Their difference is the position's doing.
    """

    words: str = ""
    good: float | None = None
    undetermined: str = ""
    flaws: tuple[Flaw, ...] = ()
    cost: Cost = field(default_factory=Cost)
    orders: tuple[float, ...] = ()

    @classmethod
    def leaning(cls, good: float, abstain: float, **said: Any) -> Critique:
        """Return a critique with this probability, or one that abstains: less sure than that, or between the two.

        Args:
            good: the probability.
            abstain: the least confidence with which a verdict is given.
            **said: the other fields.
        """
        if max(good, 1 - good) < abstain or good == 0.5:
            return cls(undetermined="abstained", **said)
        return cls(good=good, **said)

    @property
    def verdict(self) -> Verdict:
        """Of a single response, or of the second of two."""
        if self.good is None:
            return "undetermined"
        return "good" if self.good > 0.5 else "bad"

    @property
    def confidence(self) -> float | None:
        """The probability that the verdict is right, as the critic says itself; None when there is no verdict."""
        return None if self.good is None else max(self.good, 1 - self.good)


def revise(case: Case, critique: Critique, which: int = 0) -> Messages:
    """Return the conversation that asks a model to write a response anew, given what a critic said of it.

    Args:
        case: what was asked, and the response.
        critique: of it. Where there are no words the verdict alone is passed on.
        which: of two responses.
    """
    said = [critique.words.strip()] if critique.words.strip() else []
    said += [f'- "{flaw.quote}": {flaw.what}' if flaw.quote else f"- {flaw.what}" for flaw in critique.flaws]
    if not said and critique.good is not None:
        good = critique.good if which or not case.pair else 1 - critique.good
        said = ["It is good as it is." if good > 0.5 else "It is not good."]
    talk = case.messages or asked("Write a text.")
    wish = "Write the response again: mend what is wrong, keep what is right, and write nothing else."
    told = "\n".join(said) or "It has no verdict on it."
    response = Message("assistant", case.responses[which])
    return (*talk, response, Message("user", f"A critic says of your response:\n\n{told}\n\n{wish}"))


class Critic(Component, ABC):
    """Base of the critics. None sees gold; one that learns is given Labels of other cases."""

    pairs: ClassVar[bool] = True
    """Whether it can say which of two responses is better."""

    @property
    def learns(self) -> bool:
        """Tell whether it must be trained on labels first."""
        return False

    def models(self) -> tuple[Model, ...]:
        """Return the models it asks."""
        return ()

    def check(self, pair: bool) -> None:
        """Refuse cases that it cannot judge.

        Raises:
            ConfigError: they are pairs, and it judges single responses.
        """
        if pair and not self.pairs:
            raise ConfigError(f"critic {self} judges single responses, not which of two is better")

    def check_taught(self, where: str) -> None:
        """Refuse to judge where there are no labels to teach it on.

        Raises:
            ConfigError: it learns.
        """
        if self.learns:
            why, fix = f"{where} has no labels to teach it on", f"taught,critic=({self}),on=TASK"
            raise ConfigError(f"critic {self} must be taught first", why=why, fix=fix)

    def identity(self) -> dict[str, Any]:
        """Return all that decides what it says, the digests of its models included."""
        return {"critic": self.spec(), "models": [model.identity() for model in self.models()]}

    def prepare(self, report: Stage) -> None:
        """Bring what it needs onto this machine, telling `report` what is going on.

        Raises:
            SuperalignError: something is missing, or does not fit.
        """
        for model in self.models():
            model.prepare(report)

    def learn(self, cases: Sequence[Case], labels: Labels, tools: Tools) -> Artifact:
        """Train on labelled cases and return what was learnt; classes are bad and good, or first and second."""
        return Artifact()

    @abstractmethod
    def judge(self, cases: Sequence[Case], tools: Tools, learnt: Artifact | None = None) -> list[Critique]:
        """Judge each case; one that cannot be judged gets a Critique without a verdict, never an exception."""


critics: Registry[Critic] = Registry("critic", "superalign.critics", Critic)
CriticChoice = Annotated[Critic, *chosen(critics)]
