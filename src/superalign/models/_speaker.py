"""What the models share that only write: how a chat completion is read, and what they cannot do."""

from __future__ import annotations

from abc import ABC
from collections.abc import Sequence
from dataclasses import replace
from typing import Any, ClassVar, NoReturn

from superalign.chat import Messages, Reply, Sampling
from superalign.display import printable
from superalign.errors import ModelError
from superalign.model import Backbone, Features, Model, Precision, Progress
from superalign.models._reader import clean
from superalign.task import Text

SEEDS = 2**31  # some servers take no larger seed
WORDS = 300  # characters of what a server says that are passed on


class Speaker(Model, ABC):
    """Base of the models that only write: there are no hidden states to be had of them."""

    has_features: ClassVar[bool] = False

    def depth(self) -> int:
        """Refuse: see `features`."""
        self._refuse()

    def chosen_layer(self) -> int:
        """Refuse: see `features`."""
        self._refuse()

    def features(self, texts: Sequence[Text], layers: Sequence[int], progress: Progress | None = None) -> Features:
        """Refuse.

        Raises:
            ModelError: always.
        """
        self._refuse()

    def backbone(self, dtype: Precision = "fp32") -> Backbone:
        """Refuse.

        Raises:
            ModelError: always.
        """
        raise ModelError(f"{self} only writes text: it cannot be trained", fix="take the model itself as hf:FOLDER")

    def _refuse(self) -> NoReturn:
        raise ModelError(
            f"{self} only writes text: it has no layers and no features", fix="take the model itself as hf:FOLDER"
        )


def request(prompt: Messages, sampling: Sampling, seed: int) -> dict[str, Any]:
    """Return what a chat completion is asked for with."""
    return {
        "messages": turns(prompt),
        "max_tokens": sampling.max_tokens,
        "temperature": sampling.temperature,
        "top_p": sampling.top_p,
        "seed": seed % SEEDS,
        **({"stop": list(sampling.stop)} if sampling.stop else {}),
    }


def turns(prompt: Messages) -> list[dict[str, str]]:
    """Return a conversation as plain data."""
    return [{"role": turn.role, "content": clean(turn.content)} for turn in prompt]


def reply_of(answer: Any) -> Reply:
    """Read a chat completion; what is no answer becomes a Reply with the error."""
    tokens_in, tokens_out = _counts(answer)

    def said(text: str, finish: Any) -> Reply:
        return Reply(clean(text), finish, tokens_in, tokens_out)

    def failed(why: str) -> Reply:
        return Reply("", "error", tokens_in, tokens_out, why)

    match answer:
        case {"choices": [{"finish_reason": "content_filter"}, *_]}:
            return failed("the content filter of the server held the answer back")
        case {"choices": [{"message": {"refusal": str(text)}}, *_]} if text:
            return said(text, "stop")
        case {"choices": [{"finish_reason": "stop" | "length" as finish, "message": {"content": str(text)}}, *_]}:
            return said(text, finish)
        case {"choices": [{"finish_reason": "tool_calls" | "function_call"}, *_]}:
            return failed("the model called a tool instead of answering")
        case {"choices": [{"message": {"content": str()}} as choice, *_]}:
            return failed(f"the answer ended for a reason that is not known: {str(choice.get('finish_reason'))[:40]!r}")
        case {"choices": [{"message": {"content": None}}, *_]}:
            return failed("the answer holds no text")
        case {"choices": []}:
            return failed("the answer holds no choices")
        case {"error": {"message": str(words)}}:
            return failed(printable(words)[:WORDS])
    return failed("what came is not a chat completion")


def prefill(prompt: Messages) -> str | None:
    """Return the words that were put into the model's mouth, if any were."""
    return prompt[-1].content if prompt and prompt[-1].role == "assistant" else None


def without_prefill(reply: Reply, prompt: Messages) -> Reply:
    """Return a reply without the prefill, which some servers say again."""
    return replace(reply, text=reply.text.removeprefix(clean(prefill(prompt) or "")))


def _counts(answer: Any) -> tuple[int, int]:
    match answer:
        case {"usage": {"prompt_tokens": int(read), "completion_tokens": int(written)}} if min(read, written) >= 0:
            return int(read), int(written)
    return 0, 0
