"""A tiny random language model with room for a judge's prompt."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from checkpoints import save_checkpoint
from superalign.job import Tools
from superalign.store import Store


@pytest.fixture(scope="session")
def talker(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the folder of a random Llama that reads 8,192 tokens."""
    place = tmp_path_factory.mktemp("talker") / "llama"
    save_checkpoint("llama", place)
    for name, key in (("config.json", "max_position_embeddings"), ("tokenizer_config.json", "model_max_length")):
        settings = json.loads((place / name).read_text())
        (place / name).write_text(json.dumps({**settings, key: 8192}))
    return place


@pytest.fixture
def kept(tmp_path: Path) -> Tools:
    """Return tools with an empty store."""
    return Tools(Store(tmp_path / "store"), lambda **_: None)
