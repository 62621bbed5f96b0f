"""From predictions to an ErrorLabResult."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import numpy as np
import numpy.typing as npt

from superalign import metric
from superalign.job import Job
from superalign.metric import Bounds
from superalign.model import Model
from superalign.noise_evaluation import Method
from superalign.result import Interval, ModelFacts
from superalign.scoring import LabelQuality, TestPart, conducted, interval, model_facts, share
from superalign.structure import Match
from superalign.structure_claims import Known, claims
from superalign.structure_result import ErrorLabResult, StructureFacts, StructureRow, StructureSummary, StructureTest
from superalign.structure_verdict import headline, outcome, verdict
from superalign.study import Conduct, Fetch
from superalign.task import Shares, Task, recorded_unsealings

BoolArray = npt.NDArray[np.bool_]
FloatArray = npt.NDArray[np.float32]
IntArray = npt.NDArray[np.int64]
BASE = "random"
HALF = 0.5
CUT = ("naive", "logconf")  # whose imitation of the weak model is compared


@dataclass(frozen=True)
class StructureCell:
    """One learner: which row of which job's predictions is its, and which labels it learned from.

    The ceiling's structure is empty, and so is the weak model's, which learned from the supervise part.
    """

    structure: str
    method: Method
    seed: int
    job: Job
    row: int
    labels: Job


@dataclass(frozen=True)
class StructureEvidence:
    """What an error lab leaves to be scored; `placed` are the jobs that placed errors, by structure."""

    items: Job
    gold: Job
    features: Mapping[str, Job]
    weak: list[StructureCell]
    ceiling: list[StructureCell]
    cells: list[StructureCell]
    placed: Mapping[str, Job]
    shares: Shares
    models: Mapping[str, Model]
    match: Match
    flags: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class Scores:
    """One method on one structure on the test part: probs [seeds, n, k], correct [seeds, n]."""

    structure: str
    method: Method
    cells: list[StructureCell]
    probs: FloatArray
    correct: BoolArray

    @property
    def name(self) -> str:
        """What a comparison calls it."""
        return f"{self.method}, {self.structure} errors"

    @property
    def said(self) -> IntArray:
        """Predicted classes, [seeds, n]."""
        return np.asarray(self.probs.argmax(-1), dtype=np.int64)


def evaluate(evidence: StructureEvidence, fetch: Fetch, conduct: Conduct) -> ErrorLabResult:
    """Score all learners; every reading of the truth is in the result's record."""
    with recorded_unsealings() as unsealed:
        return _Scorer(evidence, fetch).conclude(conduct, unsealed)


