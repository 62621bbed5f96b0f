"""Cases as a Task's items, for what reads features; and which of a task's classes are good responses."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from superalign.chat import as_text
from superalign.critic import Case
from superalign.errors import DataError, did_you_mean
from superalign.task import Comparison, Example, Item, Task

BoolArray = npt.NDArray[np.bool_]
IntArray = npt.NDArray[np.int64]


def as_task(cases: Sequence[Case], *, alone: bool = False, within: int | None = None) -> Task:
    """Return cases as the items of a task without gold.

    Args:
        cases: all of single responses, or all pairs.
        alone: leave out what was asked.
        within: characters of each response to keep; None for all.

    Raises:
        DataError: there is none, or both kinds are among them.
    """
    if len({case.pair for case in cases}) != 1:
        what = "both single responses and pairs" if cases else "no case"
        raise DataError(f"{what} to judge or to learn from")
    classes = ("first", "second") if cases[0].pair else ("bad", "good")
    return Task("cases", "1", tuple(_item(case, alone, within) for case in cases), classes)


def _item(case: Case, alone: bool, within: int | None) -> Item:
    prompt, responses = "" if alone else as_text(case.messages), [text[:within] for text in case.responses]
    if case.pair:
        return Comparison(case.id, prompt, (responses[0], responses[1]), case.group)
    if not prompt:
        return Example(case.id, responses[0], None, case.group)
    return Example(case.id, prompt, responses[0], case.group)


def good_classes(task: Task, named: Sequence[str]) -> BoolArray:
    """Return which classes of a task are good responses; of two classes the last, unless others are named.

    Raises:
        DataError: there are more than two classes and none is named, or a name is wrong, or it is a task of pairs.
    """
    if task.pairwise:
        if named:
            raise DataError("'good' names classes of single responses, and this task has pairs", fix="leave it out")
        return np.array([False, True])
    for name in named:
        if name not in task.classes:
            raise DataError(f"'{name}' is no class of this task", fix=did_you_mean(name, task.classes))
    if not named and len(task.classes) > 2:
        why = f"it has the classes {', '.join(task.classes[:8])}"
        raise DataError(
            "which classes are good responses?", why=why, fix=f"name them as good, such as {task.classes[-1]}"
        )
    good = np.array([name in named if named else name == task.classes[-1] for name in task.classes])
    if good.all():
        raise DataError("all classes are called good, so there is nothing to tell apart")
    return good


def verdicts(task: Task, labels: IntArray, good: Sequence[str]) -> IntArray:
    """Return the right verdict of each item: 1 for good, or for the second of two."""
    return np.array(good_classes(task, good)[labels], dtype=np.int64)


def named(texts: Sequence[str]) -> str:
    """Return a digest of texts, whatever stands in them."""
    return hashlib.sha256(repr(tuple(texts)).encode("utf-8", "surrogatepass")).hexdigest()
