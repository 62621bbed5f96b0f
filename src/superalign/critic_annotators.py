"""Agreement with single annotators, and theirs with one another, where a task's tags say who judged what."""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import partial
from itertools import combinations
from typing import Any

import numpy as np
import numpy.typing as npt

from superalign import agreement
from superalign.agreement import figure
from superalign.critic_result import Concord
from superalign.metric import Bootstrap
from superalign.result import Interval
from superalign.scoring import interval, share
from superalign.task import Task

BoolArray = npt.NDArray[np.bool_]
FloatArray = npt.NDArray[np.floating[Any]]
IntArray = npt.NDArray[np.int64]
ANNOTATOR = re.compile(r"annotator_\d+")


def concords(
    task: Task, rows: IntArray, good: BoolArray, bootstrap: Bootstrap, critics: Sequence[tuple[str, FloatArray]]
) -> list[Concord]:
    """Return the agreement of every two annotators, then of every critic with each annotator.

    Args:
        task: whose tags `annotator_1`, `annotator_2` and so on are one of its classes, or anything else for a tie.
        rows: the test part.
        good: which classes are good responses, or of pairs the second.
        bootstrap: of its groups, and of the seeds.
        critics: names, and what each said [seeds, n]; NaN is no verdict.
    """
    names = sorted({tag for row in rows for tag in task.items[row].tags if ANNOTATOR.fullmatch(tag)}, key=_number)
    said = {name: _classes(task, rows, name) for name in names}
    pairs = [(a, [said[a]], b, [said[b]]) for a, b in combinations(names, 2)]
    for critic, found in critics:
        mine = _verdicts(found)
        for name in names:
            told = np.where(said[name] >= 0, good[said[name]], -1).astype(np.int64)
            pairs.append((critic, mine, name, [told] * len(mine)))
    return [_concord(bootstrap, *pair) for pair in pairs]


def _concord(bootstrap: Bootstrap, a: str, mine: list[IntArray], b: str, others: list[IntArray]) -> Concord:
    """Compare two labellings of each seed; -1 is a tie or no verdict."""
    seeds = [(x, y, (x >= 0) & (y >= 0)) for x, y in zip(mine, others, strict=True)]
    same = [partial(agreement.share, x == y, among=known) for x, y, known in seeds]
    beyond = [agreement.among(known, partial(agreement.kappa, x[known], y[known])) for x, y, known in seeds]
    n = round(float(np.mean([known.sum() for _, _, known in seeds])))
    found, kappa = figure(bootstrap, same), figure(bootstrap, beyond)
    as_share: Interval | None = share(found) if found else None
    return Concord(a=a, b=b, same=as_share, kappa=interval(kappa) if kappa else None, n=n)


def _classes(task: Task, rows: IntArray, tag: str) -> IntArray:
    index = {name: place for place, name in enumerate(task.classes)}
    return np.array([index.get(str(task.items[row].tags.get(tag)), -1) for row in rows], dtype=np.int64)


def _verdicts(said: FloatArray) -> list[IntArray]:
    return [np.where(np.isnan(one), -1, one > 0.5).astype(np.int64) for one in said]


def _number(tag: str) -> int:
    return int(tag.rpartition("_")[2])
