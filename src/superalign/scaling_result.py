"""The result of the scaling study as typed data."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from superalign.config import Config
from superalign.result import Figures, Interval, ModelFacts, StudyResult, TaskFacts, bounded

Finding = Literal["rises", "falls", "cannot be told", "not testable"]
Figure = Literal["accuracy", "PGR"]
Against = Literal["ceiling", "parameters of the strong model", "weak accuracy"]


class SizeFacts(Config):
    """A model of the grid as a size."""

    model: str
    layer: int
    depth: int
    parameters: int | None
    """Up to its layer; 0 of rules; None where they cannot be known."""
    weak: bool
    """Whether it labels in the grid."""
    strong: bool
    """Whether it learns in it."""


class Excluded(Config):
    """A pair that is not in the grid, and why."""

    weak: str
    strong: str
    why: str


class Unsuited(Config):
    """A method that cannot learn a task, and why: the task has no cells of it."""

    task: str
    method: str
    why: str


class ScalingRow(Config):
    """One student: a cell and a seed, with its supervisor and ceiling."""

    task: str
    weak: str
    strong: str
    method: str
    seed: int
    weak_accuracy: float
    accuracy: float
    ceiling_accuracy: float
    n: int


class ScalingCell(Config):
    """One weak model, strong model, task and method over all seeds; intervals are over test groups and seeds."""

    task: str
    weak: str
    strong: str
    method: str
    weak_accuracy: Interval
    accuracy: Interval
    ceiling_accuracy: Interval
    gap: Interval
    """Ceiling minus weak accuracy, paired."""
    gain: Interval
    """Student minus weak accuracy, paired."""
    pgr: Interval | None
    reason: str | None
    """Why no PGR is given."""
    n: int
    groups: int
    seeds: int


class MethodSummary(Config):
    """One method over the grid."""

    method: str
    cells: int
    defined: int
    """Cells that have a PGR."""
    pgr: Interval | None
    """Mean over the cells that have one, with an interval over tasks; None of a single task."""
    median: float | None
    """Of the PGR over the cells that have one."""
    above: int
    """Cells where the student is above its supervisor by its own interval, not corrected for their number."""
    below: int


class Trend(Config):
    """Whether a figure moves with size: Spearman's rho within a task, mean over tasks."""

    method: str
    figure: Figure
    against: Against
    rho: float | None
    interval: Interval | None
    """By a bootstrap over tasks; None of a single task."""
    ladders: int
    """Rows of cells, alike but for the size, that were correlated."""
    left_out: int
    """Such rows of fewer than three cells with the figure, or where nothing moves."""
    tasks: int
    finding: Finding


class MethodTest(Config):
    """Two methods over the tasks: Wilcoxon's signed-rank test of accuracy, a task's mean over its pairs of models."""

    a: str
    b: str
    tasks: int
    wins: int
    """Tasks where `a` is above `b`."""
    losses: int
    ties: int
    difference: float
    """Mean over tasks of accuracy of `a` minus that of `b`."""
    shift: Interval | None
    """Hodges-Lehmann estimate; None of so few tasks that there is no interval."""
    p: float
    """Two-sided, exact."""
    p_holm: float
    """Corrected (Holm) for all comparisons of methods."""
    least_p: float
    """The smallest p that so many tasks can give."""


class ScalingResult(StudyResult):
    """Everything `superalign run scaling` found; written to results.json."""

    schema_version: Literal["superalign.scaling/1"] = "superalign.scaling/1"
    study: Literal["scaling"] = "scaling"
    tasks: list[TaskFacts]
    """Each task; `task` holds all together."""
    names: list[str]
    """What each of `tasks` is called in cells and rows."""
    used: list[ModelFacts]
    """Each model, with what it read in all tasks."""
    sizes: list[SizeFacts]
    """Smallest first; those that cannot be known last."""
    excluded: list[Excluded]
    unsuited: list[Unsuited] = Field(default_factory=list)
    rows: list[ScalingRow]
    cells: list[ScalingCell]
    summary: list[MethodSummary]
    trends: list[Trend]
    tests: list[MethodTest]

    @property
    def models(self) -> list[ModelFacts]:
        """The models that were used."""
        return self.used

    @property
    def methods(self) -> list[str]:
        """Names of the methods."""
        return [one.method for one in self.summary]

    @property
    def figures(self) -> Figures:
        """The figures that are shown beside those of other runs."""
        found: Figures = {("seconds",): self.seconds}
        for one in self.summary:
            found |= {**bounded("pgr", one.pgr, one.method), ("cells_above", one.method): one.above}
        return found
