"""The errors of a real weak model."""

from __future__ import annotations

from typing import ClassVar

from superalign.structure import Placed, Scene, Structure, structures


@structures.register("weak")
class Weak(Structure):
    """The weak model's own errors: its labels, hardened to the class it finds likeliest, as all structures are."""

    source: ClassVar[str] = "Burns et al. 2023 (arXiv 2312.09390)"

    def place(self, scene: Scene) -> Placed:
        """See Structure."""
        return Placed(scene.wrong.astype(float), scene.said)
