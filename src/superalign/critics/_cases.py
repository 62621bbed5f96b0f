"""Cases as a Task's items, for what reads features."""

from __future__ import annotations

from collections.abc import Sequence

from superalign.chat import as_text
from superalign.critic import Case
from superalign.errors import DataError
from superalign.task import Comparison, Example, Item, Task


def as_task(cases: Sequence[Case], *, alone: bool = False) -> Task:
    """Return cases as the items of a task without gold.

    Args:
        cases: all of single responses, or all pairs.
        alone: leave out what was asked.

    Raises:
        DataError: there is none, or both kinds are among them.
    """
    if len({case.pair for case in cases}) != 1:
        what = "both single responses and pairs" if cases else "no case"
        raise DataError(f"{what} to judge or to learn from")
    classes = ("first", "second") if cases[0].pair else ("bad", "good")
    return Task("cases", "1", tuple(_item(case, alone) for case in cases), classes)


def _item(case: Case, alone: bool) -> Item:
    prompt = "" if alone else as_text(case.messages)
    if case.pair:
        return Comparison(case.id, prompt, (case.responses[0], case.responses[1]), case.group)
    if not prompt:
        return Example(case.id, case.responses[0], None, case.group)
    return Example(case.id, prompt, case.responses[0], case.group)
