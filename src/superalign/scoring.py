"""What the scoring of every study shares: the test part with its bootstrap, the labels' quality, facts of the run."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from superalign import metric, result
from superalign.metric import Bootstrap, Bounds, Metric
from superalign.model import Model
from superalign.result import Interval
from superalign.steps import labels_of, part_of
from superalign.store import Artifact
from superalign.task import PARTS, Gold, Task, split

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


class TestPart:
    """The test part of a task, and the one place where its truth is read.

    Args:
        task: the items of all parts.
        labels: truth of all items, int64 [n].
        shares: proportions of the parts.
        seeds: how many seeds are scored; they and the test part's groups are resampled together.
    """

    def __init__(self, task: Task, labels: IntArray, shares: tuple[int, int, int], seeds: int) -> None:
        self.task, self.shares, self._labels = task, shares, labels
        self.rows = split(task, shares, 0).test
        self.truth = TestScore().truth(Gold(labels[self.rows], "test"))
        self.groups = np.array(task.groups())[self.rows]
        self.bootstrap = Bootstrap(self.groups, seeds)

    def label_quality(self, given: Artifact, seed: int, part: str) -> LabelQuality:
        """Score the labels that a job gave to a part for one of its seeds."""
        rows = part_of(split(self.task, self.shares, seed), part)
        labels = labels_of(given, seed, rows)
        right = labels.argmax == LabelScore().truth(Gold(self._labels[rows], part))
        kept = labels.weight > 0
        return LabelQuality(float(right[kept].mean()), int(kept.sum()), len(rows))

    def accuracy(self, correct: BoolArray) -> Interval:
        """Return the share of right answers [seeds, n] with its interval."""
        return share(self.bootstrap.mean(correct))

    def paired(self, a: BoolArray, b: BoolArray) -> metric.Paired:
        """Test the difference of two learners' right answers, each [seeds, n]."""
        return metric.paired_test(a, b, self.bootstrap)

    def facts(self) -> result.TaskFacts:
        """Return what was studied."""
        task, parts = self.task, split(self.task, self.shares, 0)
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
    return result.ModelFacts(
        spec=str(model),
        layer=trained["layer"],
        depth=model.depth(),
        fingerprint=model.fingerprint(),
        texts=len(task.texts()),
        truncated=trained["truncated"],
        tokens=trained["tokens"],
    )


def interval(bounds: Bounds) -> Interval:
    """Return a figure's bounds as they stand in a result."""
    return Interval(value=bounds.value, low=bounds.low, high=bounds.high)


def share(bounds: Bounds) -> Interval:
    """Return the bounds of a share: its interval ends at 0 and 1, however few the seeds."""
    return Interval(value=bounds.value, low=max(bounds.low, 0.0), high=min(bounds.high, 1.0))


def merged(unsealed: Sequence[tuple[str, str, str, int]]) -> list[result.UnsealedRecord]:
    """Return one record a part, reader and reason, with the items read in all."""
    total: dict[tuple[str, str, str], int] = {}
    for part, reader, why, n in unsealed:
        total[part, reader, why] = total.get((part, reader, why), 0) + n
    return [result.UnsealedRecord(part=p, reader=r, why=w, n=n) for (p, r, w), n in sorted(total.items())]
