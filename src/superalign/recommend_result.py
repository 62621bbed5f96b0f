"""The result of `recommend` as typed data."""

from __future__ import annotations

from typing import Literal

from superalign.config import Config
from superalign.result import Figures, Interval, ModelFacts, StudyResult, bounded

Figure = Literal[
    "predicted", "cross-fitted accuracy", "supervisor's accuracy", "bound", "misfit", "disagreement", "unlike errors"
]


class Candidate(Config):
    """A way to teach the strong model, and what is predicted of it for one seed; no truth but the gold labels is in it.

    Intervals are of one set of gold labels, widened for what is owed to the labels that were learnt from (Nadeau and
    Bengio 2003); they do not know that the first of many is first by luck, too.
    """

    rank: int
    supervisor: str | None
    """None: the strong model learns from people alone."""
    method: str
    budget: int
    """Gold labels from which the strong model learns itself."""
    predicted: Interval
    """Accuracy: cross-fitted on the gold labels, sharpened by agreement with all candidates on unlabelled items."""
    behind: Interval | None
    """Predicted accuracy of the first candidate minus its own, paired; None of the first."""
    cross_fitted: Interval
    """Accuracy on the gold labels, of students whose training had none of the same fold."""
    gain: Interval | None
    """Of the same minus its supervisor's, paired."""
    misfit: float | None
    """Mean squared distance to its supervisor on unlabelled items: the least gain in squared error, by theory."""
    bound: float | None
    """Squared error of the supervisor on the gold labels minus misfit: the largest of the student, by theory."""
    squared_error: float
    """Cross-fitted on the gold labels."""
    agreement: float | None
    """Share of unlabelled items where it says what its supervisor says."""


class SupervisorFacts(Config):
    """A candidate for supervisor, as the gold labels show it (first seed)."""

    model: str
    accuracy: Interval
    """Cross-fitted on the gold labels."""
    squared_error: float
    error_similarity: float | None
    """CAPA between it and the strong model, both taught by the gold labels: 0 is independent, 1 the same errors."""


class SupervisorPair(Config):
    """Two supervisors side by side (first seed)."""

    a: str
    b: str
    agreement: float
    """Share of unlabelled items where they say the same."""
    kappa: float | None
    """The same beyond chance (Cohen)."""
    error_similarity: float | None
    """CAPA on the gold labels."""


class RecommendRow(Config):
    """One candidate of one seed."""

    seed: int
    rank: int
    supervisor: str | None
    method: str
    budget: int
    predicted: float
    low: float
    high: float
    cross_fitted: float
    supervisor_accuracy: float | None
    """Cross-fitted on the gold labels."""
    misfit: float | None
    bound: float | None
    agreement: float | None
    error_similarity: float | None
    accuracy: float | None = None
    """The truth, on the test part; None where it was not looked at."""


class Predictor(Config):
    """How well a figure orders the candidates: means over seeds, with intervals by the t quantile of so few."""

    figure: Figure
    correlation: Interval | None
    """Spearman's rho with true accuracy over the candidates with a supervisor; None where it does not move."""
    regret: Interval
    """True accuracy of the best of them minus that of the one it puts first."""


class GridCell(Config):
    """A supervisor taught by the whole supervise part, as in weak-to-strong, and its student; means over seeds."""

    supervisor: str
    method: str
    supervisor_accuracy: float
    accuracy: float
    predicted: float
    """Of the candidate without gold labels of its own, whose supervisor had the few."""


class Check(Config):
    """The prediction against the truth of the test part; means over seeds."""

    seeds: int
    n: int
    candidates: int
    correlation: Interval | None
    """Spearman's rho of predicted and true accuracy over all candidates."""
    regret: Interval
    """True accuracy of the best candidate minus that of the recommended one."""
    regret_of_any: Interval
    """The same of a candidate taken at random: the mean over all."""
    coverage: Interval
    """Share of the candidates whose true accuracy is within the predicted interval."""
    coverage_of_first: int
    """Seeds in which that of the recommended one is."""
    error: Interval
    """Predicted minus true accuracy, all candidates."""
    error_of_first: Interval
    """The same of the recommended one: what it owes to being first by luck."""
    bound_held: int
    """Candidates and seeds whose squared error on the test part is not above the bound."""
    bounds: int
    ceiling: float
    """Accuracy of the strong model taught by the truth of the whole transfer part, mean over seeds."""
    predictors: list[Predictor]
    grid: list[GridCell]
    grid_correlation: Interval | None
    """Spearman's rho of predicted accuracy and that of the grid of weak-to-strong."""


class RecommendResult(StudyResult):
    """Everything `superalign recommend` found; written to results.json."""

    schema_version: Literal["superalign.recommend/1"] = "superalign.recommend/1"
    study: Literal["recommend"] = "recommend"
    used: list[ModelFacts]
    """The strong model, then the supervisors."""
    gold: int
    gold_groups: int
    unlabelled: int
    """Items on which misfit and agreement were taken."""
    unlabelled_part: Literal["supervise", "transfer"]
    """Where they are; students learn from their supervisor's labels of all of transfer, never of supervise."""
    candidates: list[Candidate]
    """Of the first seed, best first."""
    supervisors: list[SupervisorFacts]
    pairs: list[SupervisorPair]
    rows: list[RecommendRow]
    check: Check | None

    @property
    def models(self) -> list[ModelFacts]:
        """The models that were used."""
        return self.used

    @property
    def figures(self) -> Figures:
        """The figures that are shown beside those of other runs."""
        first = self.candidates[0]
        found: Figures = {("seconds",): self.seconds, **bounded("predicted", first.predicted)}
        if self.check:
            found |= {**bounded("rank_correlation", self.check.correlation), **bounded("regret", self.check.regret)}
        return found
