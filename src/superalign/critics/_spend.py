"""Which labels to look at when there may only be so many."""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal

import numpy as np
import numpy.typing as npt

from superalign.label import Labels

FloatArray = npt.NDArray[np.float32]
IntArray = npt.NDArray[np.int64]
ROUNDS = 4  # in which the labels after the first quarter are chosen
FEWEST = 20  # labels that are drawn before any is chosen


def spend(
    budget: int | None,
    choose: Literal["random", "uncertain"],
    usable: IntArray,
    labels: Labels,
    confidence: Callable[[IntArray, Labels], FloatArray],
    seed: int,
) -> IntArray:
    """Return the rows whose labels are looked at, int64 [at most budget], sorted. The labels of others are not read.

    `uncertain` is uncertainty sampling (Lewis and Gale 1994) in rounds: a quarter is drawn at random, then each round
    adds the rows of which a learner on those before is least sure. While one class alone was seen it draws on.

    Args:
        budget: the most; None for all.
        choose: how.
        usable: rows that have a label.
        labels: of all rows.
        confidence: of a learner on given rows and their labels, in all rows, [n].
        seed: of what is drawn.
    """
    if budget is None or budget >= len(usable):
        return usable
    drawn = usable[np.random.default_rng(seed).permutation(len(usable))]
    seen = budget if choose == "random" else min(budget, max(FEWEST, budget // 4))
    chosen, more = drawn[:seen], -(-(budget - seen) // ROUNDS)
    while len(chosen) < budget:
        rest = drawn[~np.isin(drawn, chosen)]
        rows = np.sort(chosen)
        given = Labels(labels.probs[rows], labels.weight[rows], labels.by)
        if min(given.weight @ given.probs) > 0:
            rest = rest[np.argsort(confidence(rows, given)[rest], kind="stable")]
        chosen = np.concatenate([chosen, rest[: min(more, budget - len(chosen))]])
    return np.sort(chosen)
