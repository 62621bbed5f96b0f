"""From a row to a draft: the item, its label as found, and where it came from."""

from __future__ import annotations

import hashlib
import math
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

from superalign.task import Comparison, Example, Item, Tag
from superalign.tasks._labels import RawLabel, judgements, preferred, read_label, right_choice
from superalign.tasks._layout import Layout
from superalign.tasks._texts import BadRowError, joined, read_text, split_pair, turns

MAX_TAG, MAX_GROUP = 64, 40
SIGNED = {"valence"}
PART_NAMES = {"supervise": "supervise", "transfer": "transfer", "test": "test", "train": None, "": None}

Labelled = Iterator[tuple[Item, RawLabel]]
Values = Mapping[str, Any]


@dataclass(slots=True)
class Draft:
    """An item on its way into a task; `label` is a class as its row names it, later its index."""

    where: str
    part: str | None
    item: Item
    label: RawLabel


class Frame(NamedTuple):
    """What every kind of item has."""

    id: str
    group: str
    tags: Mapping[str, Tag]

    def group_of(self, *texts: str) -> str:
        """Return the group, or one made of the first text that is not empty, whatever its case and spaces."""
        return self.group or short(" ".join(next(text for text in texts if text).casefold().split()))


class Converter:
    """Turns the rows of one layout into drafts; `seed` draws the wrong choice of a question."""

    def __init__(self, layout: Layout, seed: int) -> None:
        self.layout, self.seed = layout, seed
        self._read = getattr(self, f"_{layout.kind}")

    def drafts(self, values: Values, where: str, part: str | None, block: str) -> list[Draft]:
        """Return the drafts of a row: one, or two of a multiple-choice question.

        Args:
            values: the row.
            where: its place, and its id when no column names it.
            part: the part its file is in.
            block: the group of its block of rows, or "" when rows are not grouped by position.

        Raises:
            BadRowError: the row cannot be used.
            LeftOutError: the row is whole but says nothing (a tie).
        """
        frame = Frame(self._id(values, where), block or self._group(values), self._tags(values))
        if part is None and self.layout.part:
            part = self._part(values.get(self.layout.part))
        return [Draft(where, part, item, label) for item, label in self._read(values, frame)]

    def _classes(self, values: Values, frame: Frame) -> Labelled:
        column, response = self.layout.prompt[0], None
        first = values.get(column)
        if self.layout.bodies:
            response = read_text(values.get(self.layout.bodies[0]), self.layout.bodies[0])
        if isinstance(first, list) and not response:
            prompt, response = turns(first, column)
        else:
            prompt = joined(values, self.layout.prompt)
        group = frame.group_of(read_text(first, column) if len(self.layout.prompt) > 1 else prompt)
        label = self.layout.label
        yield Example(frame.id, prompt, response, group, frame.tags), read_label(values.get(label), label)

    def _pair(self, values: Values, frame: Frame) -> Labelled:
        chosen, rejected = self.layout.bodies
        prompt = joined(values, self.layout.prompt) if self.layout.prompt else ""
        prompt, good, bad = split_pair(values.get(chosen), values.get(rejected), self.layout.bodies, prompt)
        yield compare(frame, prompt, (good, bad), 0, self._rewards(values))

    def _preference(self, values: Values, frame: Frame) -> Labelled:
        first, second = self.layout.bodies
        prompt = joined(values, self.layout.prompt) if self.layout.prompt else ""
        responses = (read_text(values.get(first), first), read_text(values.get(second), second))
        label = self.layout.label
        told = values.get(label), self.layout.bodies, self.layout.first_is_zero, label
        item, better = compare(frame, prompt, responses, preferred(*told), self._rewards(values))
        yield annotated(item, judgements(*told), turned=item.responses != responses), better

    def _choice(self, values: Values, frame: Frame) -> Labelled:
        prompt = joined(values, self.layout.prompt)
        choices = _choices(values.get(self.layout.bodies[0]), self.layout.bodies[0])
        answer, label = values.get(self.layout.label), self.layout.label
        right = choices.names.index(answer) if answer in choices.names else right_choice(answer, choices.texts, label)
        others = [index for index, text in enumerate(choices.texts) if text != choices.texts[right]]
        if not others:
            raise BadRowError("there is no wrong choice")
        wrong = others[_draw(f"{self.seed}", prompt, *choices.texts) % len(others)]
        for index in sorted((right, wrong)):
            text = choices.texts[index]
            item = Example(f"{frame.id}/{index}", prompt, text, frame.group_of(prompt), frame.tags)
            yield item, int(index == right)

    def _rewards(self, values: Values) -> tuple[float, float] | None:
        if not self.layout.rewards:
            return None
        first, second = (_number(values.get(column), column) for column in self.layout.rewards)
        return first, second

    def _id(self, values: Values, where: str) -> str:
        value = values.get(self.layout.id) if self.layout.id else None
        return short(str(value)) if isinstance(value, str | int) and str(value).strip() else where

    def _group(self, values: Values) -> str:
        if not self.layout.group:
            return ""
        value = values.get(self.layout.group)
        if value is None or not str(value).strip():
            raise BadRowError(f"'{self.layout.group}' is missing")
        return short(str(value))

    def _part(self, value: Any) -> str | None:
        name = "" if value is None else str(value).strip().lower()
        if name not in PART_NAMES:
            raise BadRowError(f"'{self.layout.part}' is '{name[:40]}', not one of supervise, transfer, test, train")
        return PART_NAMES[name]

    def _tags(self, values: Values) -> dict[str, Tag]:
        tags = ((column, _tag(values.get(column))) for column in self.layout.tags)
        return dict(self._open(column, tag) for column, tag in tags if tag is not None)

    def _open(self, column: str, tag: Tag) -> tuple[str, Tag]:
        """Keep only the strength of a signed score: its sign is the gold label."""
        if column.lower() in SIGNED and column not in self.layout.named_tags and not isinstance(tag, str):
            return f"{column}_strength", abs(tag)
        return column, tag


