"""From predictions to a LabelNoiseResult."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from superalign import metric
from superalign.job import Job
from superalign.model import Model
from superalign.noise_result import LabelNoiseResult, NoiseRow, NoiseSummary, NoiseTest
from superalign.noise_verdict import verdict, written
from superalign.result import Interval
from superalign.scoring import LabelQuality, TestPart, conducted, interval, model_facts
from superalign.study import Conduct, Fetch
from superalign.task import Shares, Task, recorded_unsealings
from superalign.verdict import share

BoolArray = npt.NDArray[np.bool_]
FloatArray = npt.NDArray[np.float32]
HALF = 0.5


@dataclass(frozen=True)
class Method:
    """An objective, and what filtered its labels."""

    objective: str
    filter: str | None = None

    def __str__(self) -> str:
        return f"{self.objective} after {self.filter}" if self.filter else self.objective


@dataclass(frozen=True)
class NoiseCell:
    """One learner: which row of which job's predictions is its, and which labels it learned from."""

    method: Method
    rate: float
    seed: int
    job: Job
    row: int
    labels: Job


@dataclass(frozen=True)
class NoiseEvidence:
    """What a label-noise study leaves to be scored."""

    items: Job
    gold: Job
    features: Job | None
    cells: list[NoiseCell]
    shares: Shares
    model: Model
    noise: str
    flags: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class NoiseScores:
    """One method at one rate on the test part: probs [seeds, n, k], correct [seeds, n]."""

    method: Method
    rate: float
    cells: list[NoiseCell]
    probs: FloatArray
    correct: BoolArray
    labels: list[LabelQuality]

    @property
    def name(self) -> str:
        """What a comparison calls it."""
        return str(self.method)


def evaluate(evidence: NoiseEvidence, fetch: Fetch, conduct: Conduct) -> LabelNoiseResult:
    """Score all learners; every reading of the truth is in the result's record."""
    with recorded_unsealings() as unsealed:
        return _Scorer(evidence, fetch).conclude(conduct, unsealed)


class _Scorer:
    def __init__(self, evidence: NoiseEvidence, fetch: Fetch) -> None:
        self.evidence, self.fetch = evidence, fetch
        self.task = Task.from_meta(fetch(evidence.items).meta)
        self.seeds = len({cell.seed for cell in evidence.cells})
        self.part = TestPart(self.task, fetch(evidence.gold).tensors["labels"], evidence.shares, self.seeds)
        self.qualities: dict[tuple[str, int], LabelQuality] = {}
        named: dict[tuple[Method, float], list[NoiseCell]] = {}
        for cell in evidence.cells:
            named.setdefault((cell.method, cell.rate), []).append(cell)
        self.scores = {key: self._score(*key, cells) for key, cells in named.items()}

    def conclude(self, conduct: Conduct, unsealed: Sequence[tuple[str, str, str, int]]) -> LabelNoiseResult:
        summary, tests = [self._summary(s) for s in self.scores.values()], self._tests()
        rates = list(dict.fromkeys(s.rate for s in self.scores.values()))
        first = self.evidence.cells[0]
        trained, features = self.fetch(first.job).meta["facts"][first.row], self.evidence.features
        read = self.fetch(features) if features else None
        labels = next(iter(self.qualities.values())).n
        guess = float(np.bincount(self.part.truth).max() / len(self.part.truth))
        return LabelNoiseResult(
            **conducted(conduct, unsealed),
            task=self.part.facts(),
            model=model_facts(self.evidence.model, self.task, trained, read),
            noise=self.evidence.noise,
            rates=rates,
            guess=guess,
            rows=[self._row(s, number) for s in self.scores.values() for number in range(len(s.cells))],
            summary=summary,
            tests=tests,
            flags=[*self.evidence.flags, *_hopeless(rates), *_unlearnt(summary, guess)],
            verdict=verdict(self.evidence.noise, labels, guess, summary, tests),
        )

    def _score(self, method: Method, rate: float, cells: list[NoiseCell]) -> NoiseScores:
        probs = np.stack([self.fetch(cell.job).tensors["probs"][cell.row][self.part.rows] for cell in cells])
        labels = [self._quality(cell) for cell in cells]
        return NoiseScores(method, rate, cells, probs, probs.argmax(-1) == self.part.truth, labels)

    def _quality(self, cell: NoiseCell) -> LabelQuality:
        """Score the labels of a cell; those that several methods share are read once."""
        key = cell.labels.key, cell.seed
        if key not in self.qualities:
            self.qualities[key] = self.part.label_quality(self.fetch(cell.labels), cell.seed, "transfer")
        return self.qualities[key]

    def _row(self, s: NoiseScores, number: int) -> NoiseRow:
        cell = s.cells[number]
        facts = self._facts(cell)
        return NoiseRow(
            **self.part.row(s.name, cell.seed, s.probs[number], s.labels[number], facts),
            rate=s.rate,
            estimated_noise=facts.get("estimated_noise"),
        )

    def _summary(self, s: NoiseScores) -> NoiseSummary:
        told = [rate for cell in s.cells if (rate := self._facts(cell).get("estimated_noise")) is not None]
        return NoiseSummary(
            method=s.name,
            objective=s.method.objective,
            filter=s.method.filter,
            rate=s.rate,
            accuracy=self.part.accuracy(s.correct),
            n=s.correct.shape[1],
            seeds=len(s.cells),
            ece=metric.expected_calibration_error(s.probs, s.correct),
            label_accuracy=float(np.mean([one.accuracy for one in s.labels])),
            kept=float(np.mean([one.kept / one.n for one in s.labels])),
            estimated_noise=float(np.mean(told)) if told else None,
            loss=self._loss(s),
        )

    def _loss(self, s: NoiseScores) -> Interval | None:
        clean = self.scores.get((s.method, 0.0))
        if clean is None or clean is s:
            return None
        return interval(self.part.bootstrap.mean(clean.correct.astype(float) - s.correct))

    def _tests(self) -> list[NoiseTest]:
        """Compare every method with the first, at each rate; all comparisons are one family."""
        first = next(iter(self.scores))[0]
        pairs = [(s, self.scores[first, s.rate]) for s in self.scores.values() if s.method != first]
        tests = self.part.compare(pairs)
        return [NoiseTest(**dict(test), rate=a.rate) for (a, _), test in zip(pairs, tests, strict=True)]

    def _facts(self, cell: NoiseCell) -> dict[str, Any]:
        return dict(self.fetch(cell.job).meta["facts"][cell.row])


def _hopeless(rates: list[float]) -> list[str]:
    """Flag rates at which no method can be blamed: the right label is not the likelier one any more."""
    half = [written(rate) for rate in rates if rate >= HALF]
    why = "the commonest label of an item may be a wrong one, so a learner that follows its labels well scores badly"
    return [f"at a rate of {', '.join(half)}, half or more of the labels are wrong: {why}"] if half else []


def _unlearnt(summary: list[NoiseSummary], guess: float) -> list[str]:
    """Flag that there is nothing to lose: where the labels are best, the first method knows no more than a guess."""
    best = min((one for one in summary if one.method == summary[0].method), key=lambda one: one.rate)
    if best.accuracy.low > guess:
        return []
    said = f"{best.method} scores {share(best.accuracy)} with {written(best.rate)} wrong labels"
    why = "the model does not learn this task, so that no method can show what it withstands"
    return [f"{said}, not above the commonest class ({guess:.1%}): {why}"]
