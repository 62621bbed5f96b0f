"""A model behind HTTP: vLLM, SGLang, the server of llama.cpp, or whoever else speaks OpenAI's chat completions."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from typing import Annotated, Any, ClassVar, Literal, TypeVar
from urllib.parse import urlsplit

import numpy as np
from pydantic import BaseModel, Field, ValidationError, field_validator

from superalign.chat import Messages, Reply, Sampling, Scored
from superalign.config import digest
from superalign.errors import ConfigError, ModelError
from superalign.model import Progress, models
from superalign.models._http import Endpoint, UnansweredError
from superalign.models._reader import clean
from superalign.models._speaker import Speaker, prefill, reply_of, request, turns, without_prefill

T = TypeVar("T", Reply, Scored)
URL = "OPENAI_BASE_URL"
Price = Annotated[float, Field(ge=0, allow_inf_nan=False)]


@models.register("openai")
class OpenAI(Speaker):
    """Any OpenAI-compatible endpoint. It has no weights to look at: `revision` is what tells two of them apart."""

    argument: ClassVar[str | None] = "model"

    model: str
    """The model's name on the server."""
    url: str = ""
    """Where the server is, up to and with `/v1`. Default: what $OPENAI_BASE_URL says; there is no other."""
    key: str = "OPENAI_API_KEY"
    """NAME of the environment variable that holds the key, never the key itself; empty sends none."""
    revision: str = ""
    """Whatever tells this model from another of the same name: a date, a commit. Part of the fingerprint."""
    continues: bool = False
    """The server knows `continue_final_message` (vLLM, SGLang): it goes on with a last turn of the assistant."""
    scores: Literal["none", "echo"] = "none"
    """How likely given answers are: echo asks `/tokenize` and `/completions` with echo, as vLLM knows them."""
    concurrency: Annotated[int, Field(ge=1, le=1024)] = 8
    """Conversations asked at once."""
    timeout: Annotated[float, Field(gt=0, le=86_400)] = 60.0
    """Seconds for one try."""
    retries: Annotated[int, Field(ge=0, le=100)] = 5
    """Further tries after status 408, 409, 429 or 5xx, a timeout or a broken connection."""
    price_in: Price | None = None
    """Of a million tokens read."""
    price_out: Price | None = None
    """Of a million tokens written."""

    @field_validator("url", mode="before")
    @classmethod
    def _settled(cls, given: Any) -> Any:
        url = (given or os.environ.get(URL, "")) if isinstance(given, str) else given
        if url == "":
            raise ConfigError(
                "openai needs the setting 'url'",
                why=f"there is no default, and ${URL} is not set",
                fix=f"openai:MODEL,url=http://localhost:8000/v1, or set {URL}",
            )
        if isinstance(url, str) and not _is_plain(url := url.rstrip("/")):
            raise ConfigError(  # it may hold a secret: neither shown nor kept
                "setting 'url' of openai is not a plain address",
                where="setting 'url'",
                why="it needs http or https and a host, and takes no user, password, query or fragment",
                fix="url=http://localhost:8000/v1; a key comes from the environment variable that 'key' names",
            )
        return url

    @field_validator("key", mode="before")
    @classmethod
    def _named(cls, given: Any) -> Any:
        if isinstance(given, str) and not re.fullmatch(r"([A-Z_][A-Z0-9_]*)?", given):
            raise ConfigError(  # it may be the key: neither shown nor kept
                "setting 'key' of openai is not the name of an environment variable",
                where="setting 'key'",
                why="a name has capital letters, digits and underscores; the key itself is never a setting",
                fix="export OPENAI_API_KEY=... and leave 'key' out",
            )
        return given

    def fingerprint(self) -> str:
        """Return the digest of url, name, revision and how prefills are sent: there are no weights to look at."""
        return digest([self.url, self.model, self.revision, self.continues])

    def generate(
        self, prompts: Sequence[Messages], sampling: Sampling, seeds: Sequence[int], progress: Progress | None = None
    ) -> list[Reply]:
        """Ask for a chat completion each; one that fails is a Reply with the error and harms no other."""

        def ask(server: Endpoint, prompt: Messages, seed: int) -> Reply:
            body = {"model": self.model, **request(prompt, sampling, seed), **self._going_on(prompt)}
            try:
                reply = reply_of(server.post(f"{self.url}/chat/completions", body))
            except UnansweredError as failure:
                return Reply("", "error", error=str(failure), gone=failure.gone)
            return reply if self.continues else without_prefill(reply, prompt)

        def tokens(reply: Reply) -> int:
            return reply.tokens_in + reply.tokens_out

        return self._each(ask, list(zip(prompts, seeds, strict=True)), tokens, progress)

    def logprobs(
        self, prompts: Sequence[Messages], answers: Sequence[Sequence[str]], progress: Progress | None = None
    ) -> list[Scored]:
        """Score the answers to each conversation in one request.

        Raises:
            ModelError: `scores` is none.
        """
        if self.scores == "none":
            raise ModelError(
                f"{self} does not say how likely a given answer is",
                why="chat completions do not tell",
                fix="scores=echo when the server is vLLM, or a model in this process: hf:FOLDER, embedded:smollm2",
            )

        def ask(server: Endpoint, prompt: Messages, given: Sequence[str]) -> Scored:
            try:
                return self._score(server, prompt, given)
            except UnansweredError as failure:
                k = len(given)
                lost = np.full(k, np.nan, np.float32)
                return Scored(lost, np.zeros(k, np.int64), error=str(failure), gone=failure.gone)

        def tokens(scored: Scored) -> int:
            return scored.tokens_in + int(scored.tokens.sum())

        return self._each(ask, list(zip(prompts, answers, strict=True)), tokens, progress)

    def cost(self, replies: Iterable[Reply]) -> float | None:
        """Return what replies cost, in the currency of the prices; None where a price is not set."""
        if self.price_in is None or self.price_out is None:
            return None
        return sum(self.price_in * one.tokens_in + self.price_out * one.tokens_out for one in replies) / 1e6

    def _score(self, server: Endpoint, prompt: Messages, given: Sequence[str]) -> Scored:
        opening = self._ids(server, {"messages": turns(prompt), **self._going_on(prompt, always=True)})
        ids = [self._ids(server, {"prompt": clean(text), "add_special_tokens": False}) for text in given]
        lengths = [len(one) for one in ids]
        asked = {"model": self.model, "prompt": [opening + one for one in ids], "temperature": 1.0}
        asked |= {"max_tokens": 0, "echo": True, "logprobs": 1}
        sums = _sums(server.post(f"{self.url}/completions", asked), len(opening), lengths) if ids else []
        return Scored(np.array(sums, dtype=np.float32), np.array(lengths, dtype=np.int64), len(opening))

    def _ids(self, server: Endpoint, asked: dict[str, Any]) -> list[int]:
        """Return the token ids of a text or a conversation; vLLM's `/tokenize` is beside `/v1`."""
        answer = server.post(f"{self.url.removesuffix('/v1')}/tokenize", {"model": self.model, **asked})
        try:
            return _Tokenized.model_validate(answer).tokens
        except ValidationError:
            raise UnansweredError("what came from /tokenize are no tokens: is the server vLLM?") from None

    def _going_on(self, prompt: Messages, *, always: bool = False) -> dict[str, bool]:
        """Return the fields that tell a server to go on with the last turn."""
        if prefill(prompt) is None or not (always or self.continues):
            return {}
        return {"continue_final_message": True, "add_generation_prompt": False}

    def _each(
        self,
        ask: Callable[..., T],
        asked: Sequence[tuple[Any, ...]],
        tokens: Callable[[T], int],
        progress: Progress | None,
    ) -> list[T]:
        """Return the answers in order; `concurrency` are under way at once."""
        server = Endpoint(self.key, self.timeout, self.retries)
        pool, spent = ThreadPoolExecutor(self.concurrency), 0
        try:
            futures = [pool.submit(ask, server, *one) for one in asked]
            for done, future in enumerate(as_completed(futures), start=1):
                spent += tokens(future.result())
                if progress:
                    progress(done, len(futures), spent)
            return [future.result() for future in futures]
        finally:
            server.close()
            pool.shutdown(cancel_futures=True)


