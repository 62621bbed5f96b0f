"""Which items of a task are attacked, and what is to be brought about in each."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from superalign.attacker import Goal
from superalign.task import Comparison, Item, Shares, Task, split

IntArray = npt.NDArray[np.int64]
Said = Sequence[Sequence[float] | None]
"""For each item log p of its two responses when asked plainly; None where the model did not answer."""
SHINGLE = 3  # words
NEAR = 0.8


class Drawn(NamedTuple):
    """Item indices, int64: of the goals that are attacked, and of others that an attack may learn from.

    `near` counts the examples that were left out because they nearly repeat a goal.
    """

    goals: IntArray
    examples: IntArray
    near: int


def drawn(task: Task, shares: Shares, seed: int, goals: int, examples: int) -> Drawn:
    """Draw goals from the test part and examples from the transfer part, one item a group where there are enough.

    An example that nearly repeats a goal (Jaccard similarity of word 3-grams of 0.8 or more) is left out.
    """
    parts = split(task, shares, seed)
    chosen = draw(task, parts.test, goals, seed)
    known = [_shingles(task.items[index]) for index in chosen]
    other, near = list[int](), 0
    for index in draw(task, parts.transfer, len(parts.transfer), seed):
        if len(other) == examples:
            break
        mine = _shingles(task.items[index])
        if any(len(mine & one) >= NEAR * len(mine | one) for one in known):
            near += 1
        else:
            other.append(int(index))
    return Drawn(chosen, np.array(other, dtype=np.int64), near)


def goals_of(task: Task, items: IntArray, said: Said) -> list[Goal | None]:
    """Return each item's goal: of a Comparison to make the model prefer the response it does not prefer plainly.

    Args:
        task: the items.
        items: indices.
        said: of those items; not looked at where items are Examples.

    Returns:
        None where the model did not answer, or finds both responses equally likely.
    """
    found: list[Goal | None] = []
    for place, index in enumerate(items):
        item = task.items[index]
        group = item.group or item.id
        if not isinstance(item, Comparison):
            claim = str(item.tags.get("opening", ""))
            found.append(Goal(item.id, item.prompt, claim, "", group, item.tags))
            continue
        both = said[place]
        if both is None or both[0] == both[1]:
            found.append(None)
            continue
        own = int(both[1] > both[0])
        found.append(Goal(item.id, item.prompt, item.responses[1 - own], item.responses[own], group, item.tags))
    return found


def draw(task: Task, part: IntArray, n: int, seed: int) -> IntArray:
    """Return n items of a part in random order, the first of every group before the second of any."""
    groups = task.groups()
    order = sorted(part.tolist(), key=lambda i: hashlib.sha256(f"{seed}/{task.items[i].id}".encode()).digest())
    turn: dict[str, int] = {}
    ranked = []
    for place, index in enumerate(order):
        turn[groups[index]] = turn.get(groups[index], -1) + 1
        ranked.append((turn[groups[index]], place, index))
    return np.array([index for *_, index in sorted(ranked)[:n]], dtype=np.int64)


def _shingles(item: Item) -> set[tuple[str, ...]]:
    words = " ".join([item.prompt, *(item.responses if isinstance(item, Comparison) else ())]).casefold().split()
    return {tuple(words[start : start + SHINGLE]) for start in range(max(1, len(words) - SHINGLE + 1))}
