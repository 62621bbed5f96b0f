"""The result of the loop study as typed data."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from superalign.attacker import World
from superalign.config import Config
from superalign.result import Figures, Interval, ModelFacts, StudyResult, bounded

Phase = Literal["before", "after"]


class Tried(Config):
    """A part of a round's update, and what the gate saw of a learner that has learnt just that."""

    part: float
    measures: dict[str, float | None]


class RoundRow(Config):
    """One round of one arm and seed: what each player did."""

    arm: str
    seed: int
    round: int
    """From 1."""
    goals: int
    broken: float | None
    """Share of the decided attempts of this round's attacks that broke the learner as it was before the round."""
    attempts: int
    """Decided."""
    errors: int
    distinct_2: float | None
    """Share of different word pairs in the queries that broke it."""
    judged: int
    """Goals on which the critics gave a verdict."""
    label_accuracy: float | None
    """Share of verdicts that are right, an expert's included; the metric alone reads this."""
    disagreement: float
    """Mean distance of the critics' probabilities."""
    experts: int
    """Answers of the expert."""
    agreed: float | None = None
    """Share of these answers that the critics gave, too."""
    feedback: dict[str, int]
    """Pieces by aim."""
    replayed: int
    loss_first: float
    loss_last: float
    tokens: int
    """Read in training."""
    accepted: bool
    part: float = 1.0
    """How much of the update the gate let pass; 0 of one that was rolled back."""
    why: list[str]
    """Why it was rolled back."""
    measures: dict[str, float | None]
    """What the gate saw, without the truth."""
    start: dict[str, float | None]
    """The same before the first round."""
    tried: list[Tried] = Field(default_factory=list)
    """What the gate saw of each part of the update that it tried."""
    weights: dict[str, float] = Field(default_factory=dict)
    """Constraint mode: how many times as much as at first each aim weighed in the round."""

    @property
    def fate(self) -> str:
        """What became of the round's update, in words."""
        if not self.accepted:
            return "rolled back"
        return "passed" if self.part == 1 else f"{self.part:.0%} passed"

    ways: dict[str, int] = Field(default_factory=dict)
    """World of behaviours: of how many broken goals the better response is the learner's plain answer, a revision, one
    that it drew, a stand-in that the user gave, or nothing, so that the goal was left out."""


class ExamRow(Config):
    """Attack success of one tactic in the exam, on goals whose plain answer is right, over all seeds."""

    arm: str
    phase: Phase
    attack: str
    tactic: str
    held_out: bool
    success: Interval | None
    n: int
    undetermined: int
    errors: int


class ArmSummary(Config):
    """What one arm of the loop came to in the exam."""

    arm: str
    phase: Phase
    held_out: Interval | None
    """Attack success of the attacks that were never trained on."""
    n_held_out: int
    trained: Interval | None
    """The same of those that were."""
    n_trained: int
    plain: Interval | None
    """Plain accuracy."""
    n_plain: int
    evidence: Interval | None
    """Share of the true evidence that is accepted, on items that the model answered wrongly before it learnt."""
    n_evidence: int
    false_evidence: Interval | None
    """Share of texts followed that say something false about items it answered rightly."""
    text: float | None
    """Log-likelihood of general text, nats a token."""
    over_refusal: Interval | None = None
    """World of behaviours: share of benign requests that are refused."""
    n_benign: int = 0


class Change(Config):
    """What changed from before to after, paired by item."""

    arm: str
    measure: str
    difference: Interval | None
    """After minus before."""
    ratio: Interval | None
    """After over before; of attack success."""
    n: int


class Slice(Config):
    """Held-out attack success on some items."""

    tag: str
    value: str
    seen: bool
    """Whether items with this value were learnt from."""
    before: Interval | None
    after: Interval | None
    n: int


class Cross(Config):
    """What broke the learner before round i, put to the learner before round j."""

    attacker: int
    learner: int
    success: Interval | None
    n: int


class Exploit(Config):
    """What a fresh attacker reaches within its budget: share of goals that it breaks."""

    phase: Phase
    success: Interval | None
    n: int


