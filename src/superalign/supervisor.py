"""A Supervisor is anything that labels: a weak model, an oracle, a control."""

from __future__ import annotations

from dataclasses import replace
from typing import ClassVar

import numpy as np
import numpy.typing as npt

from superalign.label import Labels
from superalign.task import Gold, GoldReader

FloatArray = npt.NDArray[np.float32]
IntArray = npt.NDArray[np.int64]


class Supervisor(GoldReader):
    """Base of the supervisors: they may read gold of the supervise part, and of no other."""

    gold_parts: ClassVar[frozenset[str]] = frozenset({"supervise"})


class GroundTruth(Supervisor):
    """Gives the truth of the supervise part: what the weak supervisor itself, or a critic, is trained on."""

    def label(self, gold: Gold, k: int, why: str = "to train the weak supervisor") -> Labels:
        """Return one-hot labels of k classes."""
        return Labels.hard(gold.unseal(self, why), k, type(self).__name__)


class OracleSupervisor(Supervisor):
    """Gives the truth of the transfer part, which no real supervisor has: for the strong ceiling only."""

    gold_parts: ClassVar[frozenset[str]] = frozenset({"supervise", "transfer"})

    def label(self, gold: Gold, k: int) -> Labels:
        """Return one-hot labels of k classes."""
        return Labels.hard(gold.unseal(self, "to train the strong ceiling"), k, type(self).__name__)


class OracleExpert(Supervisor):
    """Stands in for a person: it answers what it is asked about the transfer part, each answer counted."""

    gold_parts: ClassVar[frozenset[str]] = frozenset({"supervise", "transfer"})

    def answers(self, gold: Gold) -> IntArray:
        """Return the right class of each item it is asked about, int64 [n]."""
        return gold.unseal(self, "to answer in a person's place")


class WeakSupervisor(Supervisor):
    """Gives what a weak model, trained on the supervise part, says about items it never saw."""

    def label(self, probs: FloatArray, weight: FloatArray | None = None, scores: FloatArray | None = None) -> Labels:
        """Return soft labels from the weak model's class probabilities [n, k].

        Args:
            probs: [n, k].
            weight: [n], where it has them.
            scores: of the responses, [n, s], where it judges them one by one: the rewards of the labels.
        """
        return replace(_soft(probs, weight, type(self).__name__), rewards=scores)


class ShuffledSupervisor(Supervisor):
    """The random-label control: the weak labels dealt to the wrong items, so that only their distribution is left."""

    def label(self, probs: FloatArray, weight: FloatArray | None = None, *, seed: int) -> Labels:
        """Return the rows of `probs` [n, k], each with its weight, in random order."""
        order = np.random.default_rng(seed).permutation(len(probs))
        return _soft(probs[order], None if weight is None else weight[order], type(self).__name__)


def _soft(probs: FloatArray, weight: FloatArray | None, by: str) -> Labels:
    return Labels.soft(probs, by) if weight is None else Labels(probs, weight, by)
