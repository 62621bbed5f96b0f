"""How pairs of several aims are mixed into one set of the same size: our reading of the usual strategies."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

FloatArray = npt.NDArray[np.floating[Any]]
ROUNDING = 1e-9
Mixture = Literal["equal", "lagging", "scored"]
"""equal: as many of each aim. lagging: the more of an aim, the less often the model does what it wants (after Hummer's
decoupled mixing). scored: the pairs that all experts together find most clearly decided (after selection by a reward
model of several aims, ArmoRM's): an expert's reward is how much likelier it finds the better response than the model
did."""


def equally(budget: int, most: Sequence[int]) -> list[int]:
    """Return how many pairs of each aim there are when all have as many as they can alike.

    Args:
        budget: in all.
        most: pairs that there are of each aim.
    """
    return by_share([1.0] * len(most), budget, most)


def lagging(scores: Sequence[float], budget: int, most: Sequence[int]) -> list[int]:
    """Return how many pairs of each aim there are when they are dealt by what the model lacks, 1 - score."""
    return by_share([max(0.0, 1 - score) for score in scores], budget, most)


def by_share(shares: Sequence[float], budget: int, most: Sequence[int]) -> list[int]:
    """Deal a budget in proportion to shares; what an aim has no pairs for goes to the others.

    What does not divide goes to the largest remainders, the first of equals.
    """
    if budget > sum(most):
        raise ValueError(f"{budget} pairs are wanted of {sum(most)}")
    counts, open_ = list(most), list(range(len(most)))
    while True:
        left, total = budget - sum(most) + sum(most[place] for place in open_), sum(shares[place] for place in open_)
        exact = {place: left * (shares[place] / total if total > 0 else 1 / len(open_)) for place in open_}
        within = [place for place in open_ if exact[place] < most[place]]
        if len(within) == len(open_):
            break
        open_ = within
    for place in open_:
        counts[place] = int(exact[place] + ROUNDING)
    ranked = sorted(open_, key=lambda place: (counts[place] - exact[place], place))
    for place in ranked[: budget - sum(counts)]:
        counts[place] += 1
    return counts


def best_scored(before: Sequence[FloatArray], after: Sequence[Sequence[FloatArray]], budget: int) -> list[list[int]]:
    """Return which pairs of each aim are taken: those of the largest sum of the experts' rewards.

    Each expert's rewards are divided by their standard deviation over all pairs, so that none speaks louder.

    Args:
        before: of each aim, the model's log-odds of the better response of every pair, NaN where unknown.
        after: the same of each expert.
        budget: how many pairs in all.
    """
    base = np.concatenate(before)
    total = np.zeros_like(base, dtype=np.float64)
    for expert in after:
        reward = np.concatenate(expert).astype(np.float64) - base
        spread = float(np.nanstd(reward))
        total += reward / spread if spread > 0 else 0.0
    known = np.flatnonzero(np.isfinite(total))
    order = known[np.argsort(-total[known], kind="stable")][:budget]
    ends = np.cumsum([0, *map(len, before)])
    return [sorted((order[(order >= a) & (order < b)] - a).tolist()) for a, b in pairwise(ends)]
