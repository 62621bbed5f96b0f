"""Parts by difficulty: learners see the easy items, and the hard ones test them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Annotated

import numpy as np
import numpy.typing as npt
from pydantic import AfterValidator

from superalign.errors import ConfigError, DataError, did_you_mean
from superalign.job import Inputs, Tools, step
from superalign.steps import Params
from superalign.store import Artifact
from superalign.task import Task

FloatArray = npt.NDArray[np.float64]
HARD = ("high", "low")
ASIDE = "aside"
"""The fixed part of items whose difficulty is not known: none of the three."""


def _known(difficulty: str) -> str:
    _, _, hard = difficulty.partition(":")
    if hard not in ("", *HARD):
        raise ConfigError(f"'{difficulty}' says that '{hard}' is hard", fix="write TAG:high (or TAG), or TAG:low")
    return difficulty


Difficulty = Annotated[str, AfterValidator(_known)]
"""A numeric tag, and which of its ends is hard: `rating`, `population:low`."""


@step(version=1)
def divide(params: Params, inputs: Inputs, tools: Tools) -> Artifact:
    """Return a task's items with the hardest groups fixed as the test part; each seed deals the others.

    Parameters: `difficulty`, `shares`. Input: `items`.
    """
    task = Task.from_meta(inputs["items"].meta)
    tag, _, hard = str(params["difficulty"]).partition(":")
    return Artifact(meta=divided(task, tag, hard == "low", params["shares"]).to_meta())


def divided(task: Task, tag: str, low: bool, shares: Sequence[int]) -> Task:
    """Fix the groups of the highest mean tag (or the lowest) as the test part.

    The cut lies between two values, where the test part's share of the items comes nearest to what is asked, so that
    nothing in one part is as hard as something in the other. Items without the tag are in no part.

    Raises:
        DataError: there is no such number, it is the same everywhere, or the source fixed the parts.
    """
    if any(task.fixed_parts):
        fix = "read one of its splits alone, such as hf:ID,split=train"
        raise DataError(f"the parts of '{task.name}' are fixed by its source, so none can be by difficulty", fix=fix)
    groups = np.array(task.groups())
    values = _means(_numbers(task, tag), groups)
    known = np.isfinite(values)
    levels = np.unique(values[known])
    if len(levels) < 2:
        raise DataError(f"'{tag}' is the same in every group: nothing is easier than the rest", where=task.name)
    cuts = levels[1:] if not low else levels[:-1]
    beyond = [values[known] <= cut if low else values[known] >= cut for cut in cuts]
    wanted = shares[2] / sum(shares)
    best = min(range(len(cuts)), key=lambda place: abs(float(beyond[place].mean()) - wanted))
    test = values <= cuts[best] if low else values >= cuts[best]
    parts = tuple("test" if one else None if seen else ASIDE for one, seen in zip(test, known, strict=True))
    easy = values[known & ~test]
    edge = f"{cuts[best]:g} or {'less' if low else 'more'}"
    rest = f"{easy.min():g} or more" if low else f"{easy.max():g} or less"
    said = [
        f"easy to hard: the test part is the items whose group has a mean '{tag}' of {edge}; the others have {rest}"
    ]
    if missing := int((~known).sum()):
        said.append(f"items without a number as '{tag}' are in no part: {missing:,}")
    return replace(task, fixed_parts=parts, warnings=(*task.warnings, *said))


def _numbers(task: Task, tag: str) -> FloatArray:
    """Return each item's tag, NaN where it is no number."""
    found = [item.tags.get(tag) for item in task.items]
    numbers = np.array([float("nan") if value is None or isinstance(value, str) else float(value) for value in found])
    if np.isfinite(numbers).any():
        return numbers
    numeric = {name for item in task.items for name, value in item.tags.items() if not isinstance(value, str)}
    fix = did_you_mean(tag, numeric) if numeric else "name a column of numbers: file:...,difficulty=COLUMN"
    raise DataError(f"no item of '{task.name}' has a number as '{tag}'", fix=fix)


def _means(values: FloatArray, groups: npt.NDArray[np.str_]) -> FloatArray:
    """Return for each item the mean of its group, NaN where none of it is known."""
    _, group = np.unique(groups, return_inverse=True)
    known = np.isfinite(values)
    counts = np.bincount(group[known], minlength=group.max() + 1)
    totals = np.bincount(group[known], values[known], group.max() + 1)
    means = np.divide(totals, counts, out=np.full(len(counts), np.nan), where=counts > 0)
    return np.asarray(means[group])
