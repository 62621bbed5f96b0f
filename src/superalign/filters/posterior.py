"""Posterior: drop or relabel what is more likely wrong than right, given the estimated noise."""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal

import numpy as np
from pydantic import Field

from superalign.estimation import estimate, posterior
from superalign.filter import BoolArray, Evidence, Filter, FloatArray, filters


@filters.register("posterior")
class Posterior(Filter):
    """Weigh each label with the estimated noise: an item goes when another class is likelier than its own by Bayes.

    A weak model takes little from many labels, so it drops few, where agreement and confident learning drop many
    right ones.
    """

    source: ClassVar[str] = "Ours; the noise model is that of Patrini et al. 2017 (arXiv 1609.03683)"

    wrong: Annotated[float, Field(gt=0, lt=1)] = 0.5
    """Least probability of being wrong at which an item goes."""
    action: Literal["drop", "relabel"] = "drop"
    """What happens to it; a relabelled one gets the posterior of the true class."""

    def apply(self, evidence: Evidence) -> tuple[FloatArray, BoolArray]:
        """See Filter."""
        labels, given = evidence.labels, evidence.labels.argmax
        noise = estimate(
            labels, evidence.probs, groups=evidence.groups, pairwise=evidence.pairwise, replicates=1, seed=evidence.seed
        )
        true = posterior(noise, given, evidence.probs)
        bad = (1 - true[np.arange(len(given)), given] >= self.wrong) & evidence.present
        if self.action == "drop":
            return labels.probs, ~bad
        return np.where(bad[:, None], true, labels.probs).astype(np.float32), np.ones(len(labels), dtype=np.bool_)
