"""Lines of a file with their numbers, each of bounded length."""

from __future__ import annotations

from collections.abc import Iterator
from typing import BinaryIO

MAX_LINE = 10 * 2**20
NOT_UTF8 = "invalid UTF-8"
"""Why a line that is no text is bad."""


def lines(file: BinaryIO) -> Iterator[tuple[int, bytes | None]]:
    """Yield (number from 1, line without its end), or None for a line longer than `MAX_LINE`; a BOM is cut off."""
    number = 0
    while line := file.readline(MAX_LINE + 1):
        number += 1
        if number == 1:
            line = line.removeprefix(b"\xef\xbb\xbf")
        if len(line) > MAX_LINE and not line.endswith(b"\n"):
            while (rest := file.readline(MAX_LINE)) and not rest.endswith(b"\n"):
                pass
            yield number, None
        else:
            yield number, line.rstrip(b"\r\n")
