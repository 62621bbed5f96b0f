"""Errors where the ceiling is least sure."""

from __future__ import annotations

from typing import ClassVar

from superalign.structure import Placed, Scene, Structure, structures


@structures.register("ceiling-unsure")
class OracleCeilingUnsure(Structure):
    """Errors where the ceiling, which learnt the truth of other items, is least sure of any class."""

    source: ClassVar[str] = "Burns et al. 2023 (arXiv 2312.09390), simulated weak errors: ceiling least sure"
    needs_features: ClassVar[bool] = True

    def place(self, scene: Scene) -> Placed:
        """See Structure."""
        return Placed(-scene.ceiling().max(1))
