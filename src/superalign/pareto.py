"""What nothing betters: the Pareto front of points with several figures each, larger being better."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[np.floating[Any]]
BoolArray = npt.NDArray[np.bool_]


def front(points: Array | Sequence[Sequence[float]]) -> BoolArray:
    """Tell of each point whether no other is at least as good in all figures and better in one.

    Args:
        points: [..., n, k]: n points with k figures, or many such sets.

    Returns:
        [..., n].
    """
    values = np.asarray(points, dtype=np.float64)
    mine, others = values[..., :, None, :], values[..., None, :, :]
    bettered = (others >= mine).all(-1) & (others > mine).any(-1)
    return np.asarray(~bettered.any(-1))