class Bought(Config):
    """One answer of the expert, and what it changed."""

    seed: int
    round: int
    goal: str
    question: str
    claim: str
    denied: str
    disagreement: float
    before: float
    """The critics' probability that what the learner said plainly is right."""
    after: float
    turned: bool
    """Whether it turned the critics' verdict round."""
    pieces: int
    """Pieces of feedback that carry it."""


class Episode(Config):
    """One goal of one round: attack, response, critique, feedback."""

    seed: int
    round: int
    goal: str
    question: str
    tactic: str
    conversation: str
    outcome: str
    score: float | None
    claim: str
    denied: str
    critique: list[str]
    good: float | None
    by: str
    revised: float | None = None
    """Log-odds of the plain answer after the critique; above 0 the learner took it back. In the world of behaviours,
    that what it then wrote is good."""
    response: str = ""
    """World of behaviours: what it said."""
    taught: str = ""
    """World of behaviours: what it was taught to say instead; empty where that is nothing."""


class Risk(Config):
    """A kind of failure that is new or grows: a candidate for a new risk, which people are to look at."""

    new: bool
    """Whether it is far from every kind of failure of the first round."""
    grows: bool
    """Whether its share of the broken goals grows from round to round."""
    distance: float | None
    """Cosine distance from the nearest kind of the first round."""
    p_new: float | None
    p_grows: float | None
    """Corrected for all kinds that were tested."""
    sizes: list[int]
    """Goals that it broke, by round, over all seeds."""
    totals: list[int]
    """Goals that were broken at all."""
    shares: list[float | None]
    tactics: list[str]
    tags: list[str]
    """Ids of the taxonomy."""
    examples: list[str]
    """What was said, the most typical first."""


class Covered(Config):
    """One id of the taxonomy, and what was tested of it."""

    id: str
    name: str
    depth: int
    leaf: bool
    tested: int
    """How often, what is below it included."""
    failed: int


MEASURED: dict[World, tuple[str, ...]] = {
    "knowledge": ("held_out", "trained", "plain", "evidence", "false_evidence"),
    "behaviour": ("held_out", "trained", "over_refusal"),
}
"""The shares that the exam of a world takes: fields of ArmSummary."""


class LoopResult(StudyResult):
    """Everything `superalign run loop` found; written to results.json."""

    schema_version: Literal["superalign.loop/1"] = "superalign.loop/1"
    study: Literal["loop"] = "loop"
    world: World = "knowledge"
    learner: ModelFacts
    seeds: int
    rounds: int
    arms: list[str]
    rows: list[RoundRow]
    exam: list[ExamRow]
    summary: list[ArmSummary]
    changes: list[Change]
    slices: list[Slice]
    cross: list[Cross]
    exploits: list[Exploit]
    bought: list[Bought]
    episodes: list[Episode]
    risks: list[Risk] = Field(default=[])
    """Candidates, the clearest first; of the first arm."""
    coverage: list[Covered] = Field(default=[])
    """The taxonomy, with what of it was tested in the first arm."""
    said: str

    @property
    def measured(self) -> tuple[str, ...]:
        """The shares that its exam took: fields of ArmSummary."""
        return MEASURED[self.world]

    @property
    def headline(self) -> str:
        """The finding in one line."""
        return self.said

    @property
    def models(self) -> list[ModelFacts]:
        """The model that learnt."""
        return [self.learner]

    @property
    def figures(self) -> Figures:
        """The figures that are shown beside those of other runs."""
        found: Figures = {("seconds",): self.seconds}
        for one in self.summary:
            for name in ("held_out", "trained", "plain", "evidence", "over_refusal"):
                found |= bounded(name, getattr(one, name), one.arm, one.phase)
            if one.text is not None:
                found["text", one.arm, one.phase] = one.text
        for fresh in self.exploits:
            found |= bounded("exploitability", fresh.success, fresh.phase)
        return found

    def of(self, arm: str, phase: Phase) -> ArmSummary | None:
        """Return what an arm came to."""
        return next((one for one in self.summary if (one.arm, one.phase) == (arm, phase)), None)
