"""Cases as a Task's items, for what reads features."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

from superalign.chat import as_text
from superalign.critic import Case
from superalign.errors import DataError
from superalign.task import Comparison, Example, Item, Task


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


def named(texts: Sequence[str]) -> str:
    """Return a digest of texts, whatever stands in them."""
    return hashlib.sha256(repr(tuple(texts)).encode("utf-8", "surrogatepass")).hexdigest()
