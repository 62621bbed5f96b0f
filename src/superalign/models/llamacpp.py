"""A GGUF file, read by llama.cpp in this process: for writing, several times faster than torch on a CPU."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path
from secrets import token_hex
from typing import Annotated, Any, ClassVar

from pydantic import Field

from superalign.chat import Messages, Reply, Sampling
from superalign.config import digest
from superalign.errors import ModelError, require
from superalign.model import Progress, models
from superalign.models._folder import file_digest
from superalign.models._speaker import Speaker, reply_of, request, without_prefill
from superalign.models._torch import asked_threads


@models.register("llamacpp")
class LlamaCpp(Speaker):
    """A language model in a GGUF file; needs `superalign[llamacpp]`. It writes, one conversation at a time."""

    argument: ClassVar[str | None] = "file"

    file: str
    """The GGUF file."""
    threads: Annotated[int, Field(ge=1)] | None = None
    """Default: all usable cores."""
    context: Annotated[int, Field(ge=64)] = 2048
    """Most tokens of a conversation with its answer; above it, an error."""

    def fingerprint(self) -> str:
        """Return the digest of the file's SHA-256 and the context."""
        return digest([file_digest(self._path()), self.context])

    def generate(
        self, prompts: Sequence[Messages], sampling: Sampling, seeds: Sequence[int], progress: Progress | None = None
    ) -> list[Reply]:
        """Answer one after the other, each from scratch, so that none depends on those before it."""
        path = self._path()
        server = _loaded(path, path.stat().st_mtime_ns, asked_threads(self.threads), self.context)
        replies: list[Reply] = []
        spent = 0
        for prompt, seed in zip(prompts, seeds, strict=True):
            answer = server.handle_chat_completions({**request(prompt, sampling, seed), "cache_prompt": False})
            replies.append(without_prefill(reply_of(answer), prompt))
            spent += replies[-1].tokens_in + replies[-1].tokens_out
            if progress:
                progress(len(replies), len(prompts), spent)
        return replies

    def _path(self) -> Path:
        path = Path(self.file).expanduser()
        if not path.is_file():
            raise ModelError(f"there is no file '{self.file}'", fix="llamacpp:FILE.gguf")
        return path


@lru_cache(maxsize=1)
def _loaded(path: Path, changed: int, threads: int, context: int) -> Any:
    require("xllamacpp", "llamacpp")
    import xllamacpp

    settings = xllamacpp.CommonParams()
    settings.model.path = str(path)
    settings.n_ctx, settings.n_parallel, settings.verbosity = context, 1, -1
    settings.cpuparams.n_threads = settings.cpuparams_batch.n_threads = threads
    settings.api_keys, settings.ui = [token_hex()], False  # it listens on a local port that nobody else is to use
    try:
        return xllamacpp.Server(settings)
    except RuntimeError as error:
        raise ModelError(
            "llama.cpp cannot load the model", where=str(path), why=str(error), fix="is it a whole GGUF file?"
        ) from error
