"""Bagging: learners on bootstrap samples vote with their mean."""

from __future__ import annotations

from typing import Annotated, ClassVar

from pydantic import Field

from superalign.ensemble import Ensemble, Teaching, Vote, ensembles


@ensembles.register("bagging")
class Bagging(Ensemble):
    """Every weak model learns from several bootstrap samples; the label is the mean of all their probabilities.

    Groups of related items are drawn, not items. A sample is given as item weights: how often the group was drawn.
    """

    source: ClassVar[str] = "Breiman 1996, Bagging Predictors, section 2; for weak teachers arXiv 2402.00667"

    members: Annotated[int, Field(ge=1, le=1000)] = 10
    """Bootstrap samples, the same for every weak model."""

    def teach(self, teaching: Teaching) -> Vote:
        """See Ensemble."""
        return Vote.mean(teaching.learn(teaching.resampled(self.members)))
