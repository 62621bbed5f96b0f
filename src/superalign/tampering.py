"""Planted flaws: a good response is tampered with in one known place, without a model (after McAleese et al. 2024)."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal, TypeVar, get_args

import numpy as np

T = TypeVar("T")
FlawKind = Literal["wrong number", "swapped entity", "negation", "dropped sentence", "inserted sentence"]
KINDS: tuple[FlawKind, ...] = get_args(FlawKind)
NUMBER = re.compile(r"(?<![\w.,])\d{1,12}(?:,\d{3})*(?:\.\d+)?(?![\w])")
SENTENCE = re.compile(r"[^.!?\n]+(?:[.!?]+(?=\s|$)|\n|$)\s*")
NAME = re.compile(r"\b[A-Z][\w'’-]+(?:(?: of| the| and)* [A-Z][\w'’-]*)*")
VERB = re.compile(r"\b(is|are|was|were|can|could|will|would|should|must|has|have|had)\b(?! not\b|n['’]t)")
STEPS = (1, 2, 3, 10)
WORDS = 3  # of what counts as a sentence
OPENERS = ("", ".", "!", "?", ":", "*")
TRIED = 20  # other responses that are looked at for a name


@dataclass(frozen=True)
class Tampered:
    """A response with a planted flaw.

    Args:
        text: the whole response.
        kind: of the flaw.
        start: where the flawed words begin; of a dropped sentence, where it stood.
        end: where they end.
        was: the words that stood there before.
    """

    text: str
    kind: FlawKind
    start: int
    end: int
    was: str

    @property
    def quote(self) -> str:
        """The flawed words; empty when words are missing."""
        return self.text[self.start : self.end]

    def found_in(self, quote: str) -> bool:
        """Tell whether a quotation of the response holds a part of the flaw; of what is missing, never."""
        if not quote or self.start == self.end:
            return False
        places = (found.start() for found in re.finditer(re.escape(quote), self.text))
        return any(place < self.end and self.start < place + len(quote) for place in places)


def tamper(text: str, others: Sequence[str], seed: int) -> Tampered | None:
    """Plant one flaw in a response; None where no kind of flaw fits.

    Args:
        text: a good response.
        others: responses to other things, from which names and sentences are taken.
        seed: draws the kind among those that fit, the place, and what is put there.
    """
    rng = np.random.default_rng([seed, int.from_bytes(hashlib.sha256(text.encode(errors="replace")).digest()[:7])])
    for place in rng.permutation(len(KINDS)):
        kind = KINDS[int(place)]
        found = PLANTERS[kind](text, others, rng)
        if found and found.text != text:
            return found
    return None


def _number(text: str, others: Sequence[str], rng: np.random.Generator) -> Tampered | None:
    """Change a number by a little; the last one is the likeliest answer, so it is not spared."""
    found = _any([found for found in NUMBER.finditer(text) if not _marks_a_line(text, found)], rng)
    if found is None:
        return None
    was, step = found.group(), int(rng.choice(STEPS))
    plain = was.replace(",", "")
    digits = len(plain.partition(".")[2])
    value = float(plain) + (step if rng.random() < 0.5 or float(plain) < step else -step)
    made = f"{value:,.{digits}f}" if "," in was else f"{value:.{digits}f}"
    return _replaced(text, "wrong number", found.start(), found.end(), made)


def _entity(text: str, others: Sequence[str], rng: np.random.Generator) -> Tampered | None:
    """Put a name of another response in the place of one; the two responses share none, lest it be true as well."""
    found, mine = _any(_names(text), rng), {one.group() for one in _names(text)}
    for place in rng.permutation(len(others))[:TRIED] if found else ():
        names = [one.group() for one in _names(others[int(place)])]
        if names and mine.isdisjoint(names) and (name := _any(names, rng)) and found:
            return _replaced(text, "swapped entity", found.start(), found.end(), name)
    return None


def _negation(text: str, others: Sequence[str], rng: np.random.Generator) -> Tampered | None:
    found = _any(list(VERB.finditer(text)), rng)
    if found is None:
        return None
    return _replaced(text, "negation", found.start(), found.end(), f"{found.group()} not")


def _dropped(text: str, others: Sequence[str], rng: np.random.Generator) -> Tampered | None:
    """Leave out a sentence between the first and the last."""
    found = _any(_sentences(text)[1:-1], rng)
    return _replaced(text, "dropped sentence", found.start(), found.end(), "") if found else None


def _inserted(text: str, others: Sequence[str], rng: np.random.Generator) -> Tampered | None:
    """Put a sentence of another response after one of several of this one, where nothing bears it out."""
    source = _any(others, rng)
    strange = _any([one.group().strip() for one in _sentences(source or "") if one.group().strip() not in text], rng)
    here = _any(_sentences(text), rng)
    if strange is None or here is None or len(_sentences(text)) < 2:
        return None
    at = here.start() + len(here.group().rstrip())
    return _replaced(text, "inserted sentence", at, at, f" {strange}")


PLANTERS: dict[FlawKind, Callable[[str, Sequence[str], np.random.Generator], Tampered | None]] = {
    "wrong number": _number,
    "swapped entity": _entity,
    "negation": _negation,
    "dropped sentence": _dropped,
    "inserted sentence": _inserted,
}


def _sentences(text: str) -> list[re.Match[str]]:
    return [found for found in SENTENCE.finditer(text) if len(found.group().split()) >= WORDS]


def _marks_a_line(text: str, number: re.Match[str]) -> bool:
    """Tell whether a number only counts the lines of a list."""
    return not text[: number.start()].rpartition("\n")[2].strip() and text[number.end() : number.end() + 1] in (
        ".",
        ")",
    )


def _names(text: str) -> list[re.Match[str]]:
    """Return names; the first word of a sentence is none, however it is written."""
    return [found for found in NAME.finditer(text) if text[: found.start()].rstrip()[-1:] not in OPENERS]


def _replaced(text: str, kind: FlawKind, start: int, end: int, new: str) -> Tampered:
    return Tampered(text[:start] + new + text[end:], kind, start, start + len(new), text[start:end])


def _any(choices: Sequence[T], rng: np.random.Generator) -> T | None:
    return choices[int(rng.integers(len(choices)))] if len(choices) else None
