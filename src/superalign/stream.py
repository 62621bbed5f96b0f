"""An append-only file of rows that can be gone on with: JSON lines, each written whole and synced."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from superalign.config import canonical
from superalign.store import writing


class Stream:
    """Rows in a file. Who makes the same rows again after a kill adds only what is not there yet.

    Args:
        path: of the file; rows that are there already are read, a torn last line is cut off.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._known = _whole_lines(path)
        self._next = 0

    def append(self, rows: Iterable[Mapping[str, Any]]) -> None:
        """Add rows; one that stands there already, from before a kill, is passed over.

        Where what stands there is another row, the file goes on from here with the new ones.

        Raises:
            StoreError: the disk is full or the folder cannot be written.
        """
        lines = [canonical(row).encode() + b"\n" for row in rows]
        while lines and self._next < len(self._known) and self._known[self._next] == lines[0]:
            lines.pop(0)
            self._next += 1
        if not lines:
            return
        with writing(self.path):
            self.path.parent.mkdir(parents=True, exist_ok=True)
            with self.path.open("r+b" if self.path.exists() else "wb") as file:
                file.seek(sum(map(len, self._known[: self._next])))
                file.truncate()
                file.write(b"".join(lines))
                file.flush()
                os.fsync(file.fileno())
        self._known[self._next :] = lines
        self._next = len(self._known)

    def rows(self) -> list[dict[str, Any]]:
        """Return all rows of the file."""
        return [json.loads(line) for line in self._known]


def _whole_lines(path: Path) -> list[bytes]:
    if not path.is_file():
        return []
    lines = path.read_bytes().splitlines(keepends=True)
    return lines if not lines or lines[-1].endswith(b"\n") else lines[:-1]
