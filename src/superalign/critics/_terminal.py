"""One case at a time on a terminal."""

from __future__ import annotations

from collections.abc import Callable

from superalign.critics._queue import Answer, Asked, Held, Queue
from superalign.display import printable

KEYS = {False: {"g": "good", "b": "bad", "u": "undetermined"}, True: {"1": "first", "2": "second", "u": "undetermined"}}


def ask_people(queue: Queue, read: Callable[[str], str], say: Callable[[str], None]) -> Held:
    """Show what nobody has answered, take answers until none is left or the reader stops, and return what is held.

    Args:
        queue: of the cases. Each answer is on the disk before the next case is shown.
        read: shows a prompt and returns a line; raises EOFError when there is no more.
        say: prints a line.
    """
    left = queue.read().left
    try:
        for number, asked in enumerate(left, 1):
            say(f"--- {number} of {len(left)}: {printable(asked.id)}")
            for line in _lines(asked):
                say(line)
            verdict = _verdict(asked, read, say)
            queue.answer(asked, Answer(verdict, read("why, in a line (may be empty): ").strip()))
    except EOFError:
        say("")
    return queue.read()


def _verdict(asked: Asked, read: Callable[[str], str], say: Callable[[str], None]) -> str:
    keys = KEYS[len(asked.responses) == 2]
    wish = ", ".join(f"{key} = {verdict}" for key, verdict in keys.items())
    while (key := read(f"{wish}: ").strip().lower()) not in keys:
        say(f"'{printable(key[:20])}' is none of {', '.join(keys)}; Ctrl-D stops")
    return keys[key]


def _lines(asked: Asked) -> list[str]:
    pair = len(asked.responses) == 2
    titles = ["question", "first response", "second response"] if pair else ["question", "response"]
    out = []
    for title, text in zip(titles, (asked.prompt, *asked.responses), strict=True):
        if text or title != "question":
            out += [f"[{title}]", *(f"  {printable(line)}" for line in text.split("\n"))]
    return out
