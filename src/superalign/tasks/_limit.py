"""Keeping fewer rows: a bounded draw of whole groups, and equal classes."""

from __future__ import annotations

import hashlib
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from heapq import heappop, heappush

from superalign.task import Comparison
from superalign.tasks._convert import Draft


def limited(drafts: Iterable[Draft], limit: int | None, seed: int) -> list[Draft]:
    """Return at most `limit` drafts in their order, whole groups drawn by a hash; memory holds no more than these."""
    if limit is None:
        return list(drafts)
    groups: dict[str, list[tuple[int, Draft]]] = {}
    heap: list[tuple[int, str]] = []
    total, barred = 0, 1 << 64
    for number, draft in enumerate(drafts):
        group, rank = draft.item.group, _rank(draft.item.group, seed)
        if rank >= barred:
            continue
        if group not in groups:
            groups[group] = []
            heappush(heap, (-rank, group))
        groups[group].append((number, draft))
        total += 1
        while total > limit:
            worst, name = heappop(heap)
            total -= len(groups.pop(name))
            barred = -worst
    return [draft for _, draft in sorted((row for rows in groups.values() for row in rows), key=lambda row: row[0])]


def balanced(drafts: Sequence[Draft], seed: int) -> tuple[list[Draft], list[str]]:
    """Return drafts with as many of each class as its smallest has, in every part, and a note on what was left out."""
    if any(isinstance(draft.item, Comparison) for draft in drafts):
        return list(drafts), []
    cells: dict[tuple[str | None, int], list[int]] = defaultdict(list)
    for index, draft in enumerate(drafts):
        cells[draft.part, int(draft.label)].append(index)
    smallest: Counter[str | None] = Counter()
    for (part, _), indices in cells.items():
        smallest[part] = min(smallest[part] or len(drafts), len(indices))
    keep = sorted(
        index
        for (part, _), indices in cells.items()
        for index in sorted(indices, key=lambda i: _rank(drafts[i].item.id, seed))[: smallest[part]]
    )
    left_out = len(drafts) - len(keep)
    note = [f"balance left out {left_out:,} rows of the larger classes"] if left_out else []
    return [drafts[index] for index in keep], note


def _rank(name: str, seed: int) -> int:
    return int.from_bytes(hashlib.sha256(f"{seed}/{name}".encode()).digest()[:8])
