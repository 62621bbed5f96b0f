"""Labels are class probabilities with a weight for each item and the name of who gave them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from superalign.errors import DataError

FloatArray = npt.NDArray[np.float32]
IntArray = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Labels:
    """Noisy or true supervision of n items over k classes.

    Args:
        probs: float32 [n, k], rows sum to 1.
        weight: float32 [n], not negative.
        by: who gave them, for the record.
        rewards: float32 [n, s], what each of an item's s responses is worth to who gave the labels, in nats; or None.
        against: float32 [n, 2], not negative: what another aim pays for each class, where one is in conflict with
            these labels (`conflict.pull`); or None.
    """

    probs: FloatArray
    weight: FloatArray
    by: str
    rewards: FloatArray | None = None
    against: FloatArray | None = None

    def __post_init__(self) -> None:
        if self.probs.ndim != 2 or self.weight.shape != self.probs.shape[:1]:
            raise DataError(f"labels by {self.by}: shapes {self.probs.shape} and {self.weight.shape} do not fit")
        if not np.isfinite(self.probs).all() or not np.isfinite(self.weight).all():
            raise DataError(f"labels by {self.by} hold NaN or infinity")
        if (self.probs < 0).any() or not np.allclose(self.probs.sum(1), 1, atol=1e-3):
            raise DataError(f"labels by {self.by} are not probabilities: rows must sum to 1")
        if (self.weight < 0).any():
            raise DataError(f"labels by {self.by} hold a negative weight")
        if self.against is not None and not (self.against.shape == (len(self), 2) and (self.against >= 0).all()):
            raise DataError(f"labels by {self.by}: another aim pays for two classes, and nothing below 0")
        if self.rewards is None:
            return
        if self.rewards.ndim != 2 or len(self.rewards) != len(self.probs):
            raise DataError(f"labels by {self.by}: {len(self)} items and rewards {self.rewards.shape} do not fit")
        if not np.isfinite(self.rewards).all():
            raise DataError(f"labels by {self.by} hold rewards that are NaN or infinity")

    @classmethod
    def soft(cls, probs: FloatArray, by: str) -> Labels:
        """Probabilities with equal weights."""
        probs = np.asarray(probs, dtype=np.float32)
        return cls(probs, np.ones(len(probs), dtype=np.float32), by)

    @classmethod
    def hard(cls, classes: IntArray, k: int, by: str) -> Labels:
        """One-hot labels from class indices [n]."""
        return cls.soft(np.eye(k, dtype=np.float32)[classes], by)

    def one_by_one(self) -> Labels:
        """Return preferences [n, 2] as labels of single responses [2n, 2]: bad or good, the preferred one is good."""
        good = self.probs.reshape(-1, 1)
        rewards = None if self.rewards is None else self.rewards.reshape(-1, 1)
        return Labels(np.concatenate([1 - good, good], axis=1), np.repeat(self.weight, 2), self.by, rewards)

    def __len__(self) -> int:
        return len(self.probs)

    @property
    def argmax(self) -> IntArray:
        """The class each item is given, int64 [n]."""
        return np.asarray(self.probs.argmax(1), dtype=np.int64)
