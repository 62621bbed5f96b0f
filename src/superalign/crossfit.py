"""What a probe says about items it was not trained on: class probabilities from models that never saw the item."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from superalign.errors import DataError
from superalign.label import Labels

if TYPE_CHECKING:
    from superalign.fits.probe import Probe

FloatArray = npt.NDArray[np.float32]
IntArray = npt.NDArray[np.int64]
StrArray = npt.NDArray[np.str_]
FOLDS = 5
MIN_TRAINED = 5  # groups a probe must have to choose its regularisation


def cross_fit(
    features: FloatArray,
    labels: Labels,
    groups: StrArray,
    *,
    folds: int = FOLDS,
    seed: int = 0,
    pairwise: bool = False,
    probe: Probe | None = None,
) -> FloatArray:
    """Return out-of-sample class probabilities, float32 [n, k]: every item is predicted by a probe that saw none of
    its group.

    The folds are lessons of one call to the probe's solver. Items of weight 0 are predicted, but nothing learns from
    them.

    Args:
        features: [n, d]; of Comparisons the differences, second minus first.
        labels: what the probes learn from; soft labels and weights are honoured.
        groups: [n].
        folds: parts the groups are dealt to; each probe is trained on all parts but one.
        seed: of the dealing and of the probes' choice of regularisation.
        pairwise: whether the items are Comparisons: the probes then have no bias.
        probe: how they are trained; the fit `probe` with its defaults when None.

    Raises:
        DataError: shapes that do not fit, too few groups, or a fold without anything to learn from.
    """
    from superalign.fit import Lesson
    from superalign.fits.probe import Probe, solve
    from superalign.objective import objectives

    check_shapes(features, labels, groups)
    if pairwise and labels.probs.shape[1] != 2:
        raise DataError(f"labels of Comparisons have 2 classes, not {labels.probs.shape[1]}")
    fold = deal(groups, folds, seed)
    objective = objectives.build("naive")
    lessons, held = [], []
    for number in range(folds):
        rows = np.flatnonzero(fold != number)
        given = Labels(labels.probs[rows], labels.weight[rows], labels.by)
        if not given.weight.any():
            raise DataError(f"labels by {labels.by}: all items but those of one fold have weight 0")
        lessons.append(Lesson(objective, rows, given, seed))
        held.append(np.flatnonzero(fold == number))
    heads = solve(probe or Probe(), features, groups, lessons, pairwise=pairwise)
    out = np.empty_like(labels.probs)
    for head, rows in zip(heads, held, strict=True):
        out[rows] = head.predict(features[rows])
    return out


def deal(groups: StrArray, folds: int, seed: int) -> IntArray:
    """Return the fold of each item, int64 [n]: whole groups, dealt in random order so that folds hold as many groups.

    Raises:
        DataError: fewer groups than a probe needs on the other folds.
    """
    if folds < 2:
        raise DataError(f"{folds} folds: at least 2 are needed to predict items that were not trained on")
    names, which = np.unique(groups, return_inverse=True)
    trained = len(names) - -(-len(names) // folds)  # in the smallest training set
    if len(names) < folds or trained < MIN_TRAINED:
        raise DataError(
            f"only {len(names)} groups of related items for {folds} folds",
            fix="give more rows: a few cannot tell which of them are wrong",
        )
    place = np.empty(len(names), dtype=np.int64)
    place[np.random.default_rng(seed).permutation(len(names))] = np.arange(len(names)) % folds
    return np.asarray(place[which], dtype=np.int64)


def check_shapes(features: FloatArray, labels: Labels, groups: StrArray) -> None:
    """Refuse features, labels and groups that are not of the same items."""
    if features.ndim != 2 or not len(features) == len(labels) == len(groups):
        raise DataError(
            f"features {features.shape}, {len(labels)} labels and {len(groups)} groups are not of the same items"
        )
