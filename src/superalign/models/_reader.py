"""From a Text to token ids: chat template, length limit, and what was cut."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal

from superalign.batching import opening
from superalign.chat import Messages, asked
from superalign.errors import ModelError
from superalign.task import Text

Chat = Literal["auto", "always", "never"]


class Reader:
    """Turns texts into token ids as one model reads them.

    A plain text longer than the limit loses its end; a prompt with a response loses its beginning,
    because the response is what is judged.

    Args:
        tokenizer: of transformers.
        limit: most tokens of a text.
        chat: whether texts go through the chat template.
        name: of the model, for messages.
    """

    def __init__(self, tokenizer: Any, limit: int, chat: Chat, name: str) -> None:
        self.tokenizer, self.limit, self.chat, self.name = tokenizer, limit, chat, name
        self.pad_id: int = _first(tokenizer.pad_token_id, tokenizer.eos_token_id, 0)
        self._lone_id: int = _first(tokenizer.bos_token_id, tokenizer.eos_token_id, self.pad_id)
        if chat == "always" and not tokenizer.chat_template:
            raise ModelError(f"{name} has no chat template", fix="chat=auto or chat=never")

    def __call__(self, texts: Sequence[Text]) -> tuple[list[list[int]], list[bool]]:
        """Return the token ids of each text (never empty) and whether it was cut."""
        groups: dict[tuple[bool, bool], list[int]] = {}
        for index, text in enumerate(texts):
            groups.setdefault((self._templated(text), text.response is not None), []).append(index)
        ids: list[list[int]] = [[] for _ in texts]
        cut = [False] * len(texts)
        for (templated, keep_end), indices in groups.items():
            strings = [self._string(texts[index], templated) for index in indices]
            for index, tokens in zip(indices, self._encode(strings, special=not templated), strict=True):
                cut[index] = len(tokens) > self.limit
                ids[index] = self._fit(tokens, keep_end, special=not templated) or [self._lone_id]
        return ids, cut

    def completions(self, texts: Sequence[Text]) -> list[tuple[list[int], list[int]]]:
        """Return each text as the token ids of what is given and of what a policy would write; nothing is cut.

        Given is at least one token: where there is no prompt, the one that begins a text.
        """
        return [self._completion(text) for text in texts]

    def conversation(self, messages: Messages) -> list[int]:
        """Return the token ids of a conversation, up to where the model goes on; nothing is cut.

        Raises:
            ModelError: the chat template refuses it.
        """
        (ids,) = self.spell([self.text_of(messages)])
        return ids or [self._lone_id]

    def answered(self, messages: Messages, answers: Sequence[str]) -> tuple[list[int], list[list[int]]]:
        """Return a conversation and each answer to it as token ids, without the token that ends a turn.

        Where an answer changes how the conversation's last words are cut into tokens, these count among every answer's.

        Raises:
            ModelError: the chat template refuses it.
        """
        said = self.text_of(messages)
        given, *whole = self.spell([said, *(said + clean(answer) for answer in answers)])
        start = opening([given, *whole])
        return given[:start] or [self._lone_id], [ids[start:] for ids in whole]

    def check_length(self, tokens: int) -> None:
        """Refuse what is longer than the limit.

        Raises:
            ModelError: it would have to be cut.
        """
        if tokens > self.limit:
            raise ModelError(f"too long for {self.name}: {tokens} tokens with the answer, {self.limit} at most")

    def _completion(self, text: Text) -> tuple[list[int], list[int]]:
        templated = self._templated(text)
        (ids,) = self._encode([self._string(text, templated)], special=not templated)
        start = int(ids[:1] == [self._lone_id])
        if text.response is not None:
            end = self.tokenizer.eos_token_id
            if not templated and end is not None and ids[-1:] != [end]:
                ids.append(end)
            start = opening([ids, self.conversation(_said(text))])
        return ids[:start] or [self._lone_id], ids[start:]

    @property
    def _talks(self) -> bool:
        return self.chat != "never" and bool(self.tokenizer.chat_template)

    def _templated(self, text: Text) -> bool:
        return self._talks and (self.chat == "always" or text.response is not None)

    def text_of(self, messages: Messages) -> str:
        """Return a conversation as one string, up to where the model goes on.

        Raises:
            ModelError: there is no turn, or the chat template refuses it.
        """
        if not messages:
            raise ModelError("the conversation has no turn")
        turns = [{"role": turn.role, "content": clean(turn.content)} for turn in messages]
        goes_on = messages[-1].role == "assistant"
        if self._talks:
            return self._render(turns, continue_final_message=goes_on, add_generation_prompt=not goes_on)
        return "\n".join(turn["content"] for turn in turns) + ("" if goes_on else "\n")

    def _string(self, text: Text, templated: bool) -> str:
        if not templated:
            return clean(text.plain)
        turns = [{"role": turn.role, "content": clean(turn.content)} for turn in _said(text)]
        if text.response is not None:
            begun = turns.pop()["content"] if turns[-1]["role"] == "assistant" else ""
            turns.append({"role": "assistant", "content": begun + clean(text.response)})
        return self._render(turns)

    def _render(self, turns: list[dict[str, str]], **settings: bool) -> str:
        from jinja2 import TemplateError

        try:
            return str(self.tokenizer.apply_chat_template(turns, tokenize=False, **settings))
        except (TemplateError, ValueError, TypeError) as error:
            why = f"its template says: {str(error).partition(chr(10))[0]}"
            raise ModelError(f"the chat template of {self.name} fails", why=why, fix="chat=never") from error

    def spell(self, strings: list[str]) -> list[list[int]]:
        """Return the token ids of conversations as strings, without what a tokenizer puts at the end of a text."""
        special = not self._talks
        encoded = self._encode(strings, special=special)
        return [ids[: len(ids) - self._specials(ids, special)[1]] if ids else ids for ids in encoded]

    def _encode(self, strings: list[str], *, special: bool) -> list[list[int]]:
        encoded = self.tokenizer(strings, add_special_tokens=special, truncation=False, verbose=False)
        return [list(ids) for ids in encoded["input_ids"]]

    def _fit(self, ids: list[int], keep_end: bool, *, special: bool) -> list[int]:
        """Cut to the limit; the special tokens that open and close a text stay."""
        excess = len(ids) - self.limit
        if excess <= 0:
            return ids
        opening, closing = self._specials(ids, special)
        if keep_end:
            return ids[:opening] + ids[opening + excess :]
        end = len(ids) - closing
        return ids[: end - excess] + ids[end:]

    def _specials(self, ids: list[int], special: bool) -> tuple[int, int]:
        known = {self.tokenizer.bos_token_id, self.tokenizer.cls_token_id}
        opening = int(ids[0] in known)
        added = self.tokenizer.num_special_tokens_to_add(pair=False) if special else opening
        return opening, added - opening


def _said(text: Text) -> Messages:
    return asked(text.prompt) if isinstance(text.prompt, str) else text.prompt


def _first(*ids: int | None) -> int:
    return next(token for token in ids if token is not None)


def clean(text: str) -> str:
    """Return the text with lone surrogates, which no tokenizer takes, replaced."""
    return text.encode("utf-8", "replace").decode("utf-8")
