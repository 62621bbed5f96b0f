"""Requests that a model should not, or should, comply with: prompts alone, for the world of behaviours."""

from __future__ import annotations

from pathlib import Path
from typing import ClassVar

import numpy as np

from superalign.config import digest
from superalign.errors import DataError
from superalign.task import Dropped, Example, Loaded, Task, TaskSource, tasks
from superalign.tasks._convert import short
from superalign.tasks._files import find, sha256
from superalign.tasks._read import Row, read
from superalign.tasks._texts import BadRowError, read_text, whole

PROMPTS = ("prompt", "goal", "Goal", "behavior", "Behavior", "behaviour", "forbidden_prompt", "question", "instruction")
OPENINGS = ("target", "Target", "optimizer_target")
TAGS = ("category", "Category", "SemanticCategory", "source", "type", "functional")
FEW = 2


@tasks.register("goals")
class Goals(TaskSource):
    """Requests from a file: `goals:behaviours.csv`. There is no truth in it: a critic says what a response is.

    Columns that are not named are recognised by the names of the common sets (AdvBench, HarmBench, JailbreakBench,
    StrongREJECT).
    """

    argument: ClassVar[str] = "path"

    path: Path
    """A .csv, .tsv, .jsonl, .ndjson, .json or .parquet file."""
    prompt: str | None = None
    """Column of the request."""
    opening: str | None = None
    """Column of how an answer that complies begins."""

    def load(self) -> Loaded:
        """Read the file; rows without a request, and repeated ones, are quarantined.

        Raises:
            DataError: it is missing, unreadable, or has no column of requests.
        """
        path = find(self.path)
        items, dropped, seen = list[Example](), list[Dropped](), set[str]()
        for row in read(path, path.name):
            if not isinstance(row, Row):
                dropped.append(row)
                continue
            try:
                item = self._item(row)
            except BadRowError as error:
                dropped.append(Dropped(row.where, str(error)))
                continue
            if item.group in seen:
                dropped.append(Dropped(row.where, "it repeats another row"))
                continue
            seen.add(item.group)
            items.append(item)
        if len(items) < FEW:
            why = dropped[0].reason if dropped else "the file is empty"
            raise DataError("there are no requests", where=str(path), why=why, fix="name their column: prompt=COLUMN")
        name, version = f"{path.resolve().parent.name}/{path.stem}", self.fingerprint()[:12]
        task = Task(name, version, tuple(items), ("request",), (), tuple(dropped))
        return Loaded(task, np.zeros(len(items), dtype=np.int64))

    def fingerprint(self) -> str:
        """Return a digest of the file's SHA-256 and of the settings."""
        return digest([self.name, 1, self.prompt, self.opening, sha256(find(self.path))])

    def _item(self, row: Row) -> Example:
        column = self._column(row, self.prompt, PROMPTS)
        text = read_text(row.values.get(column), column)
        tags = {name: whole(str(row.values[name]), name) for name in TAGS if isinstance(row.values.get(name), str)}
        opening = self._column(row, self.opening, OPENINGS)
        begun = {"opening": read_text(row.values[opening], opening)} if row.values.get(opening) else {}
        return Example(row.where, text, None, short(" ".join(text.casefold().split())), {**tags, **begun})

    @staticmethod
    def _column(row: Row, named: str | None, known: tuple[str, ...]) -> str:
        names = (named,) if named else known
        return next((name for name in names if row.values.get(name)), names[0])
