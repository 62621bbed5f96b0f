"""The rows of files as they stand there, each with the items that hold its texts."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import islice

from superalign.task import Comparison, Item, Original, Task
from superalign.tasks._convert import Converter
from superalign.tasks._read import Row
from superalign.tasks._recognise import recognise
from superalign.tasks._rows import SAMPLE, Table
from superalign.tasks._tabular import Tabular
from superalign.tasks._texts import BadRowError, LeftOutError


def originals(tables: Iterable[Table], settings: Tabular, task: Task) -> Iterator[Original]:
    """Yield every row of the tables that a task was read from; reading leaves no text in two of its items.

    Args:
        tables: not read yet.
        settings: those the task was read with.
        task: what was made of them.
    """
    unclaimed = {_content(item): item.id for item in task.items}
    left_out = {row.where for row in task.dropped}
    converter: Converter | None = None
    for table in tables:
        rows = (row for row in table.rows if isinstance(row, Row))
        sample = list(islice(rows, SAMPLE)) if converter is None else []
        converter = converter or Converter(
            recognise([row.values for row in sample], settings, table.label), settings.seed
        )
        for row in (*sample, *rows):
            items: tuple[str, ...] = ()
            if row.where not in left_out:
                try:
                    drafts = converter.drafts(row.values, row.where, table.part, "")
                except (BadRowError, LeftOutError):
                    drafts = []
                names = [unclaimed.pop(_content(draft.item), None) for draft in drafts]
                items = tuple(name for name in names if name is not None)
            yield Original(row.where, row.values, items)


def _content(item: Item) -> tuple[str | None, ...]:
    if isinstance(item, Comparison):
        return (item.prompt, *sorted(item.responses))
    return (item.prompt, item.response)
