"""Early stopping: legal on held-out labels of the learner's own supervisor, or, named so, by an oracle."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
import numpy.typing as npt

from superalign.errors import DataError
from superalign.label import Labels
from superalign.network import Readable, Trainee
from superalign.task import Gold, GoldReader

if TYPE_CHECKING:
    from torch import Tensor

IntArray = npt.NDArray[np.int64]
LOOKS = 10  # at the held-out items in the course of a training


class EarlyStop:
    """Keeps the parameters that agree best with held-out labels; ties go to the lower cross-entropy.

    Args:
        reading: all items of the lesson.
        rows: the held-out ones.
        labels: of the held-out items, in that order.
        budget: tokens computed at once.
    """

    def __init__(self, reading: Readable, rows: IntArray, labels: Labels, budget: int) -> None:
        self.reading, self.rows, self.labels, self.budget = reading, rows, labels, budget
        self.best_step, self.best = 0, (-np.inf, -np.inf)
        self.state: list[Tensor] = []

    def observe(self, step: int, steps: int, network: Trainee[Any]) -> None:
        """Look at the held-out items every tenth of the training and at its end."""
        if step != steps and step % max(1, round(steps / LOOKS)):
            return
        score = self._score(network)
        if score > self.best:
            self.best, self.best_step, self.state = score, step, network.state()

    def restore(self, network: Trainee[Any]) -> dict[str, Any]:
        """Give the network its best parameters back and say which they were."""
        network.restore(self.state)
        return {"held_out": len(self.rows), "best_step": self.best_step, "agreement": self.best[0]}

    def _score(self, network: Trainee[Any]) -> tuple[float, float]:
        probs = network.probs(self.reading, self.rows, self.budget)
        share = self.labels.weight / self.labels.weight.sum()
        agreement = share @ (probs.argmax(1) == self.labels.argmax)
        entropy = -share @ (self.labels.probs * np.log(np.maximum(probs, 1e-9))).sum(1)
        return float(agreement), -float(entropy)


class OracleEarlyStop(GoldReader):
    """Reads the truth of the held-out items: a diagnostic of what early stopping could give, not a method."""

    gold_parts: ClassVar[frozenset[str]] = frozenset({"supervise", "transfer"})

    def labels(self, gold: Gold, k: int) -> Labels:
        """Return one-hot labels of k classes."""
        return Labels.hard(gold.unseal(self, "to choose the training step (oracle early stop)"), k, type(self).__name__)


def hold_out(groups: npt.NDArray[np.str_], share: float, seed: int) -> IntArray:
    """Return the rows to hold out: about `share` of the groups, each whole, one at least and never all.

    Raises:
        DataError: there is one group only.
    """
    names = np.unique(groups)
    if len(names) < 2:
        why = "all items to learn from are of one group"
        raise DataError("early stopping has nothing to hold out", why=why, fix="stop=never")
    n = min(max(1, round(len(names) * share)), len(names) - 1)
    return np.flatnonzero(np.isin(groups, np.random.default_rng(seed).permutation(names)[:n]))
