"""Weights of several weak labels on the simplex, learnt together with the student."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, ClassVar

import numpy as np
from pydantic import Field

from superalign.crossfit import cross_fit
from superalign.ensemble import Float64Array, FloatArray, JointEnsemble, StrArray, Teaching, Vote, ensembles
from superalign.filter import one_hot
from superalign.label import Labels

TINY = 1e-12


@ensembles.register("simplex", "raven")
class Simplex(JointEnsemble):
    """The label is a mixture of the weak models' labels; its weights are learnt together with the student.

    The student learns from sum_k w_k p_k. Our reading alternates two steps, from equal weights, until they move less
    than the tolerance. The student: probes on its own features learn the mixture, and each item is answered by a probe
    that saw none of its group, so that no weak label is believed because it was learnt by heart. The weights: they
    maximise the likelihood of those answers c under the mixture, sum log sum_k w_k p_k(c), a concave problem, by the
    EM steps for the weights of a mixture, which never leave the simplex.

    Two other choices were left: the student's own loss is linear in w, so its minimum is a corner, all weight on one
    weak model; and the student's soft belief instead of its answers is no surer than the mixture it learnt, so that
    equal weights agree with it best whoever is right.
    """

    source: ClassVar[str] = "Jeon, Sobotka et al. 2025 (arXiv 2510.21332), RAVEN: adaptive weights of weak models"

    members: Annotated[int, Field(ge=1, le=100)] = 1
    """Learners a weak model: 1 learns from all of the supervise part, more from bootstrap samples of it."""
    rounds: Annotated[int, Field(ge=1)] = 10
    """Most alternations."""
    tolerance: Annotated[float, Field(gt=0, lt=1)] = 0.01
    """Half the absolute change of the weights below which it ends."""

    def teach(self, teaching: Teaching) -> Vote:
        """Train the members; they vote equally until the student has settled their weights."""
        return Vote.mean(teaching.learn([teaching.labels] if self.members == 1 else teaching.resampled(self.members)))

    def settle(
        self, members: FloatArray, features: FloatArray, groups: StrArray, seed: int = 0, *, pairwise: bool = False
    ) -> tuple[Float64Array, Mapping[str, Any]]:
        """See JointEnsemble."""
        share = np.full(len(members), 1 / len(members))
        done, moved = 0, 1.0
        while done < self.rounds and moved >= self.tolerance:
            mixture = Labels.soft(Vote.mean(members, share).probs, str(self))
            belief = cross_fit(features, mixture, groups, seed=seed, pairwise=pairwise)
            settled = likeliest(members, one_hot(belief.argmax(1), belief.shape[1]), share)
            done, moved, share = done + 1, float(np.abs(settled - share).sum() / 2), settled
        return share, {"rounds": done, "moved": moved}


def likeliest(members: FloatArray, belief: FloatArray, share: Float64Array, steps: int = 100) -> Float64Array:
    """Return the weights [m] that minimise -sum_i sum_c belief_ic log sum_k w_k members_kic, by EM from `share`.

    Args:
        members: [m, n, k].
        belief: [n, k], rows sum to 1.
        share: where to begin, [m]; a weight of 0 stays 0.
        steps: of EM.
    """
    said = members.astype(np.float64)
    for _ in range(steps):
        mixture = np.maximum(np.tensordot(share, said, 1), TINY)  # [n, k]
        share = share * (said * (belief / mixture)).sum((1, 2)) / len(belief)
        share = share / share.sum()
    return share
