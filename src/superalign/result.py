"""The result of a study as typed data: what results.json holds, what --json prints, and what `run` returns."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Literal

from superalign.config import Config

if TYPE_CHECKING:
    import pandas as pd

    from superalign.model import Model

Role = Literal["weak", "student", "ceiling", "control"]
UNEVEN = 0.05
Figures = dict[tuple[str, ...], float]
"""Figures by their names, from the general to the particular: ("accuracy", "student", "naive")."""


class Interval(Config):
    """A figure with its 95 % interval."""

    value: float
    low: float
    high: float


class ScoredRow(Config):
    """One learner of one seed, scored on the test part."""

    method: str
    """The objective, and `after` the filter of its labels if there is one; of the weak supervisor and the ceiling it is
    cross-entropy on true labels."""
    seed: int
    accuracy: float
    correct: int
    n: int
    ece: float
    """Expected calibration error, 15 equal-width bins of the confidence of the predicted class."""
    label_accuracy: float
    """Accuracy of the labels this learner was trained on (read by the metric, never by the learner)."""
    kept: int
    """How many labels it learned from: a filter may drop some."""
    facts: dict[str, Any]
    """What the training decided: regularisation, steps, early stop."""


class Row(ScoredRow):
    """One learner of the weak-to-strong study."""

    role: Role
    agreement: float | None = None
    """Share of test items where the learner and its supervisor say the same."""
    agreement_when_right: float | None = None
    agreement_when_wrong: float | None = None
    n_supervisor_wrong: int | None = None


class Summary(Config):
    """One role and method over all seeds; the interval is a bootstrap over test groups and seeds."""

    role: Role
    method: str
    accuracy: Interval
    n: int
    seeds: int
    ece: float
    balanced_accuracy: Interval | None = None
    """Mean over the true classes of the share of their items that is right; None of Comparisons."""
    weighted_f1: Interval | None = None
    """Mean of F1 over the true classes, weighted by their items; None of Comparisons."""


class SeedPGR(Config):
    """Performance gap recovered of one seed, or the reason why it is refused."""

    seed: int
    value: float | None
    reason: str | None = None


class PGR(Config):
    """Performance gap recovered: (student - weak) / (ceiling - weak)."""

    method: str
    pooled: Interval | None
    """Of the accuracies averaged over seeds; None when refused."""
    seeds: list[SeedPGR]
    reason: str | None = None
    """Why no PGR is given."""


class PairedTest(Config):
    """Difference of accuracy between two learners on the same test items."""

    a: str
    b: str
    difference: Interval
    p: float
    """Two-sided, of the same bootstrap over test groups and seeds as the interval."""
    p_holm: float
    """p corrected (Holm) for all comparisons with the supervisor, or for all comparisons among methods."""
    n: int
    groups: int
    seeds: int


class LayerPoint(Config):
    """Accuracy of probes on one layer of the student model."""

    layer: int
    role: Role
    method: str
    accuracy: Interval


class ReliabilityBin(Config):
    """Items whose confidence falls into one bin, over all seeds."""

    confidence: float
    accuracy: float
    n: int


class Reliability(Config):
    """Reliability curve of one role and method over all seeds."""

    role: Role
    method: str
    ece: float
    bins: list[ReliabilityBin]


class DifficultyBin(Config):
    """Accuracy on the test items whose tag falls into one bin."""

    tag: str
    low: float
    high: float
    role: Role
    method: str
    accuracy: Interval
    n: int


class Disagreement(Config):
    """A test item where student and supervisor differ (first seed)."""

    text: str
    gold: str
    supervisor: str
    supervisor_confidence: float
    student: str
    student_confidence: float
    method: str
    student_right: bool


class DroppedRow(Config):
    """A row left out of the data, and why."""

    where: str
    reason: str


class TaskFacts(Config):
    """What was studied."""

    name: str
    version: str
    pairwise: bool
    classes: list[str]
    items: int
    groups: int
    parts: dict[str, int]
    """Items in supervise, transfer and test (first seed)."""
    dropped: int
    dropped_rows: list[DroppedRow]
    """The first hundred."""
    warnings: list[str]


class ModelFacts(Config):
    """A model as it was used."""

    spec: str
    layer: int
    depth: int
    fingerprint: str
    texts: int
    truncated: int
    """Texts cut at the model's length limit: they are scored as cut, never dropped."""
    tokens: int

    @classmethod
    def of(cls, model: Model, *, texts: int, truncated: int, tokens: int, layer: int | None = None) -> ModelFacts:
        """Describe a model after it read texts, by default at the layer it was asked for."""
        return cls(
            spec=str(model),
            layer=model.chosen_layer() if layer is None else layer,
            depth=model.depth(),
            fingerprint=model.fingerprint(),
            texts=texts,
            truncated=truncated,
            tokens=tokens,
        )


