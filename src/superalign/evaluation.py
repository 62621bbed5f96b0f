"""From predictions to a WeakToStrongResult."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import combinations

import numpy as np
import numpy.typing as npt

from superalign import metric, result
from superalign.class_scores import class_scores
from superalign.job import Job
from superalign.metric import Bootstrap
from superalign.model import Model
from superalign.result import Role, WeakToStrongResult
from superalign.scoring import LabelQuality, TestPart, conducted, interval, model_facts, share
from superalign.study import Conduct, Fetch
from superalign.task import Shares, Task, recorded_unsealings

BoolArray = npt.NDArray[np.bool_]
FloatArray = npt.NDArray[np.float32]
IntArray = npt.NDArray[np.int64]
DIFFICULTY_BINS = 5
EXAMPLES = 40
FEW_METHODS = 4  # beyond that, all pairs are more than anybody reads


@dataclass(frozen=True)
class Cell:
    """One learner: which row of which job's predictions is its, and which labels it learned from."""

    role: Role
    method: str
    seed: int
    job: Job
    row: int
    labels: Job
    part: str = "transfer"
    """Of the task, or a slice of one: where the labels are."""
    beside: str = ""
    """The method it is to be compared with where not all are; the first when empty."""


@dataclass(frozen=True)
class WeakToStrongEvidence:
    """What a weak-to-strong study leaves to be scored."""

    items: Job
    gold: Job
    features: Mapping[str, Job]
    cells: list[Cell]
    layers: Mapping[int, list[Cell]]
    shares: Shares
    models: Mapping[str, Model]
    flags: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class Scores:
    """Predictions of one role and method on the test part: probs [seeds, n, k], correct [seeds, n]."""

    role: Role
    method: str
    cells: list[Cell]
    probs: FloatArray
    correct: BoolArray

    @property
    def name(self) -> str:
        """What a comparison calls it."""
        return "weak" if self.role == "weak" else self.method

    @property
    def said(self) -> IntArray:
        """Predicted classes, [seeds, n]."""
        return np.asarray(self.probs.argmax(-1), dtype=np.int64)


def evaluate(evidence: WeakToStrongEvidence, fetch: Fetch, conduct: Conduct) -> WeakToStrongResult:
    """Score all learners; every reading of the truth is in the result's record."""
    with recorded_unsealings() as unsealed:
        return _Scorer(evidence, fetch).conclude(conduct, unsealed)


