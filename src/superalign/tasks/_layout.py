"""What the columns of a table are used for."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from superalign.errors import DataError, did_you_mean

Columns = tuple[str, ...]
Values = Mapping[str, Any]


@dataclass(frozen=True)
class Layout:
    """What is read from a row.

    Args:
        kind: `classes` (a text and its class), `pair` (chosen, rejected), `preference` (two responses and which is
            better), `choice` (a question, choices and which is right).
        prompt: columns joined into the prompt; may be empty for a pair.
        bodies: the response column, or the two of a pair or preference, or the column of choices.
        named_tags: tags the user asked for.
        rewards: columns of numbers, of the two bodies.
        first_is_zero: whether a preference counts from 0; from 1, 0 is a tie.
    """

    kind: Literal["classes", "pair", "preference", "choice"]
    prompt: Columns
    bodies: Columns = ()
    label: str = ""
    group: str | None = None
    id: str | None = None
    part: str | None = None
    tags: Columns = ()
    named_tags: Columns = ()
    rewards: Columns = ()
    first_is_zero: bool = True

    def needed(self) -> list[str]:
        """Return the columns without which no row can be read."""
        return [name for name in (*self.prompt, *self.bodies, *self.rewards, self.label, self.group, self.part) if name]


def check_columns(layout: Layout, sample: Sequence[Values], where: str) -> None:
    """Refuse a further table that lacks a column of the first."""
    columns = columns_of(sample)
    for name in layout.needed():
        if name not in columns:
            raise no_column(name, columns, where)


def columns_of(sample: Sequence[Values]) -> list[str]:
    """Return the names of the columns, in the order they are met."""
    return [name for name in dict.fromkeys(name for row in sample for name in row) if name]


def no_column(name: str, columns: Sequence[str], where: str) -> DataError:
    """Return the error for a column that does not exist, with the nearest that does."""
    return DataError(f"there is no column '{name}'", where=where, fix=did_you_mean(name, columns))