class UnsealedRecord(Config):
    """One reading of ground truth."""

    part: str
    reader: str
    why: str
    n: int


class JobCounts(Config):
    """How much of the run was computed and how much was already in the store."""

    total: int
    computed: int
    reused: int
    failed: int


class StudyResult(Config, ABC):
    """What the results of all studies hold."""

    schema_version: str
    study: str
    config: dict[str, Any]
    config_sha256: str
    versions: dict[str, str]
    seconds: float
    """Computing time of all jobs, whenever they ran."""
    jobs: JobCounts
    task: TaskFacts
    unsealed: list[UnsealedRecord]
    flags: list[str]
    """What a reader must know before quoting a figure, such as an oracle early stop."""
    verdict: list[str]
    """The finding in plain sentences."""
    rows: Sequence[Config]

    @property
    def headline(self) -> str:
        """The finding in one line."""
        return self.verdict[0]

    @property
    @abstractmethod
    def models(self) -> list[ModelFacts]:
        """The models that were used."""

    @property
    @abstractmethod
    def figures(self) -> Figures:
        """The figures that are shown beside those of other runs."""

    def frame(self) -> pd.DataFrame:
        """Return `rows` as a data frame (needs pandas)."""
        from superalign.errors import require

        require("pandas", "data")
        import pandas as pd

        return pd.DataFrame([row.model_dump() for row in self.rows])


class WeakToStrongResult(StudyResult):
    """Everything `superalign run weak-to-strong` found; written to results.json."""

    schema_version: Literal["superalign.weak-to-strong/1"] = "superalign.weak-to-strong/1"
    study: Literal["weak-to-strong"] = "weak-to-strong"
    weak: ModelFacts
    strong: ModelFacts
    gap: Interval
    """Ceiling minus weak accuracy."""
    rows: list[Row]
    summary: list[Summary]
    pgr: list[PGR]
    tests: list[PairedTest]
    layers: list[LayerPoint]
    reliability: list[Reliability]
    difficulty: list[DifficultyBin]
    disagreements: list[Disagreement]
    majority: float | None = None
    """Share of the test items in their commonest class; None of Comparisons, whose order is drawn."""

    @property
    def models(self) -> list[ModelFacts]:
        """The models that were used."""
        return [self.weak, self.strong]

    @property
    def uneven(self) -> bool:
        """Tell whether the commonest class has over 5 points more than its part: what is right is then not enough."""
        return self.majority is not None and self.majority > 1 / len(self.task.classes) + UNEVEN

    @property
    def figures(self) -> Figures:
        """The figures that are shown beside those of other runs."""
        found = {("seconds",): self.seconds, **bounded("gap", self.gap)}
        for one in self.summary:
            found |= {**bounded("accuracy", one.accuracy, one.role, one.method), ("ece", one.role, one.method): one.ece}
            if self.uneven:
                found |= bounded("balanced_accuracy", one.balanced_accuracy, one.role, one.method)
                found |= bounded("weighted_f1", one.weighted_f1, one.role, one.method)
        for pgr in self.pgr:
            found |= bounded("pgr", pgr.pooled, pgr.method)
        return found


def bounded(figure: str, interval: Interval | None, *of: str) -> Figures:
    """Return a figure and the bounds of its interval under names of their own, or nothing when it was refused."""
    if interval is None:
        return {}
    parts = {figure: interval.value, f"{figure}_low": interval.low, f"{figure}_high": interval.high}
    return {(name, *of): value for name, value in parts.items()}