class _Scorer:
    def __init__(self, evidence: WeakToStrongEvidence, fetch: Fetch) -> None:
        self.evidence, self.fetch = evidence, fetch
        self.task = Task.from_meta(fetch(evidence.items).meta)
        self.seeds = len({cell.seed for cell in evidence.cells})
        self.part = TestPart(self.task, fetch(evidence.gold).tensors["labels"], evidence.shares, self.seeds)
        self.test, self.truth, self.bootstrap = self.part.rows, self.part.truth, self.part.bootstrap
        self.scores = list(self._scored(evidence.cells))
        self.by_role = {
            role: [s for s in self.scores if s.role == role] for role in ("weak", "student", "ceiling", "control")
        }
        self.weak, self.ceiling, self.control = (self.by_role[role][0] for role in ("weak", "ceiling", "control"))
        self.students = self.by_role["student"]

    def conclude(self, conduct: Conduct, unsealed: Sequence[tuple[str, str, str, int]]) -> WeakToStrongResult:
        from superalign.verdict import verdict

        gap = self.bootstrap.mean(self.ceiling.correct.astype(float) - self.weak.correct)
        summary, pgr, tests = self.summary(), self.pgr(), self.tests()
        rows = self.rows()
        at_chance = self.control_at_chance()
        return WeakToStrongResult(
            **conducted(conduct, unsealed),
            task=self.part.facts(),
            weak=self.model_facts("weak"),
            strong=self.model_facts("strong"),
            gap=interval(gap),
            rows=rows,
            summary=summary,
            pgr=pgr,
            tests=tests,
            layers=list(self.layers()),
            reliability=[self.reliability(scores) for scores in self.scores],
            difficulty=list(self.difficulty()),
            disagreements=self.disagreements(),
            majority=None if self.task.pairwise else float(np.bincount(self.truth).max() / len(self.truth)),
            flags=[*self.evidence.flags, *at_chance[1]],
            verdict=verdict(summary, pgr, tests, at_chance[0]),
        )

    def rows(self) -> list[result.Row]:
        return [self._row(scores, number) for scores in self.scores for number in range(len(scores.cells))]

    def summary(self) -> list[result.Summary]:
        return [
            result.Summary(
                role=s.role,
                method=s.method,
                accuracy=self.part.accuracy(s.correct),
                n=len(self.test),
                seeds=len(s.cells),
                ece=metric.expected_calibration_error(s.probs, s.correct),
                **self._class_scores(s),
            )
            for s in self.scores
        ]

    def _class_scores(self, s: Scores) -> dict[str, result.Interval]:
        if self.task.pairwise:
            return {}
        found = class_scores(s.said, self.truth, len(self.task.classes), self.bootstrap)
        return {name: share(bounds) for name, bounds in found._asdict().items()}

    def pgr(self) -> list[result.PGR]:
        found = []
        single = Bootstrap(self.part.groups, 1)
        for s in self.students:
            pooled = metric.performance_gap_recovered(
                self.weak.correct, s.correct, self.ceiling.correct, self.bootstrap
            )
            seeds = []
            for number, cell in enumerate(s.cells):
                one = metric.performance_gap_recovered(
                    self.weak.correct[number], s.correct[number], self.ceiling.correct[number], single
                )
                value = one.bounds.value if one.bounds else None
                seeds.append(result.SeedPGR(seed=cell.seed, value=value, reason=one.reason))
            bounds = interval(pooled.bounds) if pooled.bounds else None
            found.append(result.PGR(method=s.method, pooled=bounds, seeds=seeds, reason=pooled.reason))
        return found

    def tests(self) -> list[result.PairedTest]:
        """Compare every student with its supervisor, and few methods with each other, many with one other each."""
        first, *others = self.students
        named = {s.method: s for s in self.students}
        few = len(self.students) <= FEW_METHODS
        among = (
            [(b, a) for a, b in combinations(self.students, 2)]
            if few
            else [(s, named.get(s.cells[0].beside, first)) for s in others]
        )
        return [*self.part.compare([(s, self.weak) for s in self.students]), *self.part.compare(among)]

    def layers(self) -> Iterator[result.LayerPoint]:
        for layer, cells in self.evidence.layers.items():
            for s in self._scored(cells):
                bounds = self.part.accuracy(s.correct)
                yield result.LayerPoint(layer=layer, role=s.role, method=s.method, accuracy=bounds)

    def reliability(self, s: Scores) -> result.Reliability:
        bins = [
            result.ReliabilityBin(confidence=b.confidence, accuracy=b.accuracy, n=b.n)
            for b in metric.reliability(s.probs, s.correct)
        ]
        ece = metric.expected_calibration_error(s.probs, s.correct)
        return result.Reliability(role=s.role, method=s.method, ece=ece, bins=bins)

    def difficulty(self) -> Iterator[result.DifficultyBin]:
        tags = [self.task.items[i].tags for i in self.test]
        numeric = [name for name, value in tags[0].items() if isinstance(value, int | float)]
        for name in numeric:
            values = np.array([float(tag.get(name, np.nan)) for tag in tags])
            if np.isnan(values).any() or len(np.unique(values)) < 2 * DIFFICULTY_BINS:
                continue
            for low, high, inside in metric.quantile_bins(values, DIFFICULTY_BINS):
                for s in self.scores:
                    yield result.DifficultyBin(
                        tag=name,
                        low=low,
                        high=high,
                        role=s.role,
                        method=s.method,
                        accuracy=share(self.bootstrap.mean(s.correct, inside)),
                        n=int(inside.sum()),
                    )

    def disagreements(self) -> list[result.Disagreement]:
        """Return items of the first seed, half of them won by the student and half lost, surest first."""
        weak, found = self.weak, list[result.Disagreement]()
        for s in self.students:
            differ = np.flatnonzero(s.said[0] != weak.said[0])
            sure = differ[np.argsort(-s.probs[0, differ].max(-1), kind="stable")]
            right = s.correct[0]
            quota = EXAMPLES // (2 * len(self.students)) or 1
            for i in [*sure[right[sure]][:quota], *sure[~right[sure]][:quota]]:
                found.append(self._disagreement(s, int(i)))
        return found

    def control_at_chance(self) -> tuple[str, list[str]]:
        """Say whether the random-label control scores what its own guesses would by luck."""
        bounds = self.part.accuracy(self.control.correct)
        k = len(self.task.classes)
        true = np.bincount(self.truth, minlength=k) / len(self.truth)
        guessed = np.bincount(self.control.said.ravel(), minlength=k) / self.control.said.size
        chance = float((true * guessed).sum())
        said = f"the random-label control scores {bounds.value:.1%} [{bounds.low:.1%}, {bounds.high:.1%}]"
        if bounds.low <= chance <= bounds.high:
            return f"{said}, at chance ({chance:.1%})", []
        flag = f"{said}, not at chance ({chance:.1%}): something other than the labels' meaning is learnt"
        return flag, [flag]

    def model_facts(self, role: str) -> result.ModelFacts:
        cells = [cell for cell in self.evidence.cells if (cell.role == "weak") == (role == "weak")]
        trained = self.fetch(cells[0].job).meta["facts"][cells[0].row]
        features = self.evidence.features.get(role)
        return model_facts(self.evidence.models[role], self.task, trained, self.fetch(features) if features else None)

    def _scored(self, cells: list[Cell]) -> Iterator[Scores]:
        named: dict[tuple[Role, str], list[Cell]] = {}
        for cell in cells:
            named.setdefault((cell.role, cell.method), []).append(cell)
        for (role, method), mine in named.items():
            probs = np.stack([self.fetch(cell.job).tensors["probs"][cell.row][self.test] for cell in mine])
            yield Scores(role, method, mine, probs, probs.argmax(-1) == self.truth)

    def _row(self, s: Scores, number: int) -> result.Row:
        cell = s.cells[number]
        trained = self.fetch(cell.job).meta["facts"][cell.row]
        with_supervisor: dict[str, float | int | None] = {}
        if s.role != "weak":
            compared = metric.agreement(s.said[number], self.weak.said[number], self.truth)
            with_supervisor = {
                "agreement": compared.overall,
                "agreement_when_right": compared.when_right,
                "agreement_when_wrong": compared.when_wrong,
                "n_supervisor_wrong": compared.n_wrong,
            }
        return result.Row(
            **self.part.row(s.method, cell.seed, s.probs[number], self._labels(cell), trained),
            role=s.role,
            **with_supervisor,
        )

    def _labels(self, cell: Cell) -> LabelQuality:
        return self.part.label_quality(self.fetch(cell.labels), cell.seed, cell.part)

    def _disagreement(self, s: Scores, i: int) -> result.Disagreement:
        texts = self.task.items[self.test[i]].texts()
        text = "  |  ".join(" ".join(filter(None, one)) for one in texts)
        classes, weak = self.task.classes, self.weak
        return result.Disagreement(
            text=text,
            gold=classes[self.truth[i]],
            supervisor=classes[weak.said[0, i]],
            supervisor_confidence=float(weak.probs[0, i].max()),
            student=classes[s.said[0, i]],
            student_confidence=float(s.probs[0, i].max()),
            method=s.method,
            student_right=bool(s.correct[0, i]),
        )
