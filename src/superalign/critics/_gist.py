"""What an answer comes to, by cheap rules: a number, yes or no, an option, or a few words."""

from __future__ import annotations

import math
import re
from typing import NamedTuple

FEW = 8  # words that can be compared as they are
LEAN = {"yes": "yes", "no": "no", "true": "yes", "false": "no"}
OPTION = re.compile(r"\(?([A-H])(?:[).:](?:\s|$)|$)")
MARKED = re.compile(r"(?:####|\banswer(?: is)?\s*:?|^\s*A:)\s*(\S.*)$", re.IGNORECASE | re.MULTILINE)
NUMBER = re.compile(r"-?\d[\d,]*(?:\.\d+)?")
ARTICLES = {"a", "an", "the"}


class Gist(NamedTuple):
    """What an answer comes to, and of which kind that is: number, lean, option or words."""

    kind: str
    value: str


def gist(text: str) -> Gist | None:
    """Return what an answer comes to; None when it is too long to tell.

    A final answer that is marked (`#### 18`, `A: 18`, `the answer is 18`) counts before all else.
    """
    marked = MARKED.findall(text)
    final = marked[-1] if marked else text.strip()
    if option := OPTION.match(final):
        return Gist("option", option[1])
    words = _words(final)
    if not words:
        return None
    if words[0] in LEAN:
        return Gist("lean", LEAN[words[0]])
    if numbers := NUMBER.findall(final.splitlines()[-1]):
        return Gist("number", f"{float(numbers[-1].replace(',', '')):g}")
    return Gist("words", " ".join(words)) if len(words) <= FEW else None


def agrees(answer: Gist, text: str) -> bool | None:
    """Tell whether a text comes to an answer; None when the two cannot be compared."""
    if answer.kind == "words":
        read = _words(text)
        return f" {answer.value} " in f" {' '.join(read)} " if read else None
    other = gist(text)
    if other is None or other.kind != answer.kind:
        return None
    if answer.kind == "number":
        return math.isclose(float(answer.value), float(other.value), rel_tol=1e-4)
    return answer == other


def _words(text: str) -> list[str]:
    """Return the words of a text in lower case, without articles."""
    return [word for word in re.findall(r"\w+", text.casefold()) if word not in ARTICLES]
