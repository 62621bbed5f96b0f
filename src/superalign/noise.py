"""A Noise corrupts true labels in a known way, so that what finds or withstands wrong labels can be scored."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Annotated, ClassVar

import numpy as np
import numpy.typing as npt

from superalign.config import Component
from superalign.errors import DataError
from superalign.label import Labels
from superalign.registry import Registry, chosen
from superalign.supervisor import Supervisor
from superalign.task import Gold

FloatArray = npt.NDArray[np.float32]
IntArray = npt.NDArray[np.int64]


class Noise(Component, ABC):
    """Base of the kinds of noise: a pure function of true classes, features and a seed."""

    source: ClassVar[str]
    """Paper and equation."""
    needs_features: ClassVar[bool] = False
    """Whether which labels are wrong depends on the items."""

    @abstractmethod
    def corrupt(
        self, truth: IntArray, k: int, rng: np.random.Generator, features: FloatArray | None, pairwise: bool
    ) -> IntArray:
        """Return the noisy class of each item, int64 [n]; see OracleNoise.label."""


noises: Registry[Noise] = Registry("noise", "superalign.noises", Noise)
NoiseChoice = Annotated[Noise, *chosen(noises)]


class OracleNoise(Supervisor):
    """Gives the truth of any trained-on part with known noise in it: for experiments, as no real supervisor knows it.

    Args:
        noise: what it does to the truth.
    """

    gold_parts: ClassVar[frozenset[str]] = frozenset({"supervise", "transfer"})

    def __init__(self, noise: Noise) -> None:
        self.noise = noise

    def label(
        self, gold: Gold, k: int, *, seed: int = 0, features: FloatArray | None = None, pairwise: bool = False
    ) -> Labels:
        """Return one-hot labels of k classes, some of them wrong; the same seed gives the same ones.

        Args:
            gold: the sealed truth of n items.
            k: number of classes.
            seed: draws the items whose label is wrong, and to what.
            features: [n, d], for noise that depends on the items.
            pairwise: whether the items are Comparisons; the features are then the responses' differences.

        Raises:
            DataError: the noise needs features and there are none, or they are of other items.
        """
        if self.noise.needs_features and features is None:
            raise DataError(f"noise '{self.noise}' depends on the items: it needs their features")
        if features is not None and len(features) != len(gold):
            raise DataError(f"{len(features)} rows of features for {len(gold)} items")
        truth = gold.unseal(self, "to add known noise to it")
        noisy = self.noise.corrupt(truth, k, np.random.default_rng(seed), features, pairwise)
        return Labels.hard(noisy, k, f"{type(self).__name__}({self.noise})")


def other_class(classes: IntArray, k: int, rng: np.random.Generator) -> IntArray:
    """Return for each class another one, all others alike."""
    return np.asarray((classes + rng.integers(1, k, len(classes))) % k, dtype=np.int64)
