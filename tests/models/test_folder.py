"""Folders that are no models, or damaged ones, are named with what to do; digests are computed once."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from superalign.errors import ModelError
from superalign.models._folder import check_folder, file_digest, folder_digests
from superalign.models.hf import HuggingFace
from superalign.task import Text

Tiny = Callable[[str], Path]


@pytest.fixture
def copied(tiny: Tiny, tmp_path: Path) -> Path:
    return Path(shutil.copytree(tiny("llama"), tmp_path / "model"))


def refused(folder: Path | str, **settings: object) -> ModelError:
    with pytest.raises(ModelError) as caught:
        HuggingFace.parse({"path": str(folder), **settings}).features([Text("x")], [1])
    return caught.value


def test_missing_folder(tmp_path: Path) -> None:
    assert "there is no folder" in refused(tmp_path / "nowhere").what
    assert "there is no folder" in refused("./nowhere").what
    for path in (tmp_path / "nowhere", "./nowhere"):
        assert "hub" not in str(refused(path))


def test_nearest_model_is_named(copied: Path) -> None:
    assert refused(copied.with_name("modle")).fix == f"did you mean '{copied}'?"


def test_file_instead_of_folder(copied: Path) -> None:
    assert "is a file" in refused(copied / "model.safetensors").what


def test_folder_without_configuration(tmp_path: Path) -> None:
    error = refused(tmp_path)
    assert (error.what, error.where) == ("not a model's folder", str(tmp_path))


def test_pickled_weights_are_refused_with_the_way_out(copied: Path) -> None:
    (copied / "model.safetensors").rename(copied / "pytorch_model.bin")
    error = refused(copied)
    assert "pickled" in error.what
    assert "safetensors" in (error.fix or "")


def test_no_weights_at_all(copied: Path) -> None:
    (copied / "model.safetensors").unlink()
    assert "has no weights" in refused(copied).what


def test_truncated_weights_are_named(copied: Path) -> None:
    file = copied / "model.safetensors"
    os.truncate(file, file.stat().st_size - 1)
    error = refused(copied)
    assert "cut short" in error.what
    assert error.where == str(file)


@pytest.mark.parametrize("content", [b"", b"\x00" * 64, b"not a tensor file at all", b"\xff" * 20])
def test_what_is_not_safetensors_is_named(copied: Path, content: bytes) -> None:
    (copied / "model.safetensors").write_bytes(content)
    error = refused(copied)
    assert "not in safetensors format" in error.what
    assert error.where == str(copied / "model.safetensors")


def test_missing_shard_is_named(copied: Path) -> None:
    (copied / "model.safetensors").rename(copied / "model-00001-of-00002.safetensors")
    index = {"weight_map": {"a": "model-00001-of-00002.safetensors", "b": "model-00002-of-00002.safetensors"}}
    (copied / "model.safetensors.index.json").write_text(json.dumps(index))
    assert "model-00002-of-00002.safetensors" in (refused(copied).why or "")


def test_sharded_weights_load(copied: Path, tmp_path: Path) -> None:
    from transformers import AutoModelForCausalLM

    before = HuggingFace(path=str(copied), dtype="fp32").features([Text("x y")], [2]).layers[2]
    sharded = tmp_path / "sharded"
    shutil.copytree(copied, sharded)
    (sharded / "model.safetensors").unlink()
    AutoModelForCausalLM.from_pretrained(copied).save_pretrained(sharded, max_shard_size="40KB")
    assert len(check_folder(sharded)) > 1
    after = HuggingFace(path=str(sharded), dtype="fp32").features([Text("x y")], [2]).layers[2]
    assert before.tolist() == after.tolist()


def test_weights_that_do_not_fit_are_refused(copied: Path) -> None:
    config = json.loads((copied / "config.json").read_text())
    (copied / "config.json").write_text(json.dumps({**config, "num_hidden_layers": 5}))
    model = HuggingFace(path=str(copied), dtype="fp32")
    assert model.features([Text("x")], [3]).layers[3].shape == (1, 32)
    with pytest.raises(ModelError, match="do not fit") as caught:
        model.features([Text("x")], [4])
    assert "layers.3." in (caught.value.why or "")


def test_broken_configuration_and_tokenizer(copied: Path) -> None:
    (copied / "tokenizer.json").write_text("{")
    assert "tokenizer" in refused(copied).what
    (copied / "config.json").write_text("{")
    assert "cannot be loaded" in refused(copied).what


def test_encoder_decoder_is_refused(tmp_path: Path, tiny: Tiny) -> None:
    from transformers import T5Config, T5ForConditionalGeneration

    config = T5Config(vocab_size=330, d_model=16, d_kv=4, d_ff=16, num_layers=2, num_heads=2)
    T5ForConditionalGeneration(config).save_pretrained(tmp_path)
    error = refused(tmp_path)
    assert "encoder-decoder" in error.what
    assert error.fix


def test_code_in_the_folder_is_not_run(copied: Path) -> None:
    config = json.loads((copied / "config.json").read_text())
    config |= {"model_type": "of_its_own", "auto_map": {"AutoConfig": "code.Config", "AutoModel": "code.Model"}}
    (copied / "config.json").write_text(json.dumps(config))
    (copied / "code.py").write_text("raise SystemExit('it ran')")
    error = refused(copied)
    assert "wants to run code" in error.what
    assert "trust_remote_code" in (error.fix or "")


@pytest.mark.parametrize("name", ["nobody/no-such-model", "no-such-model"])
def test_unknown_hub_id_offline(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    error = refused(name)
    assert "neither a folder nor within reach" in error.what
    assert "HF_HUB_OFFLINE" in (error.why or "")


def test_hub_id_in_the_local_cache_works_offline(tiny: Tiny, tmp_path: Path) -> None:
    commit = "0123456789abcdef0123456789abcdef01234567"
    cached = tmp_path / "hub" / "models--someone--tiny"
    shutil.copytree(tiny("llama"), cached / "snapshots" / commit)
    (cached / "refs").mkdir()
    (cached / "refs" / "main").write_text(commit)
    script = (
        "from superalign.model import models\nfrom superalign.task import Text\n"
        "model = models.build('hf:someone/tiny,dtype=fp32')\n"
        "print(model.fingerprint(), model.features([Text('x')], [2]).layers[2].shape)"
    )
    env = {**os.environ, "HF_HUB_CACHE": str(tmp_path / "hub"), "HF_HUB_OFFLINE": "1"}
    ran = subprocess.run([sys.executable, "-c", script], env=env, capture_output=True, text=True, check=False)
    assert ran.stdout.endswith("(1, 32)\n"), ran.stderr
    assert ran.stderr == ""
    assert folder_digests(cached / "snapshots" / commit) == {"commit": commit, "model.safetensors": ""}


def test_large_file_is_hashed_once(tmp_path: Path, isolated_home: Path) -> None:
    file = tmp_path / "large"
    file.write_bytes(os.urandom(2 << 20))
    right = hashlib.sha256(file.read_bytes()).hexdigest()
    assert file_digest(file) == right
    book = isolated_home / "digests.json"
    (key,) = json.loads(book.read_text())
    book.write_text(json.dumps({key: "from the book"}))
    assert file_digest(file) == "from the book"
    os.utime(file, ns=(1, 1))  # a changed file is hashed again
    assert file_digest(file) == right


@pytest.mark.parametrize("damage", ["", "{", "[]", '{"a": 1}'])
def test_damaged_book_of_digests_is_started_again(tmp_path: Path, isolated_home: Path, damage: str) -> None:
    file = tmp_path / "large"
    file.write_bytes(b"x" * (2 << 20))
    isolated_home.mkdir()
    (isolated_home / "digests.json").write_text(damage)
    assert file_digest(file) == hashlib.sha256(file.read_bytes()).hexdigest()


def test_files_of_the_tokenizer_count(copied: Path) -> None:
    names = set(folder_digests(copied))
    assert {"config.json", "model.safetensors", "tokenizer.json", "chat_template.jinja"} <= names
