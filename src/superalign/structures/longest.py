"""Errors on the longest items."""

from __future__ import annotations

from typing import ClassVar

from superalign.structure import Placed, Scene, Structure, structures


@structures.register("longest")
class Longest(Structure):
    """Errors on the items with most characters; of a Comparison prompt and both responses count."""

    source: ClassVar[str] = "Burns et al. 2023 (arXiv 2312.09390), simulated weak errors: longest prompts"

    def place(self, scene: Scene) -> Placed:
        """See Structure."""
        return Placed(scene.lengths.astype(float))
