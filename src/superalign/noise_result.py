"""The result of the label-noise study as typed data."""

from __future__ import annotations

from typing import Literal

from superalign.config import Config
from superalign.result import Figures, Interval, ModelFacts, PairedTest, ScoredRow, StudyResult, bounded


class NoiseRow(ScoredRow):
    """One learner of one method, rate and seed."""

    rate: float
    """Share of the labels that the noise made wrong."""
    estimated_noise: float | None = None
    """Share of wrong labels that was estimated, without any truth, for an objective that must know it."""


class NoiseSummary(Config):
    """One method at one rate over all seeds; intervals are a bootstrap over test groups and seeds."""

    method: str
    objective: str
    filter: str | None
    rate: float
    accuracy: Interval
    n: int
    seeds: int
    ece: float
    label_accuracy: float
    """Mean over seeds."""
    kept: float
    """Share of the labels that the method learned from, mean over seeds."""
    estimated_noise: float | None
    """Mean over seeds."""
    loss: Interval | None
    """Accuracy of the same method without noise minus its accuracy at this rate, paired; None where that was not
    measured, and at rate 0."""


class NoiseTest(PairedTest):
    """A method against the first one, at one rate; p_holm is corrected for all methods and rates."""

    rate: float


class LabelNoiseResult(StudyResult):
    """Everything `superalign run label-noise` found; written to results.json."""

    schema_version: Literal["superalign.label-noise/1"] = "superalign.label-noise/1"
    study: Literal["label-noise"] = "label-noise"
    model: ModelFacts
    noise: str
    """The kind of noise, without its rate."""
    rates: list[float]
    guess: float
    """What always answering the commonest class of the test part would score."""
    rows: list[NoiseRow]
    summary: list[NoiseSummary]
    tests: list[NoiseTest]

    @property
    def models(self) -> list[ModelFacts]:
        """The models that were used."""
        return [self.model]

    @property
    def methods(self) -> list[str]:
        """Names of the methods; the others are compared with the first."""
        return list(dict.fromkeys(one.method for one in self.summary))

    @property
    def figures(self) -> Figures:
        """The figures that are shown beside those of other runs."""
        found: Figures = {("seconds",): self.seconds}
        for one in self.summary:
            of = (f"noise {one.rate:g}", one.method)
            found |= {**bounded("accuracy", one.accuracy, *of), ("ece", *of): one.ece}
            found |= bounded("accuracy_lost", one.loss, *of)
        return found

    def at(self, method: str, rate: float) -> NoiseSummary:
        """Return the figures of one method at one rate."""
        return next(one for one in self.summary if (one.method, one.rate) == (method, rate))
