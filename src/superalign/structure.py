"""A Structure says where the errors in a supervisor's labels are, while their number stays the same."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Annotated, Any, ClassVar, Literal, NamedTuple

import numpy as np
import numpy.typing as npt

from superalign.config import Component
from superalign.errors import DataError
from superalign.noise import other_class
from superalign.registry import Registry, chosen
from superalign.supervisor import Supervisor
from superalign.task import Gold

BoolArray = npt.NDArray[np.bool_]
FloatArray = npt.NDArray[np.float32]
IntArray = npt.NDArray[np.int64]
Match = Literal["class", "rate"]
"""What all structures have alike: the errors of each true class, or only their number."""


@dataclass(frozen=True)
class Scene:
    """What a structure may look at: the items of the transfer and test parts.

    Args:
        truth: int64 [n].
        weak: float32 [n, k], what the weak model says.
        lengths: int64 [n], characters that a model reads for the item.
        transfer: which of the items are of the transfer part, [n]; the others are of the test part.
        ceiling: returns float32 [n, k], what the strong model says after it learnt the truth of other transfer items.
        narrow: returns float32 [n, k], what a probe on the first so many features of the strong model says after it
            learnt the truth of the supervise part.
        width: features of the strong model; 0 where no structure asked for them.
    """

    truth: IntArray
    weak: FloatArray
    lengths: IntArray
    transfer: BoolArray
    ceiling: Callable[[], FloatArray]
    narrow: Callable[[int], FloatArray]
    width: int = 0

    @property
    def said(self) -> IntArray:
        """The class that the weak model gives each item, [n]."""
        return np.asarray(self.weak.argmax(1), dtype=np.int64)

    @property
    def wrong(self) -> BoolArray:
        """Which items the weak model gets wrong, [n]."""
        return np.asarray(self.said != self.truth)


class Placed(NamedTuple):
    """Where the errors belong."""

    order: npt.NDArray[np.floating[Any]]
    """[n]: the items with the highest values are labelled wrongly; ties are drawn."""
    instead: IntArray | None = None
    """The class [n] that an item gets where its label is wrong; None leaves it to the supervisor."""
    natural: BoolArray | None = None
    """Which items are wrong without being made so, [n]; None where that means nothing."""
    facts: Mapping[str, float] | None = None
    """What was decided, for the record."""


class Structure(Component, ABC):
    """Base of the structures."""

    source: ClassVar[str]
    """Paper and section."""
    needs_features: ClassVar[bool] = False
    """Whether it looks at what the strong model knows."""

    @property
    def remark(self) -> str:
        """What stands behind every item, `{label}` for what the supervisor says of it; empty for nothing."""
        return ""

    @abstractmethod
    def place(self, scene: Scene) -> Placed:
        """Say which items are to be labelled wrongly first."""


structures: Registry[Structure] = Registry("structure", "superalign.structures", Structure)
StructureChoice = Annotated[Structure, *chosen(structures)]


@dataclass(frozen=True)
class Misled:
    """Labels with errors in given places.

    Args:
        classes: int64 [n], of the items of the scene.
        facts: of the transfer part `errors`, their shares that are `shared` with the weak model and, where that means
            something, `natural`; and those of Placed.
    """

    classes: IntArray
    facts: Mapping[str, float]


class OracleStructure(Supervisor):
    """Makes as many errors as a weak model does, elsewhere: for experiments, as it must know the truth for that.

    Of the transfer part these are labels to learn from. Of the test part they are what the same supervisor would say
    there, with which a learner's answers are compared; nothing learns from them.

    Args:
        structure: where the errors are.
        match: `class`: every true class has as many errors as the weak model makes in it, and, unless the structure
            says which classes stand in their place, the same wrong labels, dealt anew. `rate`: only the number is the
            same; wrong labels are drawn, all other classes alike. Comparisons always have `rate`, as which response
            stands first means nothing.
    """

    gold_parts: ClassVar[frozenset[str]] = frozenset({"supervise", "transfer", "test"})

    def __init__(self, structure: Structure, match: Match) -> None:
        self.structure, self.match = structure, match

    def truth(self, gold: Gold) -> IntArray:
        """Return the truth of a part, int64 [n]."""
        return gold.unseal(self, "to place a supervisor's errors")

    def label(self, scene: Scene, *, seed: int, pairwise: bool) -> Misled:
        """Return the labels of a scene's items: in each part exactly as many are wrong as of the weak model's.

        Raises:
            DataError: the structure looks at the strong model's features, and there are none.
        """
        if self.structure.needs_features and not scene.width:
            raise DataError(f"structure '{self.structure}' needs the features of the strong model")
        rng, placed = np.random.default_rng(seed), self.structure.place(scene)
        k, by_class = scene.weak.shape[1], self.match == "class" and not pairwise
        classes = scene.truth.copy()
        for rows in _strata(scene, by_class):
            errors = rows[scene.wrong[rows]]
            shuffled = rng.permutation(rows)
            first = shuffled[np.argsort(-placed.order[shuffled], kind="stable")[: len(errors)]]
            if placed.instead is not None:
                classes[first] = placed.instead[first]
            elif by_class:
                classes[first] = rng.permutation(scene.said[errors])
            else:
                classes[first] = other_class(scene.truth[first], k, rng)
        made = scene.transfer & (classes != scene.truth)
        facts = {"errors": int(made.sum()), "shared": _share(scene.wrong[made])}
        natural = {} if placed.natural is None else {"natural": _share(placed.natural[made])}
        return Misled(classes, {**facts, **natural, **(placed.facts or {})})


def _strata(scene: Scene, by_class: bool) -> Iterator[IntArray]:
    """Yield the items that are matched among each other: those of one part, or of one part and true class."""
    for part in (scene.transfer, ~scene.transfer):
        for kind in np.unique(scene.truth[part]) if by_class else [None]:
            yield np.flatnonzero(part if kind is None else part & (scene.truth == kind))


def _share(hit: BoolArray) -> float:
    return float(hit.mean()) if len(hit) else 1.0
