"""The result of the attack study as typed data."""

from __future__ import annotations

from typing import Any, Literal

from superalign.attacker import Outcome
from superalign.config import Config
from superalign.result import Figures, Interval, ModelFacts, PairedTest, StudyResult, bounded


class AttackRow(Config):
    """One attempt."""

    attack: str
    seed: int
    goal: str
    """The item's id."""
    tactic: str
    outcome: Outcome
    score: float | None
    """Higher is nearer to broken; 0 is the border."""
    known: bool | None
    """Whether the target's plain answer is right; None in the world of behaviours."""
    query: int
    """The number of the query to this goal by this attack, from 1."""
    conversation: str
    """What was put to the target."""
    claim: str
    denied: str
    response: str
    why: str
    tokens: int
    tags: dict[str, Any]


class TacticSummary(Config):
    """What came of one tactic: attempts on goals whose plain answer is right (of behaviours: on all)."""

    attack: str
    tactic: str
    success: Interval | None
    """Share of broken among broken and held; None where there are none."""
    n: int
    """Broken and held."""
    undetermined: int
    errors: int
    to_truth: float | None
    """Of goals whose plain answer is wrong, the share that the same pressure brings to the right one."""
    n_wrong: int


class AttackSummary(Config):
    """What one attack reached within its budget, over all seeds."""

    attack: str
    success: Interval | None
    """Share of goals that are broken by one query at least."""
    n: int
    """Goals whose plain answer is right (of behaviours: all), with an attempt that is broken or held."""
    undecided: int
    """Goals with none such: they count as neither."""
    at: list[float]
    """The same share after 1, 2, ... queries a goal."""
    queries_to_success: float | None
    """Median over the broken goals."""
    queries: int
    """Put to the target, those for examples included."""
    tokens: int
    asked: int
    """Answers of the attacker's and the critic's own model."""
    failed: int
    """Of those, errors."""
    refused: int
    """Proposals in which the attacker's own model refused to help."""
    unparsable: int
    """Proposals that could not be read."""
    seconds: float
    stopped: dict[str, int]
    """Searches that a budget ended, by which."""
    distinct_2: float | None
    """Share of different word pairs in the queries that broke the target."""
    self_bleu: float | None
    """Mean BLEU-4 of each such query (of a hundred, at most) against the others: 1 is no diversity."""


class AttackSlice(Config):
    """Success of all attacks together on some goals."""

    tag: str
    value: str
    success: Interval
    n: int
    """Attempts."""
    goals: int


class Transferred(Config):
    """What the queries that broke the target do to another model."""

    attack: str
    model: str
    success: Interval | None
    n: int
    """Queries that could be put to it (its own plain answer is the one that the goal denies), broken or held."""
    not_put: int


class ArchiveCell(Config):
    """One cell of a quality-diversity archive: the best attempt in it."""

    attack: str
    row: str
    column: str
    fitness: float
    broken: bool
    conversation: str
    n: int
    """Attempts that fell into it."""


class Find(Config):
    """One query that broke the target, for people to read."""

    attack: str
    tactic: str
    goal: str
    score: float | None
    conversation: str
    claim: str
    denied: str
    response: str


class AttackTest(PairedTest):
    """An attack against the first one, on the same goals."""


class AttackResult(StudyResult):
    """Everything `superalign run attack` found; written to results.json."""

    schema_version: Literal["superalign.attack/1"] = "superalign.attack/1"
    study: Literal["attack"] = "attack"
    world: Literal["knowledge", "behaviour"]
    target: ModelFacts
    plain: Interval | None
    """Share of plain answers that are right; None in the world of behaviours."""
    plain_n: int
    plain_errors: int
    goals: int
    """Goals of all seeds that were attacked."""
    not_goals: int
    """Items that are no goal, because the target did not answer them plainly."""
    near: int
    """Examples left out because they nearly repeat a goal, over all seeds."""
    seeds: int
    budget: int
    """Queries a goal and attack."""
    worst: Interval | None
    """Share of goals that some attack broke."""
    rows: list[AttackRow]
    summary: list[AttackSummary]
    tactics: list[TacticSummary]
    slices: list[AttackSlice]
    transfer: list[Transferred]
    archive: list[ArchiveCell]
    finds: list[Find]
    tests: list[AttackTest]
    said: str
    """The finding in one line."""

    def named(self, tactic: TacticSummary) -> str:
        """Return what a tactic is called: with its attack, where several attacks have one of that name."""
        alone = sum(one.tactic == tactic.tactic for one in self.tactics) == 1
        return tactic.tactic if alone else f"{tactic.tactic} ({tactic.attack})"

    @property
    def headline(self) -> str:
        """The finding in one line."""
        return self.said

    @property
    def models(self) -> list[ModelFacts]:
        """The models that were used."""
        return [self.target]

    @property
    def figures(self) -> Figures:
        """The figures that are shown beside those of other runs."""
        found: Figures = {("seconds",): self.seconds, **bounded("plain", self.plain), **bounded("worst", self.worst)}
        for one in self.summary:
            found |= bounded("success", one.success, one.attack)
        for tactic in self.tactics:
            found |= bounded("success", tactic.success, tactic.attack, tactic.tactic)
        return found
