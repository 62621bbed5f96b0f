"""The mean of static vectors against the file itself."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import save_file

from superalign.models.wordllama import WordLlama
from superalign.task import Text


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder of four words; the tokenizer file asks for padding, which must not reach the mean."""
    from tokenizers import Tokenizer, models, pre_tokenizers

    tokenizer = Tokenizer(models.WordLevel({"[UNK]": 0, "one": 1, "two": 2, "three": 3}, unk_token="[UNK]"))
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    tokenizer.enable_padding(pad_id=3)
    tokenizer.enable_truncation(2)
    tokenizer.save(str(tmp_path / "tokenizer.json"))
    vectors = np.array([[9, 9], [1, 0], [0, 1], [4, 4]], dtype=np.float16)
    save_file({"embedding.weight": vectors}, tmp_path / "model.safetensors")
    return tmp_path


def test_mean_of_real_tokens_only(folder: Path) -> None:
    texts = [Text("one"), Text("one two three"), Text("one", "two"), Text("")]
    found = WordLlama(folder=folder).features(texts, [0])
    assert found.layers[0].tolist() == pytest.approx(np.array([[1, 0], [5 / 3, 5 / 3], [0.5, 0.5], [0, 0]]))
    assert list(found.tokens) == [1, 3, 2, 0]


def test_progress_and_empty_request(folder: Path) -> None:
    told: list[tuple[int, int, int]] = []
    model = WordLlama(folder=folder)
    model.features([Text("one two")] * 300, [0], lambda *facts: told.append(facts))
    assert told == [(256, 300, 512), (300, 300, 600)]
    assert model.features([], [0]).layers[0].shape == (0, 2)


def test_fingerprint_follows_the_files(folder: Path) -> None:
    before = WordLlama(folder=folder).fingerprint()
    save_file({"embedding.weight": np.zeros((4, 2), np.float16)}, folder / "model.safetensors")
    assert WordLlama(folder=folder).fingerprint() != before


@pytest.mark.model
def test_real_vectors_know_related_words(embedded_home: Path) -> None:
    model = WordLlama(folder=embedded_home / "models" / "wordllama")
    king, queen, carrot = model.features([Text("king"), Text("queen"), Text("carrot")], [0]).layers[0]

    def similar(a: np.ndarray, b: np.ndarray) -> float:
        return float(a @ b / np.linalg.norm(a) / np.linalg.norm(b))

    assert similar(king, queen) > similar(king, carrot) + 0.1
