"""Reading texts from a row: plain, as chat messages, or as a transcript whose last turn is the response."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from typing import Any

OPTIONAL = {"input", "context"}
HUMAN, ASSISTANT = "\n\nHuman:", "\n\nAssistant:"
SPEAKERS = {"user": "Human", "human": "Human", "assistant": "Assistant", "gpt": "Assistant", "system": "System"}


class BadRowError(Exception):
    """A row cannot be used; the message says why."""


class LeftOutError(Exception):
    """A row is whole, but says nothing about which answer is right."""


def read_text(value: Any, column: str) -> str:
    """Return a text; chat messages become a transcript.

    Raises:
        BadRowError: it is missing, empty, not a text, or not valid Unicode.
    """
    if value is None:
        raise BadRowError(f"'{column}' is missing")
    if isinstance(value, list):
        return transcript(value, column)
    if not isinstance(value, str):
        raise BadRowError(f"'{column}' is not a text but {type(value).__name__}")
    if not value.strip():
        raise BadRowError(f"'{column}' is empty")
    return whole(value, column)


def whole(text: str, column: str) -> str:
    """Return `text` unless a part of a character stands alone in it: no tokenizer and no file can take that."""
    if not text.isascii():
        try:
            text.encode()
        except UnicodeEncodeError:
            raise BadRowError(f"'{column}' is not valid UTF-8") from None
    return text


def joined(values: Mapping[str, Any], columns: Sequence[str]) -> str:
    """Return the texts of several columns, one a line; `input` and `context` beside others may be empty."""
    if len(columns) == 1:
        return read_text(values.get(columns[0]), columns[0])
    optional = {name for name in columns if name.lower() in OPTIONAL and not values.get(name)}
    return "\n".join(read_text(values.get(name), name) for name in columns if name not in optional)


def turns(messages: Sequence[Any], column: str) -> tuple[str, str | None]:
    """Split chat messages into prompt and response; the response is None when the assistant is not last."""
    if len(messages) > 1 and _speaker(messages[-1]) == "Assistant":
        return transcript(messages[:-1], column), transcript(messages[-1:], column)
    return transcript(messages, column), None


def transcript(messages: Sequence[Any], column: str) -> str:
    """Return chat messages as one text: a single one bare, several as `Human: ...`, `Assistant: ...`."""
    texts = [_content(message, column) for message in messages]
    if not any(text.strip() for text in texts):
        raise BadRowError(f"'{column}' is empty")
    if len(texts) == 1:
        return texts[0]
    return "\n\n".join(f"{_speaker(message)}: {text}" for message, text in zip(messages, texts, strict=True))


def split_pair(chosen: Any, rejected: Any, columns: Sequence[str], prompt: str) -> tuple[str, str, str]:
    """Return prompt, chosen and rejected response of a pair whose prompt may be inside its two sides.

    Chat messages share their first ones; a transcript is split at the last `Assistant:` turn both sides share;
    other texts where their last shared line ends. Of a list of texts one is drawn by the prompt.
    """
    sides = (chosen, rejected)
    if all(isinstance(side, list) and side and isinstance(side[0], dict) for side in sides):
        shared = _shared(chosen, rejected)
        prompt = prompt or (transcript(chosen[:shared], columns[0]) if shared else "")
        return prompt, transcript(chosen[shared:], columns[0]), transcript(rejected[shared:], columns[1])
    good, bad = (read_text(_one_of(side, prompt), name) for side, name in zip(sides, columns, strict=True))
    if not prompt:
        return _split_shared(good, bad)
    if good.startswith(prompt) and bad.startswith(prompt):
        good, bad = good[len(prompt) :], bad[len(prompt) :]
    return _bare(prompt), good, bad


def _split_shared(good: str, bad: str) -> tuple[str, str, str]:
    length = next((i for i, (a, b) in enumerate(zip(good, bad, strict=False)) if a != b), min(len(good), len(bad)))
    common = good[:length]
    cut = common.rfind(ASSISTANT)
    after = cut + len(ASSISTANT)
    if cut <= 0:
        cut = after = common.rfind("\n")
    if cut <= 0 or not common[:cut].strip():
        return "", good, bad
    return _bare(good[:cut]), good[after:].strip(), bad[after:].strip()


def _bare(prompt: str) -> str:
    """Return the prompt without the `Human:` of its only turn."""
    opened = prompt.removesuffix(ASSISTANT.strip()).strip()
    start = HUMAN.strip()
    single = opened.startswith(start) and HUMAN not in opened and ASSISTANT not in opened
    return opened[len(start) :].strip() if single else opened


def _one_of(value: Any, draw: str) -> Any:
    if isinstance(value, list) and value and all(isinstance(text, str) for text in value):
        return value[int.from_bytes(hashlib.sha256(draw.encode()).digest()[:8]) % len(value)]
    return value


def _shared(first: Sequence[Any], second: Sequence[Any]) -> int:
    shared = 0
    while shared < min(len(first), len(second)) - 1 and first[shared] == second[shared]:
        shared += 1
    return shared


def _content(message: Any, column: str) -> str:
    content = message.get("content", message.get("value")) if isinstance(message, dict) else None
    if isinstance(content, list):
        content = "".join(str(part.get("text", "")) for part in content if isinstance(part, dict))
    if not isinstance(content, str):
        raise BadRowError(f"'{column}' is neither a text nor a list of messages")
    return whole(content, column)


def _speaker(message: Any) -> str:
    role = str(message.get("role", message.get("from", ""))) if isinstance(message, dict) else ""
    return SPEAKERS.get(role.lower(), role.capitalize())
