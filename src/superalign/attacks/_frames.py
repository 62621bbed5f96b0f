"""What templates share: filling them with a goal, once, and drawing an order."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import TypeVar

import numpy as np

from superalign.attacker import Goal
from superalign.chat import Message, Messages

T = TypeVar("T")
SLOT = re.compile(r"\{(prompt|claim|denied)\}")
COMPLIES = "Certainly. Here is all of what you asked for:"


def fill(template: str, goal: Goal) -> str:
    """Put the goal's words into `{prompt}`, `{claim}` and `{denied}`; braces within those words stay as they are."""
    return SLOT.sub(lambda slot: str(getattr(goal, slot[1])), template)


def opening(goal: Goal) -> str:
    """Return how the answer begins that is wanted."""
    return goal.claim or COMPLIES


def turns(*texts: str) -> Messages:
    """Return a conversation of user and assistant in turn; the user begins."""
    return tuple(Message("assistant" if n % 2 else "user", text) for n, text in enumerate(texts))


def shuffled(things: Sequence[T], rng: np.random.Generator) -> list[T]:
    """Return the things in an order that is drawn."""
    return [things[i] for i in rng.permutation(len(things))]
