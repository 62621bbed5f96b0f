"""General text, by which it is seen whether a model still speaks as it did: Python's own manual, or a user's file."""

from __future__ import annotations

import hashlib
import re
import sys
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import NamedTuple

from superalign.errors import ConfigError, DataError

SHORT, LONG = 200, 400  # characters of a paragraph
SPARED = 16  # passages, the last ones, that adapters may be kept from (see fits/lora.py): nobody is asked about them
FIRST = 8  # words that are given, after which the rest is to be said
ODD = re.compile(r"::|[\"*|<>\\_=]")


class Passage(NamedTuple):
    """A paragraph: how it begins, and how it goes on."""

    opening: str
    rest: str


def passages(n: int, path: str | None = None) -> list[Passage]:
    """Return n paragraphs, or as many as there are, chosen by a hash, of a text file or of the manual of Python.

    Raises:
        DataError: the file cannot be read, or has no paragraph of a fitting length.
    """
    found = sorted(set(_paragraphs(path)), key=lambda text: hashlib.sha256(text.encode()).digest())
    if not found:
        why = f"a paragraph has {SHORT} to {LONG} characters, and an empty line after it"
        raise DataError("there is no text to compare what the learner says", where=path, why=why)
    return [_passage(text) for text in found[:n]]


def spared() -> list[Passage]:
    """Return the last paragraphs of the manual."""
    return passages(sys.maxsize)[-SPARED:]


def check_apart(n: int) -> None:
    """Refuse to ask about n passages of the manual where some of them are spared.

    Raises:
        ConfigError: so many are not left.
    """
    left = len(passages(sys.maxsize)) - SPARED
    if n > left:
        why = f"the manual has {left} beside the {SPARED} that spare=... reads"
        raise ConfigError(f"{n} passages of general text are too many", why=why, fix="fewer --texts, or --text FILE")


def fingerprint(n: int, path: str | None = None) -> str:
    """Return a digest of the passages."""
    return hashlib.sha256(repr(passages(n, path)).encode()).hexdigest()


def _paragraphs(path: str | None) -> Iterator[str]:
    for block in re.split(r"\n\s*\n", _text(path)):
        text = " ".join(block.split())
        plain = path is not None or (text[:1].isupper() and text.endswith(".") and not ODD.search(text))
        if plain and SHORT <= len(text) <= LONG and len(text.split()) > 2 * FIRST:
            yield text


def _text(path: str | None) -> str:
    if path is None:
        return _manual()
    try:
        return Path(path).expanduser().read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise DataError("cannot read the general text", where=path, why=str(error)) from error


@cache
def _manual() -> str:
    from pydoc_data.topics import topics

    return "\n\n".join(topics[name] for name in sorted(topics))


def _passage(text: str) -> Passage:
    words = text.split()
    return Passage(" ".join(words[:FIRST]), " ".join(words[FIRST:]))
