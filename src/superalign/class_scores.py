"""Scores that do not follow the commonest class: balanced accuracy and weighted F1, with the bootstrap's intervals."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from superalign.metric import Bootstrap, Bounds, interval

FloatArray = npt.NDArray[np.floating[Any]]
IntArray = npt.NDArray[np.int64]


class ClassScores(NamedTuple):
    """Figures over seeds, each with its interval over test groups and seeds."""

    balanced_accuracy: Bounds
    """Mean over the true classes of the share of their items that is right."""
    weighted_f1: Bounds
    """Mean over the true classes, weighted by their items, of F1; 0 for a class that is never said."""


def class_scores(said: IntArray, truth: IntArray, classes: int, bootstrap: Bootstrap) -> ClassScores:
    """Score predicted classes [seeds, n] against the true ones [n].

    In a replicate that lacks a class, the means are over the others.
    """
    true = one_hot(truth, classes)
    given = [one_hot(one, classes) for one in said]
    hits = [true * one for one in given]
    whole = [
        scores(hit.sum(1)[None], true.sum(1)[None], one.sum(1)[None]) for hit, one in zip(hits, given, strict=True)
    ]
    trues = bootstrap.sums(true)
    drawn = [scores(bootstrap.sums(hit), trues, bootstrap.sums(one)) for hit, one in zip(hits, given, strict=True)]
    found = (
        interval(
            float(np.mean([one[which] for one in whole])),
            bootstrap.over_seeds(np.stack([one[which] for one in drawn], axis=1)),
        )
        for which in (0, 1)
    )
    return ClassScores(*found)


def scores(hits: FloatArray, true: FloatArray, said: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Return balanced accuracy and weighted F1 [r] of counts a class [r, k]: right ones, true ones, said ones."""
    present = true > 0
    recall = np.divide(hits, true, out=np.zeros(hits.shape), where=present)
    both = true + said
    f1 = np.divide(2 * hits, both, out=np.zeros(hits.shape), where=both > 0)
    return recall.sum(1) / present.sum(1), (f1 * true).sum(1) / true.sum(1)


def one_hot(labels: IntArray, classes: int) -> FloatArray:
    """Return for each class which items have it, [k, n]."""
    return np.asarray(labels == np.arange(classes)[:, None], dtype=np.float64)