def compare(
    frame: Frame, prompt: str, responses: tuple[str, str], better: int, rewards: tuple[float, float] | None = None
) -> tuple[Comparison, int]:
    """Return a Comparison whose order is decided by a hash of its texts, and the index of the better response there.

    Raises:
        BadRowError: a response is empty, or they are identical.
    """
    if not all(response.strip() for response in responses):
        raise BadRowError("a response is empty")
    if responses[0] == responses[1]:
        raise BadRowError("the two responses are identical")
    first, second = sorted(responses)
    ordered = (second, first) if _draw(prompt, first, second) % 2 else (first, second)
    if rewards and ordered != responses:
        rewards = rewards[1], rewards[0]
    item = Comparison(frame.id, prompt, ordered, frame.group_of(prompt, first), frame.tags, rewards)
    return item, ordered.index(responses[better])


def annotated(item: Comparison, said: Sequence[int | None], *, turned: bool) -> Comparison:
    """Return a Comparison with what each of several annotators said as tags: first, second or tie."""
    if len(said) < 2:
        return item
    names = {0: "second", 1: "first"} if turned else {0: "first", 1: "second"}
    votes = {f"annotator_{place}": names.get(-1 if one is None else one, "tie") for place, one in enumerate(said, 1)}
    return replace(item, tags={**item.tags, **votes})


def short(name: str) -> str:
    """Return a name of bounded length: long or unprintable ones become a hash."""
    if len(name) <= MAX_GROUP and name.isprintable():
        return name
    return "#" + hashlib.sha256(name.encode(errors="surrogatepass")).hexdigest()[:16]


class _Choices(NamedTuple):
    texts: Sequence[str]
    names: Sequence[str]


def _choices(value: Any, column: str) -> _Choices:
    """Read a list of choices, or `{"text": [...], "label": ["A", ...]}`."""
    names: Sequence[Any] = ()
    if isinstance(value, dict):
        value, names = value.get("text"), value.get("label") or ()
    if not isinstance(value, list) or len(value) < 2:
        raise BadRowError(f"'{column}' is not a list of choices")
    return _Choices([read_text(choice, column) for choice in value], list(map(str, names)))


def _tag(value: Any) -> Tag | None:
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, int):
        return value
    if not isinstance(value, str) or not 0 < len(value.strip()) <= MAX_TAG or not value.isprintable():
        return None
    if re.fullmatch(r"[+-]?\d{1,18}", value.strip()):
        return int(value)
    try:
        number = float(value)
    except ValueError:
        return value.strip()
    return number if math.isfinite(number) else None


def _number(value: Any, column: str) -> float:
    try:
        number = float("nan") if isinstance(value, bool) else float(value)
    except (TypeError, ValueError):
        number = float("nan")
    if not math.isfinite(number):
        raise BadRowError(f"'{column}' is not a number")
    return number


def _draw(*texts: str) -> int:
    return int.from_bytes(hashlib.sha256("\0".join(texts).encode()).digest()[:8])
