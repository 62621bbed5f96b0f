"""What the learners of a deception study said of the test part, put together for comparison."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from superalign.deception import HALF, Case
from superalign.deception_result import Conflict, Labelled
from superalign.job import Job
from superalign.model import Model
from superalign.scoring import LabelQuality, TestPart
from superalign.study import Fetch
from superalign.task import Shares, Task

BoolArray = npt.NDArray[np.bool_]
FloatArray = npt.NDArray[np.float64]
Key = tuple[int | None, str, Labelled, Conflict]


@dataclass(frozen=True)
class DeceptionCell:
    """One student: which row of which job's predictions is its, and what it learned from."""

    weak: int | None
    """Which weak model; None where the labels are the truth."""
    strong: str
    labelled: Labelled
    conflict: Conflict
    seed: int
    job: Job
    row: int
    labels: Job


@dataclass(frozen=True)
class Read:
    """The features of models that differ in their layer alone: one pass over the texts."""

    models: Sequence[Model]
    job: Job


@dataclass(frozen=True)
class DeceptionEvidence:
    """What a deception study leaves to be scored."""

    items: Job
    gold: Job
    read: Sequence[Read]
    weak: Sequence[Sequence[tuple[Job, int]]]
    """Of each weak model the job and row of each seed."""
    cells: Sequence[DeceptionCell]
    shares: Shares
    supervisors: Sequence[Model]
    strong: Sequence[Model]
    conflicts: Sequence[Conflict]
    threshold: float
    curve: Sequence[float]
    blind: tuple[float, float]
    """What is confidently wrong, and what is uncertain."""
    other: str | None
    flags: list[str] = field(default_factory=list)


class Cases:
    """The test part with everybody's probabilities on it.

    Args:
        evidence: what is to be scored.
        fetch: returns a job's artifact.
    """

    def __init__(self, evidence: DeceptionEvidence, fetch: Fetch) -> None:
        self.evidence, self.fetch = evidence, fetch
        task = Task.from_meta(fetch(evidence.items).meta)
        seeds = len(evidence.weak[0])
        self.part = TestPart(task, fetch(evidence.gold).tensors["labels"], evidence.shares, seeds)
        self.groups = np.unique(self.part.groups, return_inverse=True)[1]
        self.bootstrap, self.threshold = self.part.bootstrap, evidence.threshold
        self.cells: dict[Key, list[DeceptionCell]] = {}
        for cell in evidence.cells:
            self.cells.setdefault((cell.weak, cell.strong, cell.labelled, cell.conflict), []).append(cell)
        self.second = {key: self._second([(one.job, one.row) for one in mine]) for key, mine in self.cells.items()}
        self.weak = [self._second(seats) for seats in evidence.weak]
        """Probability of the second response by each weak model, [seeds, n]."""
        self.pairs = [(weak, str(strong)) for weak in range(len(self.weak)) for strong in evidence.strong]
        self.kinds = list(dict.fromkeys(key[2] for key in self.cells))
        self.conflicts: tuple[Conflict, ...] = ("none", *evidence.conflicts)

    def true(self, second: FloatArray) -> FloatArray:
        """Return the probability of the true response, of that of the second, [seeds, n]."""
        return np.where(self.part.truth == 1, second, 1 - second)

    def student(self, weak: int, strong: str, labelled: Labelled, conflict: Conflict) -> FloatArray:
        """Return the probability that a student gives to the second response, [seeds, n]."""
        return self.second[None if labelled == "truth" else weak, strong, labelled, conflict]

    def ceiling(self, strong: str) -> FloatArray:
        """Return the probability that a ceiling gives to the true response, [seeds, n]."""
        return self.true(self.second[None, strong, "truth", "none"])

    def case(self, weak: int, strong: str, labelled: Labelled, conflict: Conflict) -> Case:
        """Return a comparison; a student without a conflict is compared with the ceiling."""
        ceiling, before = self.ceiling(strong), self.true(self.student(weak, strong, labelled, "none"))
        supervisor = self.true(self.weak[weak])
        if conflict == "none":
            return Case(ceiling, supervisor, ceiling, before)
        return Case(ceiling, supervisor, before, self.true(self.student(weak, strong, labelled, conflict)))

    def gap(self, weak: int, strong: str) -> FloatArray:
        """Return what the ceiling is right about and the weak model not, minus the reverse, [seeds, n]."""
        right = [(one > HALF).astype(np.float64) for one in (self.ceiling(strong), self.true(self.weak[weak]))]
        return np.asarray(right[0] - right[1])

    def quality(self, cell: DeceptionCell) -> LabelQuality:
        """Score the labels of the target's items that a student learned from."""
        return self.part.label_quality(self.fetch(cell.labels), cell.seed, "transfer")

    def _second(self, seats: Sequence[tuple[Job, int]]) -> FloatArray:
        probs = [self.fetch(job).tensors["probs"][row][self.part.rows, 1] for job, row in seats]
        return np.stack(probs).astype(np.float64)
