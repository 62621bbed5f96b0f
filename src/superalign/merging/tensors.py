"""One tensor of the base and of every expert, as a merge method sees it: deltas in blocks of whole rows, or factors."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import numpy.typing as npt

if TYPE_CHECKING:
    from superalign.merging.method import Method

Float = npt.NDArray[np.float32]
Bits = npt.NDArray[np.uint32]
Doubles = npt.NDArray[np.float64]
Rows = Callable[[slice], Float]
"""From rows to a fresh array of them, [rows, columns]: a tensor that is read when it is asked for."""
BLOCK = 1 << 17  # elements: one block of fp32 and the like of it stay in a core's cache


class LowRank(NamedTuple):
    """A delta as factors: b @ a.

    Args:
        b: [m, r].
        a: [r, n].
    """

    b: Float
    a: Float

    @property
    def rank(self) -> int:
        """Number of columns of b."""
        return int(self.b.shape[1])

    def rows(self, rows: slice) -> Float:
        """Return rows of the product, [rows, n]."""
        return self.b[rows] @ self.a


@dataclass(frozen=True)
class Stack:
    """What a tensor of one name is in the base and in T experts, and how each expert's part of it is merged.

    A tensor of any shape is seen as [rows, columns]: its first dimension, and all others flattened. One of less than
    two dimensions is one row.

    Args:
        name: of the tensor.
        shape: of the tensor.
        base: the base's rows; None where there is none, and then an expert's delta is its tensor.
        experts: for each expert its own rows, or the factors of its delta.
        own: the method, with each expert's own settings.
        weights: of the experts.
        statistics: for each expert the rows of what was measured of it (see `statistics.py`); None where nothing was.
        seed: of what is drawn.
        block: elements of a block, about.
    """

    name: str
    shape: tuple[int, ...]
    base: Rows | None
    experts: tuple[Rows | LowRank, ...]
    own: tuple[Any, ...]
    weights: tuple[float, ...]
    statistics: tuple[Rows | None, ...] = field(default=())
    seed: int = 0
    block: int = BLOCK

    def __len__(self) -> int:
        return len(self.experts)

    @property
    def is_matrix(self) -> bool:
        """Whether the tensor has two dimensions."""
        return len(self.shape) == 2

    @property
    def rows(self) -> int:
        """Number of rows."""
        return self.shape[0] if len(self.shape) > 1 else 1

    @property
    def columns(self) -> int:
        """Number of columns."""
        return math.prod(self.shape[1:]) if len(self.shape) > 1 else math.prod(self.shape)

    @property
    def size(self) -> int:
        """Number of elements."""
        return math.prod(self.shape)

    def blocks(self) -> Iterator[slice]:
        """Yield all rows, in blocks; which ones depends on the shape alone."""
        step = max(1, self.block // max(1, self.columns))
        for start in range(0, self.rows, step):
            yield slice(start, min(start + step, self.rows))

    def start(self, rows: slice) -> Float:
        """Return rows of the base, [rows, columns]; zeros where there is none."""
        if self.base is None:
            return np.zeros((rows.stop - rows.start, self.columns), dtype=np.float32)
        return self.base(rows)

    def deltas(self, rows: slice) -> list[Float]:
        """Return, for each expert, rows of what it changed, [rows, columns]; the caller may change the arrays."""
        base = None
        found = []
        for expert in self.experts:
            if isinstance(expert, LowRank):
                found.append(expert.rows(rows))
                continue
            delta = expert(rows)
            if self.base is not None:
                base = self.base(rows) if base is None else base
                np.subtract(delta, base, out=delta)
            found.append(delta)
        return found

    def whole(self) -> list[Float]:
        """Return the whole deltas, [rows, columns] each."""
        return self.deltas(slice(0, self.rows))

    def factors(self) -> list[LowRank] | None:
        """Return the factors of all deltas; None where one is dense."""
        found = [expert for expert in self.experts if isinstance(expert, LowRank)]
        return found if len(found) == len(self.experts) else None

    def draw(self, expert: int, rows: slice) -> np.random.SFC64:
        """Return the source of random bits for a block of an expert: it depends on name, seed and place alone."""
        key = hashlib.sha256(f"{self.seed}|{expert}|{rows.start}|{self.name}".encode()).digest()
        return np.random.SFC64(np.random.SeedSequence(np.frombuffer(key, np.uint32).tolist()))


def stack(
    method: Method,
    experts: Sequence[Float | LowRank],
    base: Float | None = None,
    weights: Sequence[float] | None = None,
    statistics: Sequence[Float | None] = (),
    name: str = "tensor",
    seed: int = 0,
    block: int = BLOCK,
) -> Stack:
    """Return a stack of arrays in memory, each expert with the settings of the method."""
    shapes = [one.shape for one in experts if not isinstance(one, LowRank)]
    shape = shapes[0] if shapes else (len(experts[0][0]), experts[0][1].shape[1])
    return Stack(
        name=name,
        shape=tuple(shape),
        base=None if base is None else _reader(base),
        experts=tuple(one if isinstance(one, LowRank) else _reader(one) for one in experts),
        own=(method,) * len(experts),
        weights=tuple(weights if weights is not None else [1.0] * len(experts)),
        statistics=tuple(None if one is None else _reader(one) for one in statistics),
        seed=seed,
        block=block,
    )


def _reader(array: Float) -> Rows:
    flat = array.reshape(array.shape[0] if array.ndim > 1 else 1, -1)
    return lambda rows: flat[rows].astype(np.float32)


def kept(bits: np.random.SFC64, share: float | Doubles, shape: tuple[int, ...]) -> npt.NDArray[np.bool_]:
    """Return a mask, [rows, columns], in which each element is true with the probability `share`, all independent.

    One random byte an element decides, but for the one value in 256 that is a tie: there, 53 further bits do. So the
    probability is exact to 2^-61.

    Args:
        bits: where the bits come from.
        share: one probability, or one for each column.
        shape: of the mask.
    """
    size = shape[0] * shape[1]
    drawn = bits.random_raw(-(-size // 8)).astype("<u8", copy=False).view(np.uint8)[:size].reshape(shape)
    scaled = np.asarray(share, dtype=np.float64) * 256
    whole = np.minimum(scaled, 255).astype(np.uint8)
    mask, rest = drawn < whole, scaled - whole
    if not rest.any():
        return mask
    ties = np.flatnonzero(drawn == whole)
    rest = rest if rest.ndim == 0 else rest[ties % shape[1]]
    mask.reshape(-1)[ties] = (bits.random_raw(len(ties)) >> np.uint64(11)) * 2.0**-53 < rest
    return mask


def remembered(read: Rows) -> Rows:
    """Return a reader that keeps the last block it gave, for who asks for a block twice; nobody may change it."""
    last: dict[tuple[int, int], Float] = {}

    def reader(rows: slice) -> Float:
        place = (rows.start, rows.stop)
        if place in last:
            return last[place]
        last.clear()
        found = read(rows)
        if found.size <= 2 * BLOCK:
            found.flags.writeable = False
            last[place] = found
        return found

    return reader
