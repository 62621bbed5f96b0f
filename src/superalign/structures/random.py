"""Errors anywhere."""

from __future__ import annotations

from typing import ClassVar

import numpy as np

from superalign.structure import Placed, Scene, Structure, structures


@structures.register("random")
class Random(Structure):
    """Errors anywhere, drawn blindly: what all other structures are compared with."""

    source: ClassVar[str] = "Burns et al. 2023 (arXiv 2312.09390), simulated weak errors"

    def place(self, scene: Scene) -> Placed:
        """See Structure."""
        return Placed(np.zeros(len(scene.truth)))  # all tie, and ties are drawn
