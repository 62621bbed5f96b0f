"""Where in a conversation a string stands that is searched for, and which token ids a model really reads there."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from superalign.attacker import Goal
from superalign.batching import opening as shared
from superalign.chat import Messages, asked
from superalign.errors import DataError, ModelError
from superalign.model import Spelling

IntArray = npt.NDArray[np.int64]
BoolArray = npt.NDArray[np.bool_]
CONTEXT = 48  # characters before a string that are read with it: words do not reach further


@dataclass(frozen=True)
class Place:
    """The end of a user's turn, as one model reads it for one goal.

    Args:
        prompt: what the user says before the string.
        head: the conversation as text, up to the string.
        tail: the conversation as text, from the string to where the answer begins.
        before: token ids of the head.
        after: token ids of the tail.
        target: token ids of what the answer shall begin with.
        start: token ids of the string that the search begins with.
        spelling: of the model.
    """

    prompt: str
    head: str
    tail: str
    before: tuple[int, ...]
    after: tuple[int, ...]
    target: tuple[int, ...]
    start: tuple[int, ...]
    spelling: Spelling = field(repr=False, compare=False)

    @property
    def size(self) -> int:
        """Tokens that are read, the string's included: nobody asks what follows the last token of the target."""
        return len(self.before) + len(self.start) + len(self.after) + len(self.target) - 1

    def whole(self, strings: IntArray) -> IntArray:
        """Return what is read, int64 [b, size], of strings [b, n]."""
        rows = [np.tile(np.array(part, dtype=np.int64), (len(strings), 1)) for part in (self.before, self.after)]
        said = np.tile(np.array(self.target[:-1], dtype=np.int64), (len(strings), 1))
        return np.concatenate([rows[0], strings, rows[1], said], 1)

    def texts(self, strings: IntArray) -> list[str | None]:
        """Return strings as text; None where they are none of their own after what stands before them."""
        anchor = list(self.before[-1:])
        decode = self.spelling.tokenizer.batch_decode
        lead, *texts = decode([anchor, *(anchor + row for row in strings.tolist())], clean_up_tokenization_spaces=False)
        return [text[len(lead) :] if text.startswith(lead) else None for text in texts]

    def messages(self, string: Sequence[int]) -> Messages | None:
        """Return the conversation with a string in it; None where the model would read other tokens than meant."""
        (text,) = self.texts(np.array([string], dtype=np.int64))
        if text is None:
            return None
        messages = asked(self.prompt + text)
        (ids,) = self.spelling.spell([self.spelling.text_of(messages)])
        return messages if ids == [*self.before, *string, *self.after] else None

    def survive(self, strings: IntArray) -> BoolArray:
        """Tell which strings become the same tokens again when they are read next to what surrounds them, bool [b].

        It reads the last characters of the head, not all of it; `messages` reads all.
        """
        texts = self.texts(strings)
        lead = self.head[-CONTEXT:]
        read = self.spelling.spell([lead + (text or "") + self.tail for text in texts])
        after = list(self.after)
        wanted = [row + after for row in strings.tolist()]
        pairs = zip(texts, read, wanted, strict=True)
        return np.array([text is not None and ids[-len(meant) :] == meant for text, ids, meant in pairs], dtype=bool)


def place_of(spelling: Spelling, goal: Goal, init: str, name: str) -> Place:
    """Find where a string stands that begins as `init`, after a space at the end of the user's turn.

    Args:
        spelling: of the model.
        goal: what is asked, and what the answer shall begin with.
        init: the string.
        name: of the model, for messages.

    Raises:
        DataError: the goal says nothing that could be made likely.
        ModelError: the chat template changes what a user says, or the tokenizer changes the string.
    """
    if not goal.claim:
        why = "it says no words that the target's answer shall begin with"
        raise DataError(f"goal '{goal.id}' cannot be followed along a gradient", why=why, fix="give every goal a claim")
    string = " " + init.strip()
    other = next(f" {sign}" for sign in map(chr, range(33, 0x3000)) if sign not in init)

    def opening(text: str) -> str:
        return spelling.text_of(asked(goal.prompt + text))

    mine = opening(string)
    head = mine[: shared([mine, opening(other)]) - 1]  # both begin with a space
    tail = mine[len(head) + len(string) :]
    if mine != head + string + tail or opening(other) != head + other + tail:
        raise _misread(name, f"its chat template does not leave the end of {goal.prompt!r:.80} as it is", "chat=never")
    ids, others, said = spelling.spell([mine, opening(other), mine + goal.claim])
    first, last = shared([ids, others]), len(ids) - shared([ids[::-1], others[::-1]])
    target = said[len(ids) :] if said[: len(ids)] == ids else spelling.spell([goal.claim])[0]
    before, start, after = (tuple(part) for part in (ids[:first], ids[first:last], ids[last:]))
    place = Place(goal.prompt, head, tail, before, after, tuple(target), start, spelling)
    (text,) = place.texts(np.array([start], dtype=np.int64))
    if not start or not text or not string.endswith(text):
        raise _misread(name, f"its tokenizer does not give back {init!r}", "another init")
    given = string[: len(string) - len(text)]
    place = Place(goal.prompt + given, head + given, tail, before, after, tuple(target), start, spelling)
    if not target or place.messages(start) is None:
        raise _misread(name, f"its tokenizer reads {init!r} or {goal.claim!r:.80} otherwise in a conversation", None)
    return place


def allowed_tokens(spelling: Spelling, size: int, ascii_only: bool) -> IntArray:
    """Return the ids that a string may be made of: no special or added ones, and of plain characters if asked, int64.

    Args:
        spelling: of the model.
        size: ids that have an embedding.
        ascii_only: whether they must be printable ASCII.
    """
    tokenizer = spelling.tokenizer
    size = min(size, len(tokenizer))
    barred = {*tokenizer.all_special_ids, *tokenizer.get_added_vocab().values()}
    texts = tokenizer.batch_decode([[token] for token in range(size)], clean_up_tokenization_spaces=False)
    chosen = [
        token
        for token, text in enumerate(texts)
        if text and token not in barred and (not ascii_only or (text.isascii() and text.isprintable()))
    ]
    return np.array(chosen, dtype=np.int64)


def _misread(name: str, why: str, fix: str | None) -> ModelError:
    return ModelError(f"a string cannot be placed in what is said to {name}", why=why, fix=fix)
