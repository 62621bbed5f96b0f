"""Static token vectors, averaged: a bag of words with meanings."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt

from superalign.config import digest
from superalign.errors import require
from superalign.model import Features, Model, Progress
from superalign.models._folder import file_digest
from superalign.models._reader import clean
from superalign.task import Text

FloatArray = npt.NDArray[np.float32]
VECTORS, TOKENIZER = "model.safetensors", "tokenizer.json"
CHUNK = 256  # texts tokenized at once


class WordLlama(Model):
    """The mean of a text's token vectors, of width 256; an empty text is the zero vector."""

    name: ClassVar[str] = "embedded:wordllama"

    folder: Path
    """Where `fetch` put the vectors and the tokenizer."""

    def fingerprint(self) -> str:
        """Return the SHA-256 of vectors and tokenizer."""
        return digest({name: file_digest(self.folder / name) for name in (VECTORS, TOKENIZER)})

    def depth(self) -> int:
        """Return 0: there is only the embedding."""
        return 0

    def chosen_layer(self) -> int:
        """Return 0."""
        return 0

    def features(self, texts: Sequence[Text], layers: Sequence[int], progress: Progress | None = None) -> Features:
        """Average the vectors of each text's tokens; a prompt with a response is read as one text of two lines."""
        vectors, tokenizer = _load(self.folder)
        values = np.zeros((len(texts), vectors.shape[1]), dtype=np.float32)
        tokens: list[int] = []
        for start in range(0, len(texts), CHUNK):
            lines = [clean(text.plain) for text in texts[start : start + CHUNK]]
            for encoded in tokenizer.encode_batch(lines, add_special_tokens=False):
                if encoded.ids:
                    values[len(tokens)] = vectors[encoded.ids].mean(0)
                tokens.append(len(encoded.ids))
            if progress:
                progress(len(tokens), len(texts), sum(tokens))
        cut = [False] * len(texts)
        return Features({layer: values for layer in layers if self.check_layer(layer) == 0}, cut, tokens)


@lru_cache(maxsize=1)
def _load(folder: Path) -> tuple[FloatArray, Any]:
    require("tokenizers", "local")
    from safetensors.numpy import load_file
    from tokenizers import Tokenizer

    (vectors,) = load_file(folder / VECTORS).values()
    tokenizer = Tokenizer.from_file(str(folder / TOKENIZER))
    tokenizer.no_padding()
    tokenizer.no_truncation()
    return vectors.astype(np.float32), tokenizer
