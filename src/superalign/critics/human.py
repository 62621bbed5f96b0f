"""People as a critic: a queue in a file, which `superalign judge` shows them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any, ClassVar, Self

from pydantic import Field, model_validator

from superalign.critic import Case, Cost, Critic, Critique, critics
from superalign.critics._queue import Answer, Asked, Held, Queue
from superalign.job import Tools
from superalign.store import Artifact


@critics.register("human")
class Human(Critic):
    """People answer at their own pace: cases are appended to a file, `superalign judge FILE` asks, answers are read.

    A case that nobody has answered yet has no verdict; judge again when there are answers. Which cases are asked, when
    there are more than the budget allows, is the order in which they are given.
    """

    argument: ClassVar[str | None] = "queue"

    queue: str
    """The file, QUEUE.jsonl; it is made when it is not there."""
    budget: Annotated[int, Field(ge=0)] = 100
    """The most cases in the file."""
    sure: Annotated[float, Field(gt=0.5, le=1)] = 0.9
    """How probably a person's answer is right: two people seldom agree on more."""

    @model_validator(mode="after")
    def _suffix(self) -> Self:
        Queue(Path(self.queue))
        return self

    def identity(self) -> dict[str, Any]:
        """Return what decides what it says, the answers that are there included."""
        held = self._file().read()
        return {**super().identity(), "answers": {name: list(answer) for name, answer in sorted(held.answers.items())}}

    def judge(self, cases: Sequence[Case], tools: Tools, learnt: Artifact | None = None) -> list[Critique]:
        """Ask the cases that were not asked yet, and return the answers that are there."""
        held = self._file().ask(cases, self.budget)
        for row in held.dropped:
            tools.report(note=f"{row.where}: {row.reason}; it does not count")
        tools.report(note=f"{self.queue}: {len(held.answers)} answered, {len(held.left)} to be answered")
        return [self._read(held, Asked.of(case)) for case in cases]

    def _read(self, held: Held, asked: Asked) -> Critique:
        answer: Answer | None = held.answers.get(asked.id)
        if answer is None:
            return Critique(undetermined="unanswered")
        if answer.verdict == "undetermined":
            return Critique(answer.words, undetermined="abstained", cost=Cost(people=1))
        good = self.sure if answer.verdict in ("good", "second") else 1 - self.sure
        return Critique(answer.words, good, cost=Cost(people=1))

    def _file(self) -> Queue:
        return Queue(Path(self.queue).expanduser())
