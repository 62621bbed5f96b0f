"""What is said to a model and what it says back: messages, how an answer is drawn, and how likely given answers are."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Literal, NamedTuple

import numpy as np
import numpy.typing as npt
from pydantic import Field

from superalign.config import Config

FloatArray = npt.NDArray[np.float32]
IntArray = npt.NDArray[np.int64]
Finish = Literal["stop", "length", "error"]


class Message(NamedTuple):
    """One turn."""

    role: Literal["system", "user", "assistant"]
    content: str


Messages = tuple[Message, ...]
"""A conversation so far. When the last turn is the assistant's, the model goes on with it (a prefill)."""


def asked(text: str) -> Messages:
    """Return the conversation that begins with a user's text."""
    return (Message("user", text),)


def as_text(messages: Messages) -> str:
    """Return a conversation as one text: a single turn bare, several as `User: ...`, `Assistant: ...`."""
    if len(messages) == 1:
        return messages[0].content
    return "\n\n".join(f"{turn.role.capitalize()}: {turn.content}" for turn in messages)


class Sampling(Config):
    """How an answer is drawn."""

    max_tokens: Annotated[int, Field(ge=1)] = 64
    """Most tokens of it."""
    temperature: Annotated[float, Field(ge=0)] = 0.0
    """0 takes the likeliest token each time."""
    top_p: Annotated[float, Field(gt=0, le=1)] = 1.0
    """Draw among the likeliest tokens that hold so much probability together."""
    stop: tuple[str, ...] = ()
    """The answer ends before any of these."""


@dataclass(frozen=True)
class Reply:
    """What a model wrote.

    Args:
        text: without what ended it; empty where there was an error.
        finish: why it ended: the model stopped, it reached the most tokens, or an error.
        tokens_in: tokens of the conversation.
        tokens_out: tokens written.
        error: what went wrong, in words.
        gone: whether the model can be asked nothing more for now: where it was, nobody answers.
    """

    text: str
    finish: Finish = "stop"
    tokens_in: int = 0
    tokens_out: int = 0
    error: str | None = None
    gone: bool = False


@dataclass(frozen=True)
class Scored:
    """How likely a model finds given answers to one conversation.

    Args:
        logprobs: log p(answer | conversation), summed over its tokens, float32 [k]; NaN where there was an error.
        tokens: of each answer, int64 [k].
        tokens_in: tokens of the conversation.
        error: what went wrong, in words.
        gone: whether the model can be asked nothing more for now.
    """

    logprobs: FloatArray
    tokens: IntArray
    tokens_in: int = 0
    error: str | None = None
    gone: bool = False
