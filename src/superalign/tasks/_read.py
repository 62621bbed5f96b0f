"""Reading the rows of a file one at a time; a row that cannot be read is yielded as Dropped, never raised."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple

from superalign.errors import DataError, require
from superalign.task import Dropped
from superalign.tasks._csv import read_csv, read_tsv
from superalign.tasks._lines import NOT_UTF8, lines

MAX_JSON = 512 * 2**20
SPACE = re.compile(r"[ \t\r\n]*")


class Row(NamedTuple):
    """One row of a table and where it stands (`file:line`; in parquet `file:row`)."""

    where: str
    values: Mapping[str, Any]


Outcome = Row | Dropped


def read(path: Path, label: str) -> Iterator[Outcome]:
    """Yield the rows of a checked file; `label` names the file in `where`.

    Memory is bounded by one row (a JSON array: by the file, at most 512 MB).

    Raises:
        DataError: the file as a whole cannot be read.
    """
    reader = READERS[path.suffix.lower()]
    try:
        with path.open("rb") as file:
            for number, outcome in reader(file, path):
                where = f"{label}:{number}"
                yield Dropped(where, outcome) if isinstance(outcome, str) else Row(where, outcome)
    except OSError as error:
        raise DataError(f"'{path}' cannot be read", why=error.strerror or str(error)) from None


Numbered = Iterator[tuple[int, Mapping[str, Any] | str]]


def _jsonl(file: BinaryIO, path: Path) -> Numbered:
    for number, line in lines(file):
        if line is None:
            yield number, "the line is longer than 10 MB"
        elif line.strip():
            yield number, _parse(line)


def _parse(line: bytes) -> Mapping[str, Any] | str:
    try:
        return _object(json.loads(line.decode("utf-8")))
    except UnicodeDecodeError:
        return NOT_UTF8
    except RecursionError:
        return "invalid JSON: nested too deeply"
    except ValueError as error:
        return f"invalid JSON: {_short(error)}"


def _object(value: Any) -> Mapping[str, Any] | str:
    return value if isinstance(value, dict) else f"not a JSON object but {type(value).__name__}"


def _json(file: BinaryIO, path: Path) -> Numbered:
    """Read an array of objects, an object whose first key holds one, or (misnamed) lines of objects."""
    if path.stat().st_size > MAX_JSON:
        raise DataError("the JSON file is larger than 512 MB", where=str(path), fix="write it as JSON lines (.jsonl)")
    text = file.read().decode("utf-8-sig", errors="surrogateescape")
    start = _first(text, 0)
    if text.startswith("{", start):
        array = _held_array(text, start)
        if array is None:
            file.seek(0)
            yield from _jsonl(file, path)
            return
        start = array
    elif not text.startswith("[", start):
        raise DataError("this is not a JSON array of objects", where=str(path))
    yield from _elements(text, start + 1, path)


def _elements(text: str, position: int, path: Path) -> Numbered:
    decoder, line, counted = json.JSONDecoder(), 1, 0
    while True:
        position = _first(text, position)
        if text.startswith("]", position):
            return
        line, counted = line + text.count("\n", counted, position), position
        try:
            value, position = decoder.raw_decode(text, position)
        except (ValueError, RecursionError) as error:
            raise DataError("the JSON array is broken", where=f"{path}:{line}", why=_short(error)) from None
        yield line, _object(value)
        position = _first(text, position)
        if text.startswith(",", position):
            position += 1
        elif not text.startswith("]", position):
            raise DataError("the JSON array is broken", where=f"{path}:{line}", why="no ',' or ']' after this element")


def _held_array(text: str, start: int) -> int | None:
    """Return where the array begins in a file that is one object `{"data": [...]}`, else None."""
    decoder = json.JSONDecoder()
    try:
        value, end = decoder.raw_decode(text, start)
        if _first(text, end) < len(text) or not isinstance(next(iter(value.values()), None), list):
            return None
        _, after_key = decoder.raw_decode(text, _first(text, start + 1))
    except (ValueError, RecursionError):
        return None
    return text.index("[", after_key)


def _first(text: str, position: int) -> int:
    match = SPACE.match(text, position)
    return match.end() if match else position


def _parquet(file: BinaryIO, path: Path) -> Numbered:
    require("pyarrow", "data")
    import pyarrow as pa
    import pyarrow.parquet as pq

    number = 0
    try:
        for batch in pq.ParquetFile(file).iter_batches(batch_size=1024):
            for values in batch.to_pylist():
                number += 1
                yield number, values
    except pa.ArrowException as error:
        raise DataError("the parquet file is damaged", where=f"{path}:{number + 1}", why=_short(error)) from None


def _short(error: Exception) -> str:
    return str(error).splitlines()[0][:200] if str(error) else type(error).__name__


READERS: dict[str, Callable[[BinaryIO, Path], Numbered]] = {
    ".csv": read_csv,
    ".tsv": read_tsv,
    ".jsonl": _jsonl,
    ".ndjson": _jsonl,
    ".json": _json,
    ".parquet": _parquet,
}
