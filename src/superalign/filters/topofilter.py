"""TopoFilter: keep, of each class, the largest connected part of the neighbour graph."""

from __future__ import annotations

from typing import Annotated, ClassVar

import numpy as np
import numpy.typing as npt
from pydantic import Field

from superalign.filter import BoolArray, Evidence, Filter, FloatArray, filters
from superalign.neighbours import nearest, standardised, votes

IntArray = npt.NDArray[np.int64]


@filters.register("topofilter")
class TopoFilter(Filter):
    """Wrong labels lie scattered, right ones together: keep the largest connected component of each class.

    Our reading: the graph joins an item with those of its `k` nearest neighbours, among the items of its own class,
    that also have it among theirs; then an item stays only if enough of its `around` nearest neighbours of any
    class share its label. The features are a frozen model's, so there is one pass instead of one an epoch. Of
    Comparisons the graph holds each item twice, once with its responses swapped.
    """

    source: ClassVar[str] = "Wu et al. 2020 (arXiv 2012.04835)"

    k: Annotated[int, Field(ge=1)] = 8
    """Neighbours in the graph of a class."""
    around: Annotated[int, Field(ge=1)] = 20
    """Neighbours of any class that the second test looks at."""
    zeta: Annotated[float, Field(ge=0, le=1)] = 0.5
    """Share of them that must have the item's label, as a multiple of the mean share; 0 leaves the second test out."""

    def apply(self, evidence: Evidence) -> tuple[FloatArray, BoolArray]:
        """See Filter."""
        labels, n = evidence.labels, len(evidence.labels)
        rows, given, groups, present = evidence.features, labels.argmax, evidence.groups, evidence.present
        if evidence.pairwise:
            rows, given = np.concatenate([rows, -rows]), np.r_[given, 1 - given]
            groups, present = np.r_[groups, groups], np.r_[present, present]
        x = standardised(rows, centre=not evidence.pairwise)
        keep = np.zeros(len(x), dtype=np.bool_)
        for one in range(evidence.k):
            mine = np.flatnonzero((given == one) & present)
            keep[mine[largest_component(x[mine], self.k)]] = True
        if self.zeta:
            found = nearest(x, self.around, groups=groups, present=present)
            same = votes(found, np.eye(evidence.k, dtype=np.float32)[given])[np.arange(len(x)), given]
            keep &= same >= self.zeta * same[present].mean()
        return labels.probs, keep[:n]


def largest_component(rows: FloatArray, k: int) -> IntArray:
    """Return the items [m] of the largest component of the mutual k-nearest-neighbour graph of rows [n, d]."""
    if len(rows) < 3:
        return np.arange(len(rows))
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components

    near = nearest(rows, k).items
    n = len(rows)
    graph = coo_array((np.ones(near.size), (np.repeat(np.arange(n), near.shape[1]), near.ravel())), (n, n)).tocsr()
    _, part = connected_components(graph.multiply(graph.T), directed=False)
    return np.flatnonzero(part == np.bincount(part).argmax())
