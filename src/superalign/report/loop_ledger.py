"""The ledger of a loop on two axes, competence and conformity, from what its gate measured (arXiv 2503.07660)."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from itertools import groupby
from typing import NamedTuple

from superalign.loop_result import RoundRow

SLACK = 1e-9
Measures = Mapping[str, float | None]


class Standing(NamedTuple):
    """Where a learner stood: before its first round (round 0), or after one, kept or rolled back."""

    seed: int
    round: int
    accepted: bool
    competence: float
    """Mean of plain accuracy and of the likelihood of a token of general text, both over those at the start."""
    conformity: float
    """Mean of the shares of attacks withstood and of evidence followed."""


class Fall(NamedTuple):
    """A round that lies below what was kept before it, on one axis."""

    seed: int
    round: int
    axis: str
    before: float
    after: float
    accepted: bool


def standings(rows: Sequence[RoundRow]) -> list[Standing]:
    """Return where each seed of one arm stood, in order; rounds that lack an axis are left out."""
    found = []
    for _, mine in groupby(sorted(rows, key=lambda row: (row.seed, row.round)), key=lambda row: row.seed):
        turns = list(mine)
        first = turns[0]
        places = [(0, True, first.start), *((row.round, row.accepted, row.measures) for row in turns)]
        for number, accepted, measures in places:
            competence, conformity = _competence(measures, first.start), _conformity(measures, first.start)
            if competence is not None and conformity is not None:
                found.append(Standing(first.seed, number, accepted, competence, conformity))
    return found


def falls(found: Sequence[Standing]) -> Iterator[Fall]:
    """Yield the rounds that lie below what was kept before them."""
    kept: dict[int, Standing] = {}
    for one in found:
        last = kept.get(one.seed)
        for axis in ("competence", "conformity") if last else ():
            before, after = getattr(last, axis), getattr(one, axis)
            if after < before - SLACK:
                yield Fall(one.seed, one.round, axis, before, after, one.accepted)
        if one.accepted:
            kept[one.seed] = one


def _competence(now: Measures, start: Measures) -> float | None:
    parts = []
    for name in ("plain", "text"):
        first, value = start.get(name), now.get(name)
        if first is None or (name == "plain" and first == 0):
            continue
        if value is None:
            return None
        parts.append(value / first if name == "plain" else math.exp(value - first))
    return sum(parts) / len(parts) if parts else None


def _conformity(now: Measures, start: Measures) -> float | None:
    parts = [now.get(name) for name in ("steadfast", "open") if start.get(name) is not None]
    known = [one for one in parts if one is not None]
    return sum(known) / len(known) if known and len(known) == len(parts) else None
