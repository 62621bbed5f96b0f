"""Errors that the strong model can imitate exactly: those of a probe on some of its own features."""

from __future__ import annotations

from typing import Annotated, ClassVar

import numpy as np
import numpy.typing as npt
from pydantic import Field

from superalign.structure import Placed, Scene, Structure, structures

STEP = 2**0.5  # from one number of features that may be tried to the next
FloatArray = npt.NDArray[np.float32]
IntArray = npt.NDArray[np.int64]


@structures.register("simulable")
class Simulable(Structure):
    """The errors of a probe that sees only the first k features of the strong model.

    It learns the truth of the supervise part. Errors are made where it is furthest beyond the border, which is at its
    own errors, and its likeliest wrong class is the label. Where it makes too few errors, items at its border are
    added; where too many, those nearest to the border are left right: `natural` in the record is the share of the
    errors of the transfer part that are its own.
    """

    source: ClassVar[str] = "Burns et al. 2023 (arXiv 2312.09390), simulation difficulty: weak models of k features"
    needs_features: ClassVar[bool] = True

    k: Annotated[int, Field(ge=0)] = 0
    """Features it sees; 0 looks among 1, 2, 3, 4, 6, 8, ... for the number whose errors on the transfer part come
    nearest to the weak model's, by bisection."""

    def place(self, scene: Scene) -> Placed:
        """See Structure."""
        part = scene.transfer
        wanted = int(scene.wrong[part].sum())
        tried: dict[int, tuple[FloatArray, IntArray]] = {}

        def excess(width: int) -> int:
            if width not in tried:
                tried[width] = _beyond(scene, scene.narrow(width))
            return int((tried[width][0][part] > 0).sum()) - wanted

        widths = [min(self.k, scene.width)] if self.k else _widths(scene.width)
        while widths:  # more features make fewer errors, so half of the widths need not be tried
            middle = len(widths) // 2
            widths = widths[middle + 1 :] if excess(widths[middle]) > 0 else widths[:middle]
        best = min(sorted(tried), key=lambda width: abs(excess(width)))
        beyond, instead = tried[best]
        return Placed(beyond, instead, beyond > 0, {"k": best})


def _widths(most: int) -> list[int]:
    steps = range(int(np.log(most) / np.log(STEP)) + 1)
    return sorted({round(STEP**step) for step in steps} | {most})


def _beyond(scene: Scene, probs: FloatArray) -> tuple[FloatArray, IntArray]:
    """Return how much likelier the likeliest wrong class is than the true one [n], and which it is [n]."""
    rows, others = np.arange(len(scene.truth)), probs.copy()
    others[rows, scene.truth] = -np.inf
    return others.max(1) - probs[rows, scene.truth], np.asarray(others.argmax(1), dtype=np.int64)