class _Scorer:
    def __init__(self, evidence: StructureEvidence, fetch: Fetch) -> None:
        self.evidence, self.fetch = evidence, fetch
        self.task = Task.from_meta(fetch(evidence.items).meta)
        self.seeds = len(evidence.weak)
        self.part = TestPart(self.task, fetch(evidence.gold).tensors["labels"], evidence.shares, self.seeds)
        self.truth, self.bootstrap = self.part.truth, self.part.bootstrap
        self.weak, self.ceiling = (self._score(cells) for cells in (evidence.weak, evidence.ceiling))
        self.supervisors = {name: self._supervisor(job) for name, job in evidence.placed.items()}
        self.qualities: dict[tuple[str, int], LabelQuality] = {}
        named: dict[tuple[str, Method], list[StructureCell]] = {}
        for cell in evidence.cells:
            named.setdefault((cell.structure, cell.method), []).append(cell)
        self.scores = {key: self._score(cells) for key, cells in named.items()}

    def conclude(self, conduct: Conduct, unsealed: Sequence[tuple[str, str, str, int]]) -> ErrorLabResult:
        summary, tests = [self._summary(s) for s in self.scores.values()], self._tests()
        facts = [self._facts(name, job) for name, job in self.evidence.placed.items()]
        weak, ceiling = (self.part.accuracy(s.correct) for s in (self.weak, self.ceiling))
        gap = interval(self.bootstrap.mean(self.ceiling.correct.astype(float) - self.weak.correct))
        reason = self._recovered(self.ceiling).reason
        rows = [self._row(s, number) for s in [*self.scores.values(), self.ceiling] for number in range(self.seeds)]
        return ErrorLabResult(
            **conducted(conduct, unsealed),
            task=self.part.facts(),
            weak=self._model("weak", self.weak),
            strong=self._model("strong", self.ceiling),
            match=self.evidence.match,
            truth=self._balance(self.evidence.ceiling[0].labels),
            weak_accuracy=weak,
            ceiling_accuracy=ceiling,
            gap=gap,
            reason=reason,
            structures=facts,
            rows=rows,
            summary=summary,
            tests=tests,
            claims=claims(Known.of(summary, tests, self._cuts()), reason),
            flags=[*self.evidence.flags, *_hopeless(facts)],
            verdict=verdict(facts, weak, ceiling, reason, summary, tests),
            said=headline(summary, gap),
        )

    def _score(self, cells: list[StructureCell]) -> Scores:
        probs = np.stack([self.fetch(cell.job).tensors["probs"][cell.row][self.part.rows] for cell in cells])
        return Scores(cells[0].structure, cells[0].method, cells, probs, probs.argmax(-1) == self.truth)

    def _supervisor(self, job: Job) -> IntArray:
        """Return what a structure's supervisor would say of the test part, [seeds, n]."""
        return np.asarray(self.fetch(job).tensors["beyond"][:, self.part.rows].argmax(-1), dtype=np.int64)

    def _recovered(self, s: Scores) -> metric.Recovered:
        return metric.performance_gap_recovered(self.weak.correct, s.correct, self.ceiling.correct, self.bootstrap)

    def _summary(self, s: Scores) -> StructureSummary:
        found = self._recovered(s).bounds
        pgr = interval(found) if found else None
        labels = [self._quality(cell) for cell in s.cells]
        supervisor = self.supervisors[s.structure]
        right, same = supervisor == self.truth, (s.said == supervisor).astype(float)
        return StructureSummary(
            structure=s.structure,
            method=str(s.method),
            objective=s.method.objective,
            filter=s.method.filter,
            accuracy=self.part.accuracy(s.correct),
            n=s.correct.shape[1],
            seeds=len(s.cells),
            ece=metric.expected_calibration_error(s.probs, s.correct),
            label_accuracy=float(np.mean([one.accuracy for one in labels])),
            kept=float(np.mean([one.kept / one.n for one in labels])),
            pgr=pgr,
            loss=interval(self.bootstrap.mean(self.ceiling.correct.astype(float) - s.correct)),
            gain=interval(self.bootstrap.mean(s.correct.astype(float) - right)),
            agrees_right=share(agrees) if (agrees := self._among(same, right)) else None,
            agrees_wrong=share(agrees) if (agrees := self._among(same, ~right)) else None,
            outcome=outcome(pgr),
        )

    def _among(self, scores: npt.NDArray[np.float64], where: BoolArray) -> Bounds | None:
        """Return the mean over seeds of scores [seeds, n] among the items `where` [seeds, n], each seed's own."""
        if not where.any(1).all():
            return None
        value = float(np.mean([one[inside].mean() for one, inside in zip(scores, where, strict=True)]))
        statistics = [partial(_weighted, score=one, among=inside) for one, inside in zip(scores, where, strict=True)]
        return metric.interval(value, self.bootstrap.replicates(statistics))

    def _cuts(self) -> dict[str, Interval]:
        """Return how much less the second of CUT says what the weak supervisor says than the first does."""
        both = [self.scores.get(("weak", Method(name))) for name in CUT]
        if not (both[0] and both[1]):
            return {}
        supervisor = self.supervisors["weak"]
        less = (both[0].said == supervisor).astype(float) - (both[1].said == supervisor)
        right = supervisor == self.truth
        found = {"right": self._among(less, right), "wrong": self._among(less, ~right)}
        return {name: interval(one) for name, one in found.items() if one}

    def _tests(self) -> list[StructureTest]:
        """Compare every method on every structure with itself on random errors; all comparisons are one family."""
        pairs = [
            (s, self.scores[BASE, s.method])
            for s in self.scores.values()
            if s.structure != BASE and (BASE, s.method) in self.scores
        ]
        tests = self.part.compare(pairs)
        return [
            StructureTest(**dict(test), structure=a.structure, method=str(a.method))
            for (a, _), test in zip(pairs, tests, strict=True)
        ]

    def _facts(self, name: str, job: Job) -> StructureFacts:
        facts = self.fetch(job).meta["facts"]
        labelled = ~np.isnan(self.fetch(job).tensors["probs"][0]).any(1)
        return StructureFacts(
            structure=name,
            errors=[one["errors"] for one in facts],
            n=int(labelled.sum()),
            shared=float(np.mean([one["shared"] for one in facts])),
            balance=self._balance(job),
            facts=facts,
        )

    def _balance(self, labels: Job) -> list[float]:
        """Return the share of the labels in each class, mean over seeds."""
        return [float(one) for one in np.nanmean(self.fetch(labels).tensors["probs"], axis=1).mean(0)]

    def _quality(self, cell: StructureCell) -> LabelQuality:
        """Score the labels of a cell; those that several methods share are read once."""
        key = cell.labels.key, cell.seed
        if key not in self.qualities:
            self.qualities[key] = self.part.label_quality(self.fetch(cell.labels), cell.seed, "transfer")
        return self.qualities[key]

    def _row(self, s: Scores, number: int) -> StructureRow:
        cell, compared = s.cells[number], None
        if s.structure:
            compared = metric.agreement(s.said[number], self.supervisors[s.structure][number], self.truth)
        return StructureRow(
            **self.part.row(str(s.method), cell.seed, s.probs[number], self._quality(cell), self._trained(cell)),
            structure=s.structure,
            agreement_when_right=compared.when_right if compared else None,
            agreement_when_wrong=compared.when_wrong if compared else None,
            n_supervisor_wrong=compared.n_wrong if compared else None,
        )

    def _trained(self, cell: StructureCell) -> dict[str, Any]:
        return dict(self.fetch(cell.job).meta["facts"][cell.row])

    def _model(self, role: str, s: Scores) -> ModelFacts:
        features = self.evidence.features.get(role)
        read = self.fetch(features) if features else None
        return model_facts(self.evidence.models[role], self.task, self._trained(s.cells[0]), read)


def _hopeless(facts: Sequence[StructureFacts]) -> list[str]:
    """Flag that no method can be blamed: the right label is not the likelier one."""
    most = max(facts[0].errors) / facts[0].n
    if most < HALF:
        return []
    why = "a learner that follows its labels well scores badly"
    return [f"the weak model gets {most:.1%} of the labels wrong, half or more: {why}"]


def _weighted(weight: FloatArray, score: FloatArray, among: BoolArray) -> FloatArray:
    """Return the mean score [n] of the items among those given, for each row of weights [r, n]."""
    total = weight @ among.astype(np.float64)
    summed = weight @ (among * score)
    return np.asarray(np.divide(summed, total, out=np.full(len(total), np.nan), where=total > 0))
