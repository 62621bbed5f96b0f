"""AdaBoost for k classes (SAMME): each learner minds the items that those before it got wrong."""

from __future__ import annotations

from typing import Annotated, ClassVar

import numpy as np
from pydantic import Field

from superalign.ensemble import Ensemble, FloatArray, Teaching, Vote, ensembles
from superalign.label import Labels


@ensembles.register("adaboost", "samme")
class AdaBoost(Ensemble):
    """Learners in sequence, each on weights raised where the last was wrong, vote by how right they were.

    With error e on the weighted items a learner votes with alpha = log((1 - e) / e) + log(k - 1); the weights of the
    items it got wrong are multiplied by exp(alpha). A learner no better than chance, e >= 1 - 1/k, ends the sequence
    and has no vote (the first always has one); one without error ends it and counts as if half an item were wrong. Of
    several weak models each round takes the one with the smallest error.

    The probabilities are the paper's for its additive model, p_k ~ exp(f_k / (k - 1)), which is the softmax of the
    votes: p_k ~ exp(sum of alpha over the learners that say k).
    """

    source: ClassVar[str] = "Zhu, Zou, Rosset, Hastie 2009, Multi-class AdaBoost, algorithm 2; probabilities of lemma 1"

    members: Annotated[int, Field(ge=1, le=1000)] = 10
    """Most learners."""

    def teach(self, teaching: Teaching) -> Vote:
        """See Ensemble."""
        truth, k = teaching.labels.argmax, teaching.labels.probs.shape[1]
        given = teaching.labels.weight.astype(np.float64)
        share = given / given.sum()
        least = 0.5 / np.count_nonzero(given)
        taken: list[FloatArray] = []
        alphas: list[float] = []
        errors: list[float] = []
        for _ in range(self.members):
            weight = (share * np.count_nonzero(given)).astype(np.float32)  # mean 1, as of any labels
            said = teaching.learn([Labels(teaching.labels.probs, weight, teaching.labels.by)])
            wrong = said[:, teaching.taught].argmax(-1) != truth
            best = int((wrong @ share).argmin())
            error = float(wrong[best] @ share)
            if error >= 1 - 1 / k and taken:
                break
            better = max(min(error, 1 - 1 / k - least), least)  # the first may be no better than chance
            alpha = float(np.log((1 - better) / better) + np.log(k - 1))
            taken.append(said[best])
            alphas.append(alpha)
            errors.append(error)
            if error < least or error >= 1 - 1 / k:
                break
            share = share * np.exp(alpha * wrong[best])
            share /= share.sum()
        members = np.stack(taken)
        votes = np.tensordot(np.array(alphas), np.eye(k)[members.argmax(-1)], 1)
        odds = np.exp(votes - votes.max(-1, keepdims=True))
        probs = (odds / odds.sum(-1, keepdims=True)).astype(np.float32)
        facts = {"members": len(alphas), "alphas": alphas, "errors": errors}
        return Vote(probs, np.ones(len(probs), dtype=np.float32), members, facts)
