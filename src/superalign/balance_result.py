"""The result of the study of balance as typed data."""

from __future__ import annotations

from typing import Literal

from superalign.config import Config
from superalign.result import Figures, Interval, ModelFacts, PairedTest, StudyResult, bounded
from superalign.structure_result import Claim

Kind = Literal["base", "expert", "mixture", "merge"]
Measure = Literal["average", "worst"]


class AxisFacts(Config):
    """What an axis was made of."""

    axis: str
    spec: str
    test: int
    """Probes of the test part that all arms answered."""
    groups: int
    validation: int
    """Probes of the supervise part, of the first seed."""
    pool: list[int]
    """Pairs that there were to choose from, by seed."""
    unanswered: int
    """Answers to test probes that are missing, over all seeds and arms; such a probe is left out of all of them."""
    unasked: int
    """Items, over all seeds, of which nothing could be made, because the model did not answer them plainly."""


class BalanceRow(Config):
    """One arm, seed and axis: the share of probes answered as wanted."""

    arm: str
    kind: Kind
    seed: int
    axis: str
    score: float
    n: int
    validation: float
    """The same of the validation part."""
    pairs: int | None
    """Of this axis that the arm learned from; None of merges and the model itself."""


class ArmSummary(Config):
    """One arm over all seeds; intervals are a bootstrap over groups of test items and seeds."""

    arm: str
    kind: Kind
    method: str | None
    """Of a merge."""
    scores: dict[str, Interval]
    """By axis."""
    changes: dict[str, Interval]
    """By axis, minus the model itself, paired."""
    average: Interval
    worst: Interval
    """The lowest of the axes' scores."""
    validation_average: float
    validation_worst: float
    front: bool
    """Whether no arm is at least as good on all axes and better on one."""
    front_share: float
    """Share of the bootstrap replicates in which that is so."""
    seeds: int


class BalanceTest(PairedTest):
    """Two arms, by the average or the worst of the axes; p_holm is corrected for all tests of the result."""

    measure: Measure


class Interference(Config):
    """How two experts stand in each other's way, means over seeds; see superalign.interference."""

    first: str
    second: str
    cosine: float
    conflict: float
    conflict_large: float
    overlap: float
    by_seed: dict[str, list[float]]
    """The same four, seed by seed."""


class Choice(Config):
    """What stands for its kind, chosen by the validation part."""

    merge: str
    mixture: str
    by: Measure


class BalanceResult(StudyResult):
    """Everything `superalign run balance-3h` found; written to results.json."""

    schema_version: Literal["superalign.balance-3h/1"] = "superalign.balance-3h/1"
    study: Literal["balance-3h"] = "balance-3h"
    model: ModelFacts
    axes: list[AxisFacts]
    rows: list[BalanceRow]
    summary: list[ArmSummary]
    chosen: Choice
    tests: list[BalanceTest]
    interference: list[Interference]
    singular: float
    """Singular task interference of all experts, relative to their singular values; mean over seeds."""
    claims: list[Claim]

    @property
    def headline(self) -> str:
        """The finding in one line."""
        return self.verdict[0].partition(":")[0]

    @property
    def models(self) -> list[ModelFacts]:
        """The models that were used."""
        return [self.model]

    @property
    def figures(self) -> Figures:
        """The figures that are shown beside those of other runs."""
        found: Figures = {("seconds",): self.seconds}
        for one in self.summary:
            of = (one.kind, one.arm)
            found |= {**bounded("average", one.average, *of), **bounded("worst", one.worst, *of)}
            for axis, score in one.scores.items():
                found |= bounded("score", score, *of, axis)
        return found

    def arm(self, name: str, kind: Kind) -> ArmSummary:
        """Return the figures of one arm."""
        return next(one for one in self.summary if (one.arm, one.kind) == (name, kind))
