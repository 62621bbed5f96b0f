"""A transformer from a folder or the hub: causal language models, which also talk, and encoders."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, NamedTuple

import numpy as np

from superalign.chat import Messages, Reply, Sampling, Scored
from superalign.config import digest
from superalign.errors import ModelError
from superalign.model import Backbone, Features, Precision, Progress, Voice, models
from superalign.models._adapter import adapter_digests
from superalign.models._held import (
    adapter_of,
    config_of,
    digests_of,
    ends_of,
    folder_of,
    speech_of,
    tokenizer_of,
    trunk_of,
)
from superalign.models._reader import Reader
from superalign.models._settings import TransformerSettings
from superalign.models._torch import pick_device, pick_dtype, use_threads
from superalign.task import Text

if TYPE_CHECKING:
    from superalign.models._forward import Pooling
    from superalign.models._speech import Speech
    from superalign.models._trunk import Trunk

DEFAULT_TOKENS = 512
CPU_TOKENS, GPU_TOKENS = {"bf16": 512, "fp32": 1024}, 16_384  # of a batch (measured)
WRITING_TOKENS = 4096  # of conversations answered together: each further token reads all weights, whoever gets it
NO_LIMIT = 10**9  # tokenizers without a limit say a number beyond this
KNOWLEDGE = 0.6  # of a language model's depth: where statements are told true from false best


class Origin(NamedTuple):
    """What a transformer was made from and how it reads.

    Args:
        folder: of its weights.
        config: of transformers.
        pooling: of a text's tokens.
        max_tokens: longer texts are cut.
        trust_remote_code: whether it runs code of its own.
    """

    folder: Path
    config: Any
    pooling: Pooling
    max_tokens: int
    trust_remote_code: bool


@models.register("hf")
class HuggingFace(TransformerSettings):
    """Hidden states of a transformer in safetensors format, truncated at the highest layer asked for."""

    argument: ClassVar[str | None] = "path"
    trainable: ClassVar[bool] = True

    path: str
    """A folder, or the id of a model on the hub."""
    revision: str | None = None
    """Branch, tag or commit on the hub."""
    trust_remote_code: bool = False
    """Run code that comes with the model."""

    @classmethod
    def known_arguments(cls, name: str) -> Iterable[str]:
        """Return the name when it is a model's folder."""
        return [name] if name and (Path(name).expanduser() / "config.json").is_file() else []

    def fingerprint(self) -> str:
        """Return the SHA-256 of files, pooling, precision, limit, chat, adapter, and unusual ends of answers."""
        decides: dict[str, Any] = {
            "files": digests_of(self._folder()),
            "pooling": self._pooling(),
            "max_tokens": self._limit(),
            "dtype": self._dtype(),
            "chat": self.chat,
        }
        if (adapter := self._adapter()) is not None:
            decides["adapter"] = adapter_digests(adapter)
        if more := self._ends() - {self._tokenizer().eos_token_id}:
            decides["ends"] = sorted(more)
        return digest(decides)

    def depth(self) -> int:
        """Return the number of layers, from the configuration alone."""
        return int(self._config().num_hidden_layers)

    def chosen_layer(self) -> int:
        """Return `layer`, or the default rule's."""
        if self.layer is not None:
            return self.check_layer(self.layer)
        return round(KNOWLEDGE * self.depth()) if self._causal() else self.depth()

    def features(self, texts: Sequence[Text], layers: Sequence[int], progress: Progress | None = None) -> Features:
        """Compute pooled hidden states, in length-sorted batches without needless padding."""
        from superalign.models._forward import hidden_states

        use_threads()
        actual = {layer: self.check_layer(layer) for layer in layers}
        reader = self._reader()
        ids, cut = reader(texts)
        if not ids:
            return Features({layer: np.empty((0, self._width()), np.float32) for layer in layers}, [], [])
        values = hidden_states(
            self._trunk(max(actual.values())),
            ids,
            sorted(set(actual.values())),
            self._pooling(),
            budget=self._budget(),
            pad_id=reader.pad_id,
            progress=progress,
        )
        return Features({layer: values[place] for layer, place in actual.items()}, cut, [len(row) for row in ids])

    def generate(
        self, prompts: Sequence[Messages], sampling: Sampling, seeds: Sequence[int], progress: Progress | None = None
    ) -> list[Reply]:
        """Answer each conversation with the whole model, whatever its `layer`; none is cut."""
        if not self._causal():
            return super().generate(prompts, sampling, seeds, progress)
        from superalign.models._writing import write

        speech, reader = self._speech(), self._speaker()
        budget = self.batch_tokens or max(self._budget(), WRITING_TOKENS)
        return write(speech, reader, prompts, sampling, seeds, self._ends(), budget, progress)

    def logprobs(
        self, prompts: Sequence[Messages], answers: Sequence[Sequence[str]], progress: Progress | None = None
    ) -> list[Scored]:
        """Return how likely the whole model finds each answer, whatever its `layer`; no conversation is cut."""
        if not self._causal():
            return super().logprobs(prompts, answers, progress)
        from superalign.models._scoring import score

        return score(self._speech(), self._speaker(), prompts, answers, self._budget(), progress)

    def precision(self) -> Precision:
        """Return `dtype`, or what the hardware multiplies natively."""
        return self._dtype()

    def backbone(self, dtype: Precision = "fp32") -> Backbone:
        """Load a fresh network for training: up to the `layer` that was set, whole when none was."""
        from superalign.models._forward import pool_last, pool_mean
        from superalign.models._head import attention_windows
        from superalign.models._trunk import load_trunk

        use_threads()
        device = pick_device(self.device)
        layer = self.depth() if self.layer is None else self.chosen_layer()
        module: Any = load_trunk(self._folder(), layer, dtype, device, self.trust_remote_code, self._adapter()).module
        if device == "cpu":
            module.set_attn_implementation("eager")  # a step takes 15 % less time than with the fused kernel
        reader = self._reader()

        def tokenize(texts: Sequence[Text]) -> tuple[list[list[int]], int]:
            ids, cut = reader(texts)
            return ids, sum(cut)

        pool = pool_last if self._pooling() == "last" else pool_mean
        voice = partial(self._voice, module, reader) if self._causal() and layer == self.depth() else None
        windows = attention_windows(module.config)
        return Backbone(module, self._width(), tokenize, pool, reader.pad_id, layer, self._causal(), windows, voice)

    def origin(self) -> Origin:
        """Return what this model was made from and how it reads, for those who load it without superalign."""
        return Origin(self._folder(), self._config(), self._pooling(), self._limit(), self.trust_remote_code)

    def _voice(self, module: Any, reader: Reader) -> Voice:
        from superalign.models._head import load_head

        head = load_head(self._folder(), self._config(), module)
        return Voice(head, reader.completions, self._limit(), reader)

    def _folder(self) -> Path:
        return folder_of(self.path, self.revision)

    def _adapter(self) -> Path | None:
        return None if self.adapter is None else adapter_of(self.adapter, self._folder())

    def _config(self) -> Any:
        return config_of(self._folder(), self.trust_remote_code)

    def _tokenizer(self) -> Any:
        return tokenizer_of(self._folder(), self.trust_remote_code)

    def _causal(self) -> bool:
        from superalign.models._trunk import is_causal

        return is_causal(self._config())

    def _width(self) -> int:
        return int(self._config().hidden_size)

    def _pooling(self) -> Pooling:
        if self.pooling != "auto":
            return self.pooling
        return "last" if self._causal() else "mean"

    def _dtype(self) -> Precision:
        return pick_dtype(self.dtype, pick_device(self.device))

    def _limit(self) -> int:
        limit = self._own_limit(DEFAULT_TOKENS)
        if self.max_tokens is not None and self.max_tokens > limit:
            raise ModelError(f"{self} reads at most {limit} tokens, not {self.max_tokens}")
        return self.max_tokens or min(limit, DEFAULT_TOKENS)

    def _own_limit(self, default: int) -> int:
        limits = (getattr(self._config(), "max_position_embeddings", None), self._tokenizer().model_max_length)
        return min((int(value) for value in limits if value and 0 < value < NO_LIMIT), default=default)

    def _budget(self) -> int:
        return self.batch_tokens or (CPU_TOKENS[self._dtype()] if pick_device(self.device) == "cpu" else GPU_TOKENS)

    def _reader(self) -> Reader:
        return Reader(self._tokenizer(), self._limit(), self.chat, str(self))

    def _speaker(self) -> Reader:
        return Reader(self._tokenizer(), self._own_limit(NO_LIMIT), self.chat, str(self))

    def _speech(self) -> Speech:
        use_threads()
        device = pick_device(self.device)
        return speech_of(self._folder(), self._dtype(), device, self.trust_remote_code, self._adapter())

    def _ends(self) -> frozenset[int]:
        """Return the tokens that end an answer: what its generation settings and its tokenizer say."""
        end = self._tokenizer().eos_token_id
        return ends_of(self._folder()) | ({end} if end is not None else set())

    def _trunk(self, depth: int) -> Trunk:
        device = pick_device(self.device)
        return trunk_of(self._folder(), depth, self._dtype(), device, self.trust_remote_code, self._adapter())
