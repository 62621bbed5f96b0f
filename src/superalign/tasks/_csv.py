"""Rows of CSV and TSV files with true line numbers; after a broken row reading goes on at the very next line."""

from __future__ import annotations

import csv
from collections import Counter, deque
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, BinaryIO

from superalign.errors import DataError
from superalign.tasks._lines import MAX_LINE, NOT_UTF8, lines

MAX_RECORD_LINES = 2000
DELIMITERS = ",;\t|"
TOO_LONG = "the line is longer than 10 MB"

Line = tuple[int, bytes | None]
Numbered = Iterator[tuple[int, Mapping[str, Any] | str]]


def read_csv(file: BinaryIO, path: Path) -> Numbered:
    """Yield (line, row or reason) of a CSV file with a header; a quoted field may span lines.

    The delimiter is a comma, or `;`, tab or `|` when the header has no comma.
    """
    source = _Records(file)
    number, header = source.header()
    delimiter = next((mark for mark in DELIMITERS if mark in header), ",")
    names = _names(next(csv.reader([header], delimiter=delimiter)), path, number)
    yield from source.rows(names, delimiter)


def read_tsv(file: BinaryIO, path: Path) -> Numbered:
    """Yield (line, row or reason) of a TSV file with a header: one line is one row; a quoted field is unquoted."""
    names: list[str] | None = None
    for number, line in lines(file):
        if line is None:
            yield number, TOO_LONG
        elif line.strip():
            fields = [_unquote(field) for field in _decode(line).split("\t")]
            if names is None:
                names = _names(fields, path, number)
            else:
                yield number, _row(names, fields)


class _Records:
    """Assembles CSV records from lines, and gives lines back when a record turns out broken."""

    def __init__(self, file: BinaryIO) -> None:
        self._lines = lines(file)
        self._returned: deque[Line] = deque()

    def header(self) -> tuple[int, str]:
        """Return the first line that is not blank."""
        for number, line in self._lines:
            if line and line.strip():
                return number, _decode(line)
        return 1, ""

    def rows(self, names: list[str], delimiter: str) -> Numbered:
        """Yield the rows after the header."""
        csv.field_size_limit(MAX_LINE)
        while (line := self._next()) is not None:
            number, content = line
            if content is None:
                yield number, TOO_LONG
            elif content.strip():
                yield number, self._record(line, names, delimiter)

    def _record(self, first: Line, names: list[str], delimiter: str) -> Mapping[str, Any] | str:
        taken: list[Line] = []
        try:
            fields = next(csv.reader(self._feed(first, taken), delimiter=delimiter, strict=True))
            outcome = _row(names, fields)
        except csv.Error as error:
            reason = "a quote is never closed" if "unexpected end" in str(error) else str(error)
            outcome = f"broken quoting: {reason}"
        if isinstance(outcome, str):
            self._returned.extendleft(reversed(taken))
        return outcome

    def _feed(self, first: Line, taken: list[Line]) -> Iterator[str]:
        yield _decode(first[1] or b"") + "\n"
        while len(taken) < MAX_RECORD_LINES and (line := self._next()) is not None:
            taken.append(line)
            if line[1] is None:
                return
            yield _decode(line[1]) + "\n"

    def _next(self) -> Line | None:
        return self._returned.popleft() if self._returned else next(self._lines, None)


def _row(names: list[str], fields: list[str]) -> Mapping[str, Any] | str:
    if len(fields) != len(names):
        return f"{len(fields)} fields where the header has {len(names)}"
    if any(not field.isascii() and _undecoded(field) for field in fields):
        return NOT_UTF8
    return dict(zip(names, fields, strict=True))


def _names(fields: list[str], path: Path, number: int) -> list[str]:
    names = [field.strip() for field in fields]
    twice = [name for name, count in Counter(names).items() if count > 1]
    if twice:
        raise DataError(f"column '{twice[0]}' appears twice in the header", where=f"{path}:{number}")
    if not any(names):
        raise DataError("the file has no header", where=f"{path}:{number}")
    return names


def _decode(line: bytes) -> str:
    return line.decode("utf-8", errors="surrogateescape")


def _undecoded(field: str) -> bool:
    return any("\udc80" <= character <= "\udcff" for character in field)


def _unquote(field: str) -> str:
    quoted = len(field) > 1 and field[0] == field[-1] == '"'
    return field[1:-1].replace('""', '"') if quoted else field
