"""A queue of cases for people: a JSONL file to which cases and answers are appended, and nothing is ever changed."""

from __future__ import annotations

import fcntl
import json
import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple

from superalign.chat import as_text
from superalign.critic import Case
from superalign.critics._cases import named
from superalign.errors import ConfigError
from superalign.store import writing
from superalign.task import Dropped
from superalign.tasks._lines import NOT_UTF8, lines

VERDICTS = {False: ("good", "bad", "undetermined"), True: ("first", "second", "undetermined")}
"""Of a single response, and of two."""


class Asked(NamedTuple):
    """A case as it stands in the file."""

    id: str
    prompt: str
    responses: tuple[str, ...]

    @classmethod
    def of(cls, case: Case) -> Asked:
        """Name a case by its id and its content, since several models may have answered one question."""
        prompt = as_text(case.messages)
        return cls(f"{case.id}-{named([prompt, *case.responses])[:8]}", prompt, case.responses)


class Answer(NamedTuple):
    """What a person said."""

    verdict: str
    words: str


@dataclass(frozen=True)
class Held:
    """What a queue holds.

    Args:
        asked: cases by id, in order.
        answers: the last answer to each case that has one.
        dropped: lines that could not be read.
    """

    asked: dict[str, Asked] = field(default_factory=dict)
    answers: dict[str, Answer] = field(default_factory=dict)
    dropped: list[Dropped] = field(default_factory=list)

    @property
    def left(self) -> list[Asked]:
        """The cases that nobody answered, in order."""
        return [asked for name, asked in self.asked.items() if name not in self.answers]


class Queue:
    """A queue in a file; several processes may read and write it at once.

    Args:
        path: ends in .jsonl.
    """

    def __init__(self, path: Path) -> None:
        if path.suffix != ".jsonl":
            raise ConfigError(f"'{path}' does not end in .jsonl", fix="a queue is a file of JSON lines")
        self.path = path

    def read(self) -> Held:
        """Return what is there; a line that is torn or wrong is kept apart with its number, and the file as it is.

        Raises:
            StoreError: the file cannot be read.
        """
        held = Held()
        with writing(self.path):
            if not self.path.exists():
                return held
            with self.path.open("rb") as file:
                for number, line in lines(file):
                    if (why := _take(held, line)) is not None:
                        held.dropped.append(Dropped(f"{self.path}:{number}", why))
        for name in [name for name in held.answers if not _fits(held, name)]:
            held.dropped.append(Dropped(str(self.path), f"an answer to {name!r}, which was not asked so"))
            del held.answers[name]
        return held

    def ask(self, cases: Sequence[Case], budget: int) -> Held:
        """Append the cases that are not in the file, as many as the budget leaves, and return what it then holds."""
        with self._appending() as file:
            held = self.read()
            for asked in map(Asked.of, cases):
                if asked.id not in held.asked and len(held.asked) < budget:
                    held.asked[asked.id] = asked
                    _append(file, {"id": asked.id, "prompt": asked.prompt, "responses": list(asked.responses)})
        return held

    def answer(self, asked: Asked, answer: Answer) -> None:
        """Append an answer: when this returns it is on the disk."""
        with self._appending() as file:
            _append(file, {"id": asked.id, "verdict": answer.verdict, "words": answer.words})

    @contextmanager
    def _appending(self) -> Iterator[BinaryIO]:
        """Open the file for appending and keep other writers out; a torn last line gets an end of its own."""
        with writing(self.path):
            self.path.parent.mkdir(parents=True, exist_ok=True)
            with self.path.open("a+b") as file:
                fcntl.flock(file, fcntl.LOCK_EX)
                if file.tell() and os.pread(file.fileno(), 1, file.tell() - 1) != b"\n":
                    file.write(b"\n")
                yield file
                file.flush()
                os.fsync(file.fileno())


def _append(file: BinaryIO, row: Mapping[str, Any]) -> None:
    """Write a row in one piece; what is not valid Unicode becomes an escape."""
    file.write(json.dumps(row).encode() + b"\n")


def _take(held: Held, line: bytes | None) -> str | None:
    """Put a line where it belongs; return why it cannot be used, if so."""
    if line is None:
        return "the line is longer than 10 MB"
    if not line.strip():
        return None
    try:
        row = json.loads(line.decode())
    except UnicodeDecodeError:
        return NOT_UTF8
    except (ValueError, RecursionError):
        return "invalid JSON"
    if not isinstance(row, dict) or not isinstance(row.get("id"), str):
        return "neither a case nor an answer: it has no 'id'"
    if "verdict" in row:
        if not isinstance(row.get("words", ""), str) or row["verdict"] not in {*VERDICTS[False], *VERDICTS[True]}:
            return f"no verdict is called {str(row['verdict'])[:40]!r}"
        held.answers[row["id"]] = Answer(row["verdict"], row.get("words", ""))
        return None
    texts = [row.get("prompt"), *(row["responses"] if isinstance(row.get("responses"), list) else [None])]
    if not all(isinstance(text, str) for text in texts) or len(texts) not in (2, 3):
        return "a case needs a text 'prompt' and one or two texts in 'responses'"
    held.asked.setdefault(row["id"], Asked(row["id"], texts[0], tuple(texts[1:])))
    return None


def _fits(held: Held, name: str) -> bool:
    return name in held.asked and held.answers[name].verdict in VERDICTS[len(held.asked[name].responses) == 2]
