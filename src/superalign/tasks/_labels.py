"""Reading labels: classes of many spellings, the right one of several choices, the better one of two responses."""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Sequence
from typing import Any

from superalign.errors import DataError
from superalign.tasks._texts import BadRowError, LeftOutError, whole

WHOLE_NUMBER = re.compile(r"[+-]?\d{1,18}(\.0*)?")
MISSING = {"", "nan", "null"}
TRUTHS = {"true", "false", "yes", "no"}
TIES = {"tie", "both", "neither", "draw", "same", "equal"}
MIN_ROWS_A_CLASS = 3

RawLabel = int | str


def read_label(value: Any, column: str) -> RawLabel:
    """Return a class as a whole number or a word; `True`, `yes` and the like in lower case.

    Raises:
        BadRowError: it is missing, or nothing that names a class.
    """
    if isinstance(value, list) and len(value) == 1:
        value = value[0]
    if isinstance(value, bool):
        return str(value).lower()
    if value is None or (isinstance(value, float) and math.isnan(value)):
        raise BadRowError(f"'{column}' is missing")
    if isinstance(value, int) or (isinstance(value, float) and value.is_integer()):
        return int(value)
    if not isinstance(value, str):
        raise BadRowError(f"'{column}' is not a class: {str(value)[:40]}")
    return _word(value.strip(), column)


def _word(text: str, column: str) -> RawLabel:
    if text.lower() in MISSING:
        raise BadRowError(f"'{column}' is missing")
    if WHOLE_NUMBER.fullmatch(text):
        return int(float(text)) if "." in text else int(text)
    return text.lower() if text.lower() in TRUTHS else whole(text, column)


def right_choice(value: Any, choices: Sequence[str], column: str) -> int:
    """Return the index of the right choice from its index, its letter or its text."""
    if isinstance(value, str) and value in choices:
        return choices.index(value)
    answer = read_label(value, column)
    if isinstance(answer, str) and re.fullmatch(r"\(?[A-Za-z][).]?", answer):
        answer = ord(answer.strip("().").upper()) - ord("A")
    if not isinstance(answer, int) or not 0 <= answer < len(choices):
        raise BadRowError(f"'{column}' names none of the {len(choices)} choices: {str(value)[:40]}")
    return answer


def preferred(value: Any, columns: Sequence[str], first_is_zero: bool, column: str) -> int:
    """Return 0 or 1 for the better of two responses; a list of judgements is decided by its majority.

    Raises:
        LeftOutError: a tie.
        BadRowError: the label names neither response.
    """
    votes = Counter(judgements(value, columns, first_is_zero, column))
    if votes[0] == votes[1]:
        raise LeftOutError(f"'{column}' is a tie")
    return int(votes[1] > votes[0])


def judgements(value: Any, columns: Sequence[str], first_is_zero: bool, column: str) -> list[int | None]:
    """Return what each annotator said: 0 or 1 for the better response, None for a tie.

    Raises:
        BadRowError: a judgement names neither response.
    """
    said = value if isinstance(value, list) and value else [value]
    return [_preference(one, columns, first_is_zero, column) for one in said]


def _preference(value: Any, columns: Sequence[str], first_is_zero: bool, column: str) -> int | None:
    answer = read_label(value, column)
    if isinstance(answer, int):
        index = answer if first_is_zero else answer - 1
        if index in (0, 1):
            return index
        if index == -1:
            return None
    elif answer.lower() in TIES or answer.lower().startswith("tie"):
        return None
    else:
        for index, spellings in enumerate((("a", "first", "model_a"), ("b", "second", "model_b"))):
            if answer.lower() in (*spellings, columns[index].lower()):
                return index
    raise BadRowError(f"'{column}' names neither response: {str(value)[:40]}")


class Classes:
    """The classes of a task and their indices.

    Args:
        labels: the label of every row, as read.
        given: names in the order the user (or the data set's features) gave them.
        column: for messages.

    Raises:
        DataError: there are so many different labels that they cannot be classes.
    """

    def __init__(self, labels: Sequence[RawLabel], given: Sequence[str] | None, column: str) -> None:
        self.column, self.given = column, given
        self.numbers = 2 * sum(isinstance(label, int) for label in labels) >= len(labels)
        found = sorted({label for label in labels if isinstance(label, int) == self.numbers}, key=_order)
        self.names = tuple(given) if given else tuple(map(str, found))
        self._index = {name: index for index, name in enumerate(self.names)}
        if not given and len(found) > 2 and len(labels) < MIN_ROWS_A_CLASS * len(found):
            raise DataError(
                f"column '{column}' holds {len(found):,} different labels in {len(labels):,} rows",
                why="that is free text or a measurement, not a class",
                fix="name a column of classes: label=COLUMN",
            )

    def index(self, label: RawLabel) -> int:
        """Return the index of a label.

        Raises:
            BadRowError: it is none of the given classes, or a word among numbers (or the reverse).
        """
        known = self._index.get(str(label))
        if known is not None and (self.given or isinstance(label, int) == self.numbers):
            return known
        if not self.given:
            kind = "numbers" if self.numbers else "words"
            raise BadRowError(f"'{self.column}' is '{str(label)[:40]}' where the other labels are {kind}")
        if isinstance(label, int) and 0 <= label < len(self.names) and not any(map(_is_number, self.names)):
            return label
        raise BadRowError(f"'{self.column}' is '{str(label)[:40]}', not one of the classes")


def _order(label: RawLabel) -> tuple[int, str]:
    return (label, "") if isinstance(label, int) else (0, label)


def _is_number(name: str) -> bool:
    return bool(WHOLE_NUMBER.fullmatch(name))