def _is_plain(url: str) -> bool:
    try:
        parts = urlsplit(url)
        whole = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
        (parts.hostname or "").encode("idna")
    except ValueError:
        return False
    spare = parts.username is not None or parts.password is not None or parts.query or parts.fragment
    return whole and not spare and url.isascii() and url.isprintable() and " " not in url


def _sums(answer: Any, start: int, lengths: Sequence[int]) -> list[float]:
    """Return the log-probability of each answer: of its `lengths` tokens after the first `start`."""
    try:
        echoes = sorted(_Echoes.model_validate(answer).choices, key=lambda one: one.index)
        told = [one.logprobs.token_logprobs[start : start + n] for one, n in zip(echoes, lengths, strict=True)]
        whole = [[value for value in values if value is not None] for values in told]
        if [len(values) for values in whole] == list(lengths):
            return [sum(values) for values in whole]
    except ValueError:  # of another shape, or another number
        pass
    raise UnansweredError("what came from /completions does not tell the log-probability of every token")


class _Tokenized(BaseModel):
    tokens: list[int]


class _TokenLogprobs(BaseModel):
    token_logprobs: list[float | None]


class _Echo(BaseModel):
    index: int
    logprobs: _TokenLogprobs


class _Echoes(BaseModel):
    choices: list[_Echo]
