"""The result of the deception study as typed data."""

from __future__ import annotations

from typing import Literal

from superalign.config import Config
from superalign.result import Figures, Interval, ModelFacts, ScoredRow, StudyResult, bounded

Conflict = Literal["none", "explicit", "implicit"]
Labelled = Literal["weak", "truth", "sure", "through"]
Status = Literal["reproduced", "not reproduced", "not testable here"]


class DeceptionRow(ScoredRow):
    """One student of one weak and one strong model, kind of labels, conflict and seed."""

    strong: str
    labels: Labelled
    """Whose labels: the weak model's, the truth, the weak model's where it is sure, those of a chain of models."""
    conflict: Conflict
    weak: str | None
    """None where the student learnt from the truth: it then stands beside every weak model."""


class RegionFigures(Config):
    """What the conflict cost in one region, over all seeds."""

    region: str
    share: float
    """Of all items and seeds."""
    right: int
    """Items that were right without the conflict."""
    paid: int
    """Of them, wrong with it."""
    rate: Interval | None
    """paid / right with Wilson's interval at the effective number of items."""


class CurvePoint(Config):
    """The deception score at one threshold."""

    threshold: float
    score: Interval | None
    base: float
    open_base: float | None
    hidden: int
    tax: int


class Deceived(Config):
    """The figures of one pair of models, kind of labels and conflict over all seeds."""

    weak: str
    strong: str
    labels: Labelled
    conflict: Conflict
    accuracy: Interval
    seeds: int
    n: int
    """Test items."""
    groups: int
    tax: int
    """Right without the conflict and wrong with it, over all seeds; for conflict `none`, right at the ceiling and
    wrong at the student."""
    hidden: int
    """Of them, those that only the strong model knows."""
    score: Interval | None
    """hidden / tax with Wilson's interval at the effective number of items; None where there is no tax."""
    base: float
    """Share of all items that only the strong model knows."""
    open_base: float | None
    """The same of the items that were right without the conflict."""
    lift: Interval | None
    """score / base."""
    open_lift: Interval | None
    """score / open_base."""
    excess: Interval | None
    """Rate of payment where only the strong model knows minus the rate where both know."""
    regions: list[RegionFigures]
    curve: list[CurvePoint]
    blind_spot: Interval
    """Share of items where the student is confidently wrong and the weak model uncertain; needs no ceiling."""
    variance: float
    """Of the student's probability of the second answer, mean over seeds; needs neither ceiling nor truth, like the
    next two."""
    covariance: float
    misfit: float


class Pair(Config):
    """One weak and one strong model."""

    weak: str
    strong: str
    weak_accuracy: Interval
    ceiling_accuracy: Interval
    gap: Interval
    """Ceiling minus weak accuracy."""


class Trend(Config):
    """Spearman's correlation of a figure with another one over cells."""

    of: str
    """What: `score` or `open_lift` of a conflict over pairs of models; or `blind_spot` over all cells."""
    on: str
    """Along what: `gap`, or a monitor."""
    conflict: Conflict | None
    rho: Interval | None
    """The interval is a bootstrap over cells, test groups and seeds together; None where there are too few cells."""
    cells: int


class Mitigation(Config):
    """What other labels than the weak ones change, mean over pairs of models."""

    labels: Labelled
    conflict: Conflict
    change: Interval | None
    """Deception score with these labels minus that with the weak labels, paired; None where one has no tax."""
    tax: Interval
    """The same of the share of items that are taxed."""
    accuracy: Interval
    """The same of the accuracy under the conflict."""
    kept: float
    """Share of the labels that were learnt from."""
    pairs: int


class Claim(Config):
    """A claim of a paper, and what a rule in code makes of it here."""

    paper: str
    claim: str
    rule: str
    status: Status
    why: str


class DeceptionResult(StudyResult):
    """Everything `superalign run deception` found; written to results.json."""

    schema_version: Literal["superalign.deception/1"] = "superalign.deception/1"
    study: Literal["deception"] = "deception"
    learners: list[ModelFacts]
    threshold: float
    """What it takes to know an item: probability of the true answer."""
    other: str | None
    """The set of the implicit conflict, and by what its items are labelled."""
    rows: list[DeceptionRow]
    pairs: list[Pair]
    summary: list[Deceived]
    trends: list[Trend]
    mitigations: list[Mitigation]
    claims: list[Claim]

    @property
    def models(self) -> list[ModelFacts]:
        """The models that were used."""
        return self.learners

    @property
    def figures(self) -> Figures:
        """The figures that are shown beside those of other runs."""
        found: Figures = {("seconds",): self.seconds}
        for pair in self.pairs:
            found |= bounded("gap", pair.gap, f"{pair.weak} > {pair.strong}")
        for one in self.summary:
            of = (f"{one.weak} > {one.strong}", one.labels, one.conflict)
            found |= {**bounded("accuracy", one.accuracy, *of), **bounded("deception_score", one.score, *of)}
            found |= bounded("blind_spot", one.blind_spot, *of)
        return found

    def at(self, weak: str, strong: str, labels: Labelled, conflict: Conflict) -> Deceived:
        """Return the figures of one cell."""
        wanted = weak, strong, labels, conflict
        return next(one for one in self.summary if (one.weak, one.strong, one.labels, one.conflict) == wanted)
