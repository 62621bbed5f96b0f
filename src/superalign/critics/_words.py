"""Texts that a user brings along: a rubric, principles."""

from __future__ import annotations

from pathlib import Path

from superalign.errors import DataError

MOST = 20_000  # bytes: a prompt must hold it


def is_file(name: str) -> bool:
    """Tell whether a setting is meant as a file: it looks like a path, or is there."""
    return "/" in name or "." in name or Path(name).is_file()


def read_words(name: str) -> str:
    """Return the text of a file.

    Raises:
        DataError: it is not there, empty, too long, or no text.
    """
    try:
        with Path(name).expanduser().open("rb") as file:
            data = file.read(MOST + 1)
        text = data.decode("utf-8-sig").strip()
    except OSError as error:
        raise DataError(f"'{name}' cannot be read", why=error.strerror or str(error)) from None
    except UnicodeDecodeError:
        raise DataError(f"'{name}' is not UTF-8 text") from None
    if len(data) > MOST:
        raise DataError(f"'{name}' is longer than {MOST:,} bytes", why="a model reads it with every case")
    if not text:
        raise DataError(f"'{name}' is empty")
    return text
