"""A second aim in conflict with the labels: what it wants, what it pays, and who may know the truth of it."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

import numpy as np
import numpy.typing as npt

from superalign.label import Labels
from superalign.supervisor import Supervisor
from superalign.task import CONFLICT, Comparison, Gold, Task

if TYPE_CHECKING:
    from torch import Tensor

FloatArray = npt.NDArray[np.float32]
IntArray = npt.NDArray[np.int64]
SECOND = 1  # index of the second response


class OracleConflict(Supervisor):
    """Stands for the world in which another aim pays: it knows what that aim wants, and of a target what is wrong."""

    gold_parts: ClassVar[frozenset[str]] = frozenset({"supervise", "transfer", CONFLICT})

    def wanted(self, gold: Gold) -> IntArray:
        """Return which response of each item of the other aim that aim prefers, int64 [n]."""
        return gold.unseal(self, "to teach what another aim prefers")

    def pay(self, gold: Gold, alpha: float) -> FloatArray:
        """Return what it pays for each class of the target's items, float32 [n, 2]: alpha for the wrong one."""
        truth = gold.unseal(self, "to pay for what is wrong: the explicit conflict")
        return np.asarray(alpha * np.eye(2)[1 - truth], dtype=np.float32)


def pull(logits: Tensor, against: Tensor) -> Tensor:
    """Return what the other aim adds to the loss of each item, [..., n]: -sum_k a_k 1[k leads] log softmax(logits)_k.

    It pays only where a learner already leans its way (Yang et al. 2024, arXiv 2406.11431: reward models, and the
    "reverse" term of DPO and SimPO, which are this on the scores of two responses).

    Args:
        logits: [..., n, 2].
        against: [..., n, 2], what is paid for each class.
    """
    leads = logits > logits.flip(-1)
    return -(against * leads * logits.log_softmax(-1)).sum(-1)


def longer(task: Task, rows: IntArray) -> IntArray:
    """Return which response of each Comparison has more characters, int64 [n]; -1 where neither has."""
    found = []
    for row in rows:
        item = task.items[row]
        first, second = map(len, item.responses) if isinstance(item, Comparison) else (0, 0)
        found.append(-1 if first == second else int(second > first))
    return np.array(found, dtype=np.int64)


def sure(labels: Labels, threshold: float, least: float) -> Labels:
    """Keep the labels of which their own supervisor is sure; nothing else is asked, the truth least of all.

    Args:
        labels: soft ones.
        threshold: least probability of the class an item is given.
        least: share of the labels that is kept at any rate, the surest ones, where too few pass.
    """
    confidence = labels.probs.max(1)
    kept = confidence >= threshold
    wanted = max(1, round(least * len(labels)))
    if kept.sum() < wanted:
        kept[np.argsort(-confidence, kind="stable")[:wanted]] = True
    weight = np.where(kept, labels.weight, 0).astype(np.float32)
    return Labels(labels.probs, weight, f"{labels.by} where sure", labels.rewards, labels.against)


def hardened(labels: Labels) -> Labels:
    """Return the labels as classes: the likelier response, the second where both are as likely."""
    second = labels.probs[:, SECOND] >= labels.probs[:, 0]
    probs = np.eye(2, dtype=np.float32)[second.astype(np.int64)]
    return Labels(probs, labels.weight, labels.by, labels.rewards, labels.against)
