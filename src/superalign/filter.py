"""A Filter drops or relabels items by their noisy Labels and what a model knows of them. It sees no gold."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from functools import cached_property
from typing import Annotated, ClassVar

import numpy as np
import numpy.typing as npt
from pydantic import Field

from superalign.config import Component
from superalign.crossfit import FOLDS, check_shapes, cross_fit
from superalign.errors import DataError
from superalign.label import Labels
from superalign.registry import Registry, chosen

FloatArray = npt.NDArray[np.float32]
Float64Array = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.int64]
BoolArray = npt.NDArray[np.bool_]
StrArray = npt.NDArray[np.str_]
Share = Annotated[float, Field(gt=0, lt=1)]


@dataclass(frozen=True)
class Evidence:
    """What a filter may look at.

    Args:
        features: float32 [n, d]; of Comparisons the differences, second minus first.
        labels: what is filtered; an item of weight 0 counts as absent.
        groups: [n]; an item is never judged by its own group.
        seed: of the folds and of whatever is drawn.
        pairwise: whether the items are Comparisons: swapping their responses must change nothing.
    """

    features: FloatArray
    labels: Labels
    groups: StrArray
    seed: int = 0
    pairwise: bool = False

    def __post_init__(self) -> None:
        check_shapes(self.features, self.labels, self.groups)
        if self.pairwise and self.k != 2:
            raise DataError(f"labels of Comparisons have 2 classes, not {self.k}")
        if not np.isfinite(self.features).all():
            raise DataError("features hold NaN or infinity")

    @property
    def k(self) -> int:
        """Number of classes."""
        return int(self.labels.probs.shape[1])

    @property
    def present(self) -> BoolArray:
        """Which items have a weight, [n]."""
        return self.labels.weight > 0

    @cached_property
    def probs(self) -> FloatArray:
        """Out-of-sample class probabilities by the probe with its defaults, [n, k]: computed once for all filters."""
        return cross_fit(self.features, self.labels, self.groups, folds=FOLDS, seed=self.seed, pairwise=self.pairwise)

    @cached_property
    def self_confidence(self) -> Float64Array:
        """Out-of-sample probability of what each item is given, [n]; of soft labels the expectation."""
        return np.asarray((self.probs * self.labels.probs).sum(1), dtype=np.float64)


class Filter(Component, ABC):
    """Base of the filters and relabellings. A dropped item gets weight 0, a relabelled one other probabilities."""

    source: ClassVar[str]
    """Paper and section."""

    def __call__(
        self, features: FloatArray, labels: Labels, groups: StrArray, seed: int = 0, *, pairwise: bool = False
    ) -> Labels:
        """Return the labels as this filter leaves them; see Evidence for the arguments.

        Raises:
            DataError: shapes that do not fit, or too few items.
        """
        return self.judge(Evidence(features, labels, groups, seed, pairwise))

    def judge(self, evidence: Evidence) -> Labels:
        """Return the filtered labels; several filters may share one Evidence, hence its probabilities."""
        probs, keep = self.apply(evidence)
        given = evidence.labels
        weight = np.where(keep, given.weight, 0).astype(np.float32)
        if not weight.any():
            raise DataError(f"filter '{self}' drops all {len(given)} items", fix="take a milder one")
        probs = np.where(evidence.present[:, None], probs, given.probs)
        return Labels(np.asarray(probs, dtype=np.float32), weight, f"{given.by} | {self}", given.rewards, given.against)

    @abstractmethod
    def apply(self, evidence: Evidence) -> tuple[FloatArray, BoolArray]:
        """Return the probabilities [n, k] that the items are to have, and which [n] are kept."""


filters: Registry[Filter] = Registry("filter", "superalign.filters", Filter)
FilterChoice = Annotated[Filter, *chosen(filters)]


@dataclass(frozen=True)
class Filtered:
    """What a filter did, for the record.

    Args:
        name: the filter as text.
        n: items that had a weight before.
        dropped: items whose weight became 0.
        relabelled: items kept whose class changed.
        softened: items kept whose probabilities changed, relabelled ones included.
    """

    name: str
    n: int
    dropped: int
    relabelled: int
    softened: int


def compare(name: str, before: Labels, after: Labels) -> Filtered:
    """Count what happened between two Labels of the same items."""
    if before.probs.shape != after.probs.shape:
        raise DataError(f"labels {before.probs.shape} and {after.probs.shape} are not of the same items")
    had = before.weight > 0
    kept = had & (after.weight > 0)
    return Filtered(
        name,
        int(had.sum()),
        int((had & ~kept).sum()),
        int((kept & (before.argmax != after.argmax)).sum()),
        int((kept & ~np.isclose(before.probs, after.probs, atol=1e-6).all(1)).sum()),
    )


def worst(badness: FloatArray | Float64Array, share: float, present: BoolArray) -> BoolArray:
    """Return which items [n] are the given share of the present ones with the largest badness; ties by position."""
    rows = np.flatnonzero(present)
    bad = rows[np.argsort(-badness[rows], kind="stable")[: round(share * len(rows))]]
    out = np.zeros(len(badness), dtype=np.bool_)
    out[bad] = True
    return out


def one_hot(classes: IntArray, k: int) -> FloatArray:
    """Return one-hot probabilities, float32 [n, k]."""
    return np.eye(k, dtype=np.float32)[classes]
