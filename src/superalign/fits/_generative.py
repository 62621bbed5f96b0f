"""Generative fine-tuning: a language model first learns to say the texts, whatever their labels."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

import numpy as np

from superalign.label import Labels
from superalign.network import Network, Reading
from superalign.objective import Objective, Said
from superalign.policy import Answers, Policy

if TYPE_CHECKING:
    from torch import Tensor


class Likelihood(Objective):
    """The loss of a language model: minus the mean log-probability of a text's tokens."""

    name: ClassVar[str] = "likelihood"
    source: ClassVar[str] = "Burns et al. 2023, arXiv 2312.09390, generative supervision of reward models"
    needs_reference: ClassVar[bool] = False

    def __call__(self, logits: Tensor, labels: Tensor, *, progress: float, context: Tensor | None) -> Tensor:
        """See Objective; of a text the second logit is its score."""
        return -logits[..., 1]

    def score(self, said: Said, beta: float) -> Tensor:
        """Return the mean log-probability of a token."""
        return said.logprob / said.tokens


def speaker(network: Network) -> Policy:
    """Return the language model that shares a network's body, as what learns to say texts.

    Raises:
        ModelError: the body is no language model.
    """
    policy = Policy(network.backbone, network.precision, Likelihood(), 1.0, network.acting)
    policy.settle = network.settle
    return policy


def sayings(reading: Reading) -> tuple[Answers, Labels]:
    """Return texts as answers to their own first token; each weighs as many tokens as are said."""
    said = [ids for ids in reading.ids if len(ids) > 1]
    answers = Answers([ids[:1] for ids in said], [[ids[1:]] for ids in said], reading.truncated)
    tokens = np.array([len(ids) - 1 for ids in said], dtype=np.float32)
    return answers, Labels(np.tile(np.array([0, 1], dtype=np.float32), (len(said), 1)), tokens, "the texts themselves")
