"""Shares of hits before and after a loop, with intervals over the groups of what was asked."""

from __future__ import annotations

import numpy as np

from superalign import metric
from superalign.metric import LEVEL, REPLICATES
from superalign.result import Interval
from superalign.scoring import interval

Hits = dict[tuple[str, int, int], tuple[str, bool]]
"""For each thing that was asked (what, which seed, which time) its group and whether it was a hit."""


def share(hits: Hits) -> Interval | None:
    """Return the share of hits with its interval; None of nothing."""
    if not hits:
        return None
    return interval(metric.clustered_share([group for group, _ in hits.values()], [hit for _, hit in hits.values()]))


def changed(before: Hits, after: Hits) -> tuple[Interval | None, Interval | None]:
    """Return after minus before, and after over before, with intervals of one bootstrap over groups."""
    if not before or not after:
        return None, None
    names = sorted({group for group, _ in (*before.values(), *after.values())})
    places = {name: place for place, name in enumerate(names)}
    drawn = np.random.default_rng(0).multinomial(len(names), np.full(len(names), 1 / len(names)), REPLICATES)
    shares, values = [], []
    for hits in (before, after):
        sums = np.zeros((2, len(names)))
        for group, hit in hits.values():
            sums[:, places[group]] += (float(hit), 1.0)
        totals = drawn @ sums.T
        shares.append(totals[:, 0] / np.maximum(totals[:, 1], 1e-12))
        values.append(sums[0].sum() / sums[1].sum())
    tails = [(1 - LEVEL) / 2, (1 + LEVEL) / 2]
    low, high = np.quantile(shares[1] - shares[0], tails)
    difference = Interval(value=values[1] - values[0], low=float(low), high=float(high))
    if values[0] == 0 or (shares[0] == 0).any():
        return difference, None
    low, high = np.quantile(shares[1] / shares[0], tails)
    return difference, Interval(value=values[1] / values[0], low=float(low), high=float(high))
