"""Agreement: keep the items whose label a model that never saw them also gives."""

from __future__ import annotations

from typing import ClassVar

from superalign.filter import BoolArray, Evidence, Filter, FloatArray, filters


@filters.register("agreement")
class Agreement(Filter):
    """Drop the items whose out-of-sample class is not the given one. With a weak model it drops many right ones."""

    source: ClassVar[str] = "Brodley and Friedl 1999 (JAIR 11), classification filter with one learner"

    def apply(self, evidence: Evidence) -> tuple[FloatArray, BoolArray]:
        """See Filter."""
        return evidence.labels.probs, evidence.probs.argmax(1) == evidence.labels.argmax
