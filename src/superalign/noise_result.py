"""The result of the label-noise study as typed data."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

from pydantic import Field

from superalign.config import Config
from superalign.result import Figures, Interval, JobCounts, ModelFacts, TaskFacts, UnsealedRecord, bounded, frame_of

if TYPE_CHECKING:
    import pandas as pd


class NoiseRow(Config):
    """One learner of one method, rate and seed, scored on the test part."""

    method: str
    """The objective, and `after` the filter of its labels if there is one."""
    rate: float
    """Share of the labels that the noise made wrong."""
    seed: int
    accuracy: float
    correct: int
    n: int
    ece: float
    """Expected calibration error, 15 equal-width bins of the confidence of the predicted class."""
    label_accuracy: float
    """Share of right labels among those it learned from (read by the metric, never by the learner)."""
    kept: int
    """How many labels it learned from: a filter may drop some."""
    estimated_noise: float | None = None
    """Share of wrong labels that was estimated, without any truth, for an objective that must know it."""
    facts: dict[str, Any] = Field(default_factory=dict)
    """What the training decided: regularisation, steps."""


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


class NoiseTest(Config):
    """Difference of accuracy between a method and the first one, at one rate, on the same test items."""

    rate: float
    a: str
    b: str
    difference: Interval
    p: float
    """Two-sided, of the same bootstrap over test groups and seeds as the interval."""
    p_holm: float
    """p corrected (Holm) for all methods and rates."""
    n: int
    groups: int
    seeds: int


class LabelNoiseResult(Config):
    """Everything `superalign run label-noise` found; written to results.json."""

    schema_version: Literal["superalign.label-noise/1"] = "superalign.label-noise/1"
    study: Literal["label-noise"] = "label-noise"
    config: dict[str, Any]
    config_sha256: str
    versions: dict[str, str]
    seconds: float
    """Computing time of all jobs, whenever they ran."""
    task: TaskFacts
    model: ModelFacts
    noise: str
    """The kind of noise, without its rate."""
    rates: list[float]
    guess: float
    """What always answering the commonest class of the test part would score."""
    rows: list[NoiseRow]
    summary: list[NoiseSummary]
    tests: list[NoiseTest]
    unsealed: list[UnsealedRecord]
    jobs: JobCounts
    flags: list[str]
    """What a reader must know before quoting a figure."""
    verdict: list[str]
    """The finding in plain sentences."""

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

    def frame(self) -> pd.DataFrame:
        """Return `rows` as a data frame (needs pandas)."""
        return frame_of(self.rows)
