"""How experts stand in each other's way, measured on what each changed in the same weights."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple

import numpy as np

from superalign.merging.matrix import dense, spectrum
from superalign.merging.tensors import Float, LowRank
from superalign.store import Array

LARGE = 0.2  # share of a matrix whose elements count as its large ones, as in TIES
Changes = Mapping[str, LowRank]
"""What an expert changed, by layer."""


class Between(NamedTuple):
    """Two experts.

    Args:
        cosine: of what they changed, all layers as one vector.
        conflict: share of the elements that both changed whose signs differ.
        conflict_large: the same among elements that are large (the top fifth of their matrix) in both.
        overlap: mean squared cosine of the angles between the subspaces that they write to and read from, from 0
            (orthogonal) to 1; mean over layers and both sides.
    """

    cosine: float
    conflict: float
    conflict_large: float
    overlap: float


def changes(tensors: Mapping[str, Array], scale: float) -> dict[str, LowRank]:
    """Return what an adapter changes, by layer, from its tensors as peft names them.

    Args:
        tensors: `....lora_A.weight` [r, n] and `....lora_B.weight` [m, r].
        scale: by which their product is multiplied.
    """
    names = sorted(name.removesuffix(".lora_A.weight") for name in tensors if name.endswith(".lora_A.weight"))
    return {
        name: LowRank(np.float32(scale) * tensors[f"{name}.lora_B.weight"], tensors[f"{name}.lora_A.weight"])
        for name in names
    }


def between(one: Changes, other: Changes) -> Between:
    """Compare two experts, layer by layer; a layer that one did not change counts for nothing."""
    inner = norms = 0.0
    both, differ, large, differ_large = 0, 0, 0, 0
    overlaps = []
    squares = [sum(_inner(part, part) for part in each.values()) for each in (one, other)]
    for name in one.keys() & other.keys():
        inner += _inner(one[name], other[name])
        a, b = dense(one[name]), dense(other[name])
        changed, apart = (a != 0) & (b != 0), np.sign(a) != np.sign(b)
        top = changed & _largest(a) & _largest(b)
        both, differ = both + int(changed.sum()), differ + int((changed & apart).sum())
        large, differ_large = large + int(top.sum()), differ_large + int((top & apart).sum())
        overlaps += [*_overlaps(one[name], other[name])]
    norms = float(np.sqrt(squares[0] * squares[1]))
    return Between(
        inner / norms if norms else 0.0,
        differ / both if both else 0.0,
        differ_large / large if large else 0.0,
        float(np.mean(overlaps)) if overlaps else 0.0,
    )


def singular_interference(experts: Sequence[Changes]) -> float:
    """Return ||(U'U - I) S (V'V - I)||_1 / ||S||_1, mean over layers, of all experts' singular vectors side by side.

    The numerator is the singular task interference of Gargiulo et al. 2024 (arXiv 2412.00081); it is 0 where the
    experts' subspaces are orthogonal. That it is taken relative to the singular values is ours.
    """
    found = []
    for name in sorted({name for one in experts for name in one}):
        parts = [spectrum(one[name]) for one in experts if name in one]
        u, v = (np.concatenate(side, axis=1) for side in zip(*((p.u, p.v) for p in parts), strict=True))
        s = np.concatenate([part.s for part in parts])
        if s.sum() > 0:
            eye = np.eye(len(s), dtype=np.float32)
            found.append(float(np.abs((u.T @ u - eye) * s @ (v.T @ v - eye)).sum() / s.sum()))
    return float(np.mean(found)) if found else 0.0


def _inner(one: LowRank, other: LowRank) -> float:
    """Return the inner product of two changes, from their factors."""
    return float(((one.b.T @ other.b).astype(np.float64) * (one.a @ other.a.T)).sum())


def _largest(values: Float) -> Array:
    size = np.abs(values)
    count = max(1, int(LARGE * size.size))
    return np.asarray(size >= np.partition(size, size.size - count, axis=None)[size.size - count])


def _overlaps(one: LowRank, other: LowRank) -> Iterator[float]:
    """Yield the overlap of the columns' spaces, and of the rows'."""
    a, b = spectrum(one), spectrum(other)
    least = min(len(a.s), len(b.s))
    if least:
        yield float((np.square(a.u.T @ b.u)).sum() / least)
        yield float((np.square(a.v.T @ b.v)).sum() / least)
