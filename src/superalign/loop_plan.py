"""What a loop expands to: arms, their rounds, and the jobs of each."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, Literal, NamedTuple

from superalign.job import Job
from superalign.study import Plan

Ablation = Literal[
    "full",
    "no-attacker",
    "no-critic",
    "random-critic",
    "oracle-critic",
    "shared-weights",
    "no-benign",
    "no-gate",
    "no-expert",
]


class Arm(NamedTuple):
    """One way to run the loop."""

    attacks: list[Any]
    aims: list[Any]
    labels: str = "critics"
    shared: bool = False
    gated: bool = True
    experts: int = 0


@dataclass(frozen=True)
class Turn:
    """The jobs of one round."""

    exposed: Job
    judged: Job
    consulted: Job | None
    revised: Job
    drawn: Job | None
    taught: Job
    passed: Job

    def jobs(self) -> Iterator[Job]:
        """Yield them in order."""
        yield self.exposed
        yield self.judged
        if self.consulted:
            yield self.consulted
        yield self.revised
        if self.drawn:
            yield self.drawn
        yield from (self.taught, self.passed)


@dataclass(frozen=True)
class Line:
    """The rounds of one arm and seed, and what is asked of the learner at their end."""

    arm: str
    seed: int
    start: Job
    """What the model is worth on the gate's items before it learns."""
    turns: list[Turn]
    exam: Job
    fresh: Job | None = None
    crossed: dict[tuple[int, int], Job] = field(default_factory=dict)
    """The attacks of round i against the learner before round j; after the last round j is the number of rounds."""


@dataclass(frozen=True)
class LoopPlan(Plan):
    """The jobs of the study."""

    items: Job
    gold: Job
    exam: Job
    fresh: Job
    lines: list[Line]
    benign: Job | None = None
    risks: Job | None = None
    """What is new or grows among the failures of the first arm."""

    def jobs(self) -> Iterator[Job]:
        """Yield the start first, then line after line."""
        yield from (self.items, self.gold, self.exam, self.fresh)
        if self.benign:
            yield self.benign
        for line in self.lines:
            yield line.start
            for turn in line.turns:
                yield from turn.jobs()
            yield line.exam
            if line.fresh:
                yield line.fresh
            yield from line.crossed.values()
        if self.risks:
            yield self.risks
