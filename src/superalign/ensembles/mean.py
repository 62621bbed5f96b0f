"""The mean of several weak models."""

from __future__ import annotations

from typing import ClassVar

from superalign.ensemble import Ensemble, Teaching, Vote, ensembles


@ensembles.register("mean")
class Mean(Ensemble):
    """Every weak model learns from all of the supervise part; the label is the mean of their probabilities."""

    source: ClassVar[str] = "Lakshminarayanan et al. 2017 (arXiv 1612.01474), section 2.4: uniform mixture"

    def teach(self, teaching: Teaching) -> Vote:
        """See Ensemble."""
        return Vote.mean(teaching.learn([teaching.labels]))
