"""What the scoring of every study shares: the test part with its bootstrap, the labels' quality, facts of the run."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple, Protocol

import numpy as np
import numpy.typing as npt

from superalign import metric, result
from superalign.metric import Bootstrap, Bounds, Metric
from superalign.model import Model
from superalign.result import Interval
from superalign.steps import labels_of, part_of, whole
from superalign.store import Artifact
from superalign.study import Conduct
from superalign.task import PARTS, Gold, Shares, Task, split

BoolArray = npt.NDArray[np.bool_]
FloatArray = npt.NDArray[np.float32]
IntArray = npt.NDArray[np.int64]


class TestScore(Metric):
    """Scores predictions on the test part."""


class LabelScore(Metric):
    """Scores the labels that learners were given; no learner sees this."""


class LabelQuality(NamedTuple):
    """How good the labels of one part were."""

    accuracy: float
    """Share of right ones among those with a weight."""
    kept: int
    """How many have a weight."""
    n: int


class Answers(Protocol):
    """What a learner answered, over all seeds."""

    @property
    def name(self) -> str:
        """Who answered."""

    @property
    def correct(self) -> BoolArray:
        """Which answers are right, [seeds, n]."""


class TestPart:
    """The test part of a task, and the one place where its truth is read.

    Args:
        task: the items of all parts.
        labels: truth of all items, int64 [n].
        shares: proportions of the parts.
        seeds: how many seeds are scored; they and the test part's groups are resampled together.
    """

    def __init__(self, task: Task, labels: IntArray, shares: Shares, seeds: int) -> None:
        self.task, self.shares, self._labels = task, shares, labels
        self.rows = split(task, shares, 0).test
        self.truth = TestScore().truth(Gold(labels[self.rows], "test"))
        self.groups = np.array(task.groups())[self.rows]
        self.bootstrap = Bootstrap(self.groups, seeds)

    def label_quality(self, given: Artifact, seed: int, part: str) -> LabelQuality:
        """Score the labels that a job gave to a part for one of its seeds."""
        rows = part_of(self.task, self.shares, seed, part)
        labels = labels_of(given, seed, rows)
        right = labels.argmax == LabelScore().truth(Gold(self._labels[rows], whole(part)))
        kept = labels.weight > 0
        return LabelQuality(float(right[kept].mean()), int(kept.sum()), len(rows))

    def row(
        self, name: str, seed: int, said: FloatArray, labels: LabelQuality, trained: Mapping[str, Any]
    ) -> dict[str, Any]:
        """Return the fields of a ScoredRow for what one learner said of the test part, [n, k]."""
        correct = said.argmax(-1) == self.truth
        return {
            "method": name,
            "seed": seed,
            "accuracy": float(correct.mean()),
            "correct": int(correct.sum()),
            "n": len(correct),
            "ece": metric.expected_calibration_error(said, correct),
            "label_accuracy": labels.accuracy,
            "kept": labels.kept,
            "facts": dict(trained),
        }

    def accuracy(self, correct: BoolArray) -> Interval:
        """Return the share of right answers [seeds, n] with its interval."""
        return share(self.bootstrap.mean(correct))

    def compare(self, pairs: Sequence[tuple[Answers, Answers]]) -> list[result.PairedTest]:
        """Test the difference of each pair of learners; p_holm is corrected for all of them."""
        tested = [metric.paired_test(a.correct, b.correct, self.bootstrap) for a, b in pairs]
        corrected = metric.holm([one.p for one in tested])
        return [
            result.PairedTest(
                a=a.name,
                b=b.name,
                difference=interval(one.difference),
                p=one.p,
                p_holm=p_holm,
                n=len(self.rows),
                groups=self.bootstrap.n_groups,
                seeds=len(a.correct),
            )
            for (a, b), one, p_holm in zip(pairs, tested, corrected, strict=True)
        ]

    def facts(self) -> result.TaskFacts:
        """Return what was studied."""
        return task_facts(self.task, split(self.task, self.shares, 0))


def task_facts(task: Task, parts: Sequence[IntArray]) -> result.TaskFacts:
    """Return what was studied, and the sizes of its parts."""
    return result.TaskFacts(
        name=task.name,
        version=task.version,
        pairwise=task.pairwise,
        classes=list(task.classes),
        items=len(task.items),
        groups=len(set(task.groups())),
        parts={name: len(part) for name, part in zip(PARTS, parts, strict=True)},
        dropped=len(task.dropped),
        dropped_rows=[result.DroppedRow(where=row.where, reason=row.reason) for row in task.dropped[:100]],
        warnings=list(task.warnings),
    )


def model_facts(
    model: Model, task: Task, trained: Mapping[str, Any], features: Artifact | None = None
) -> result.ModelFacts:
    """Return the facts of a model as it was used.

    Args:
        model: the model.
        task: the items it read.
        trained: facts of one of its learners.
        features: the artifact of its features, for a probe, whose own facts do not say what was read.
    """
    if "layer" not in trained and features is not None:
        return result.ModelFacts.model_validate(features.meta)
    read = {name: trained[name] for name in ("layer", "truncated", "tokens")}
    return result.ModelFacts.of(model, texts=len(task.texts()), **read)


def interval(bounds: Bounds) -> Interval:
    """Return a figure's bounds as they stand in a result."""
    return Interval(value=bounds.value, low=bounds.low, high=bounds.high)


def share(bounds: Bounds) -> Interval:
    """Return the bounds of a share: its interval ends at 0 and 1, however few the seeds."""
    return Interval(value=bounds.value, low=max(bounds.low, 0.0), high=min(bounds.high, 1.0))


def conducted(conduct: Conduct, unsealed: Sequence[tuple[str, str, str, int]]) -> dict[str, Any]:
    """Return the fields of a StudyResult that say how the run went, with every reading of the truth."""
    return {
        "config": conduct.config,
        "config_sha256": conduct.config_sha256,
        "versions": conduct.versions,
        "seconds": conduct.seconds,
        "jobs": result.JobCounts(**conduct.counts),
        "unsealed": merged([*conduct.unsealed, *unsealed]),
    }


def merged(unsealed: Sequence[tuple[str, str, str, int]]) -> list[result.UnsealedRecord]:
    """Return one record a part, reader and reason, with the items read in all."""
    total: dict[tuple[str, str, str], int] = {}
    for part, reader, why, n in unsealed:
        total[part, reader, why] = total.get((part, reader, why), 0) + n
    return [result.UnsealedRecord(part=p, reader=r, why=w, n=n) for (p, r, w), n in sorted(total.items())]
