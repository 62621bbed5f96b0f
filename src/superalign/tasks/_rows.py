"""From tables of rows to a task: recognise, convert, quarantine, sift, and refuse what is degenerate."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from itertools import chain
from typing import Any, NamedTuple

import numpy as np

from superalign.errors import DataError
from superalign.task import Dropped, Item, Loaded, Task
from superalign.tasks._checks import (
    join_groups,
    refuse_degenerate,
    refuse_identical,
    remarks,
    sift,
    telling_tags,
)
from superalign.tasks._convert import Converter, Draft
from superalign.tasks._labels import Classes
from superalign.tasks._layout import Layout, check_columns
from superalign.tasks._limit import balanced, limited
from superalign.tasks._lines import NOT_UTF8
from superalign.tasks._read import Outcome, Row
from superalign.tasks._recognise import recognise
from superalign.tasks._tabular import Tabular
from superalign.tasks._texts import BadRowError, LeftOutError

SAMPLE = 200
HOPELESS = 1000
PREFERRED = ("first", "second")
RIGHT = ("wrong", "right")


class Table(NamedTuple):
    """Rows in their order, the part they are in (None: the split decides), and what to call them in messages."""

    rows: Iterable[Outcome]
    part: str | None
    label: str


class Quarantine:
    """Rows that could not be used, and how many were read in all."""

    def __init__(self, where: str, max_share: float) -> None:
        self.where, self.max_share, self.read = where, max_share, 0
        self.bad: list[Dropped] = []
        self.left_out: list[Dropped] = []

    def check(self, final: bool) -> None:
        """Refuse data of which too many rows cannot be used; while reading, only when most of 1000 cannot.

        Raises:
            DataError: with the count, the share and the first three reasons.
        """
        share = len(self.bad) / max(1, self.read)
        hopeless = len(self.bad) >= HOPELESS and share > max(0.5, self.max_share)
        if not self.bad or not (hopeless or (final and share >= self.max_share)):
            return
        fix = "mend these rows, name the columns if the wrong ones were taken, or raise max_bad"
        if all(row.reason == NOT_UTF8 for row in self.bad):
            fix = "convert the file to UTF-8 text"
        raise DataError(
            f"{len(self.bad):,} of {self.read:,} rows ({share:.1%}) cannot be used; the limit is {self.max_share:.0%}",
            where=self.where,
            why="; ".join(f"{row.where}: {row.reason}" for row in self.bad[:3]),
            fix=fix,
        )


def assemble(
    name: str,
    version: str,
    tables: Sequence[Table],
    settings: Tabular,
    class_names: Mapping[str, Sequence[str]] | None = None,
) -> Loaded:
    """Build a task from tables of which the first decides the layout.

    Args:
        name: of the task.
        version: of its content.
        tables: where the rows come from.
        settings: the columns the user named, and how many rows to keep.
        class_names: of a column of integer labels, the names that the source itself gives.

    Raises:
        DataError: the columns cannot be told, too many rows are bad, or the data is degenerate.
    """
    where = ", ".join(table.label for table in tables)
    quarantine = Quarantine(where, settings.max_bad)
    drafts, layout = _read(tables, settings, quarantine)
    classes = _settle(drafts, layout, settings.classes or (class_names or {}).get(layout.label), quarantine)
    drafts = [draft for draft in drafts if isinstance(draft.label, int)]
    quarantine.check(final=True)
    refuse_identical(drafts, where)
    if not (layout.group or settings.block):
        join_groups(drafts)
    kept, dropped, warnings = sift(drafts)
    if settings.balance:
        kept, note = balanced(kept, settings.seed)
        warnings += note
    refuse_degenerate(kept, classes, where, warnings)
    warnings += _hide_telling_tags(kept, layout) + remarks(kept, classes)
    return finish(name, version, kept, classes, (*quarantine.bad, *quarantine.left_out, *dropped), warnings)


def finish(
    name: str,
    version: str,
    drafts: Sequence[Draft],
    classes: Sequence[str],
    dropped: Iterable[Dropped] = (),
    warnings: Iterable[str] = (),
) -> Loaded:
    """Return drafts, their labels settled, as a task; ids that occur twice get a number."""
    fixed = tuple(draft.part for draft in drafts) if any(draft.part for draft in drafts) else ()
    items = tuple(_unique(draft.item for draft in drafts))
    task = Task(name, version, items, tuple(classes), fixed, tuple(dropped), tuple(warnings))
    return Loaded(task, np.array([draft.label for draft in drafts], dtype=np.int64))


def _read(tables: Sequence[Table], settings: Tabular, quarantine: Quarantine) -> tuple[list[Draft], Layout]:
    drafts: list[Draft] = []
    layout: Layout | None = None
    for table in tables:
        rows = iter(table.rows)
        head, sample = _head(rows)
        if not head:
            raise DataError("there is no row", where=table.label)
        if sample and layout is None:
            layout = recognise(sample, settings, table.label)
        elif sample and layout is not None:
            check_columns(layout, sample, table.label)
        converted = _convert(chain(head, rows), table, layout, settings, quarantine)
        drafts += limited(converted, settings.limit, settings.seed)
    quarantine.check(final=True)
    if layout is None:
        raise DataError("there is no row", where=quarantine.where)
    return drafts, layout


def _head(rows: Iterator[Outcome]) -> tuple[list[Outcome], list[Mapping[str, Any]]]:
    """Return the outcomes up to the 200th good row, and these rows' values."""
    head: list[Outcome] = []
    sample: list[Mapping[str, Any]] = []
    for outcome in rows:
        head.append(outcome)
        if isinstance(outcome, Row):
            sample.append(outcome.values)
        if len(sample) == SAMPLE or len(head) == SAMPLE + HOPELESS:
            break
    return head, sample


