"""Several prompts to the weak model: an item counts as much as the answers agree."""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal

import numpy as np
from pydantic import Field, field_validator

from superalign.ensemble import PLAIN, Ensemble, FloatArray, Teaching, Vote, ensembles
from superalign.ensembles._templates import TEMPLATES
from superalign.errors import ConfigError, DataError


@ensembles.register("prompts")
class Prompts(Ensemble):
    """Asks every weak model with several prompts; the label is the mean, its weight how far the answers agree.

    A base model is read by a learner on its hidden states, so asking it with another prompt means: other hidden
    states of the same item, and a learner of their own. Each learns from all of the supervise part.
    """

    source: ClassVar[str] = "Guo and Yang 2024 (arXiv 2406.19032): reliability from several prompts, weighted loss"

    templates: Annotated[tuple[str, ...], Field(min_length=1)] = TEMPLATES
    """The prompts; `{text}` stands for the item."""
    weight: Literal["entropy", "share"] = "entropy"
    """1 - the answers' entropy over log k, or the share of the answers that say what most say."""

    @field_validator("templates")
    @classmethod
    def _usable(cls, templates: tuple[str, ...]) -> tuple[str, ...]:
        for one in templates:
            if PLAIN not in one:
                raise ConfigError(f"prompt '{one}' has no place for the item", fix=f"for example: Statement: {PLAIN}")
            if templates.count(one) > 1:
                raise ConfigError(f"prompt '{one}' is given twice")
        return templates

    @property
    def asked(self) -> tuple[str, ...]:
        """Return the prompts."""
        return self.templates

    def teach(self, teaching: Teaching) -> Vote:
        """See Ensemble.

        Raises:
            DataError: the answers disagree evenly about every item, which leaves nothing to learn from.
        """
        vote = Vote.mean(teaching.learn([teaching.labels]))
        weight = agreement(vote.members, self.weight)
        if not weight.any():
            fix = "ask with other prompts, or weight=share"
            raise DataError("the answers to the prompts are evenly divided about every item", fix=fix)
        return Vote(vote.probs, weight, vote.members, vote.facts)


def agreement(members: FloatArray, rule: Literal["entropy", "share"]) -> FloatArray:
    """Return how far the answers of m members [m, n, k] agree on each item, float32 [n] in [0, 1]."""
    k = members.shape[-1]
    votes = np.eye(k)[members.argmax(-1)].mean(0)  # [n, k]
    if rule == "share":
        return np.asarray(votes.max(-1), dtype=np.float32)
    entropy = -(votes * np.log(np.where(votes > 0, votes, 1))).sum(-1)
    return np.asarray(np.clip(1 - entropy / np.log(k), 0, 1), dtype=np.float32)
