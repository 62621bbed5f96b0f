"""Errors where the ceiling is surest of the truth."""

from __future__ import annotations

from typing import ClassVar

import numpy as np

from superalign.structure import Placed, Scene, Structure, structures


@structures.register("ceiling-sure")
class OracleCeilingSure(Structure):
    """Errors where the ceiling, which learnt the truth of other items, gives the true class most probability."""

    source: ClassVar[str] = "Burns et al. 2023 (arXiv 2312.09390), simulated weak errors: ceiling most surely right"
    needs_features: ClassVar[bool] = True

    def place(self, scene: Scene) -> Placed:
        """See Structure."""
        return Placed(scene.ceiling()[np.arange(len(scene.truth)), scene.truth])