def _convert(
    rows: Iterable[Outcome], table: Table, layout: Layout | None, settings: Tabular, quarantine: Quarantine
) -> Iterator[Draft]:
    converter = Converter(layout, settings.seed) if layout else None
    for number, row in enumerate(rows):
        quarantine.read += 1
        if isinstance(row, Dropped) or converter is None:
            quarantine.bad.append(Dropped(row.where, row.reason if isinstance(row, Dropped) else "no layout"))
            quarantine.check(final=False)
            continue
        block = f"{table.label}/{number // settings.block}" if settings.block else ""
        try:
            yield from converter.drafts(row.values, row.where, table.part, block)
        except LeftOutError as error:
            quarantine.left_out.append(Dropped(row.where, str(error)))
        except BadRowError as error:
            quarantine.bad.append(Dropped(row.where, str(error)))
            quarantine.check(final=False)


def _settle(
    drafts: Sequence[Draft], layout: Layout, given: Sequence[str] | None, quarantine: Quarantine
) -> tuple[str, ...]:
    """Replace each draft's label by its class index; a label that is no class quarantines its row."""
    if layout.kind != "classes":
        return RIGHT if layout.kind == "choice" else PREFERRED
    classes = Classes([draft.label for draft in drafts], given, layout.label)
    for draft in drafts:
        try:
            draft.label = classes.index(draft.label)
        except BadRowError as error:
            draft.label = ""
            quarantine.bad.append(Dropped(draft.where, str(error)))
    return classes.names


def _hide_telling_tags(drafts: Sequence[Draft], layout: Layout) -> list[str]:
    telling = telling_tags(drafts)
    hidden = {tag for tag in telling if tag not in layout.named_tags}
    if hidden:
        for draft in drafts:
            tags = {tag: value for tag, value in draft.item.tags.items() if tag not in hidden}
            draft.item = replace(draft.item, tags=tags)
    told = [
        f"tag '{tag}' gives the label away; it is kept because it was named" for tag in telling if tag not in hidden
    ]
    return told + [f"tag '{tag}' gives the label away and was left out" for tag in sorted(hidden)]


def _unique(items: Iterable[Item]) -> Iterator[Item]:
    seen: Counter[str] = Counter()
    for item in items:
        name = item.id
        while seen[name]:
            seen[item.id] += 1
            name = f"{item.id}#{seen[item.id]}"
        seen[name] += 1
        yield item if name == item.id else replace(item, id=name)
