"""Errors on the shortest items."""

from __future__ import annotations

from typing import ClassVar

from superalign.structure import Placed, Scene, Structure, structures


@structures.register("shortest")
class Shortest(Structure):
    """Errors on the items with fewest characters; of a Comparison prompt and both responses count."""

    source: ClassVar[str] = "Burns et al. 2023 (arXiv 2312.09390), simulated weak errors: shortest prompts"

    def place(self, scene: Scene) -> Placed:
        """See Structure."""
        return Placed(-scene.lengths.astype(float))
