"""Whole merges of small models: what is written, from which configs, what is refused, and what a kill leaves."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import signal
import subprocess
import sys

import numpy as np
import pytest
import references as formula
import yaml
from checkpoints_to_merge import CONFIG, VOCABULARY, adapted, copy, save, save_adapter, tensors_of, weights
from safetensors.numpy import load_file, save_file
from xxhash import xxh3_128_hexdigest

from faults import Crash, Shell, leftovers, small_disk
from superalign.errors import ConfigError, ModelError, ResumeError, StoreError, SuperalignError
from superalign.merging import describe, merge
from superalign.merging.dtypes import decode, encode
from superalign.merging.methods.dare import Dare
from superalign.merging.tensors import remembered
from superalign.merging.writing import Draft

CLOSE = {"rtol": 1e-4, "atol": 1e-5}
NAMES = ("base", "one", "two", "three")


@pytest.fixture
def folders(tmp_path):
    return [save(tmp_path / name, weights(number), shards=1 + number % 2) for number, name in enumerate(NAMES)]


def config(folders, method="task-arithmetic", **more):
    listed = [{"model": str(folder), "parameters": {"weight": 0.5}} for folder in folders[1:]]
    return {"merge_method": method, "base_model": str(folders[0]), "models": listed, **more}


def test_task_arithmetic_end_to_end(folders, tmp_path):
    out = merge(config(folders, parameters={"lambda": 0.8}, hashes="sha256"), tmp_path / "out")
    found = tensors_of(out)
    for name, base in weights(0).items():
        wanted = formula.task_arithmetic(base, [weights(i)[name] for i in (1, 2, 3)], [0.5] * 3, 0.8)
        np.testing.assert_allclose(found[name], wanted, **CLOSE)
    assert json.loads((out / "config.json").read_text()) == CONFIG
    assert json.loads((out / "tokenizer.json").read_text())["model"]["vocab"] == VOCABULARY
    manifest = json.loads((out / "superalign.json").read_text())
    for file, digest in manifest["read_sha256"].items():
        with open(file, "rb") as stream:
            assert hashlib.file_digest(stream, "sha256").hexdigest() == digest
    assert manifest["method"]["name"] == "task-arithmetic"
    assert {str(folders[1] / f"model-0000{i}-of-00002.safetensors") for i in (1, 2)} <= manifest["read_sha256"].keys()
    for name, files in manifest["read_xxh3"].items():
        assert len(files) == 4
        for file, digest in files.items():
            assert xxh3_128_hexdigest(load_file(file)[name].tobytes()) == digest
        assert (
            xxh3_128_hexdigest(load_file(out / "model.safetensors")[name].tobytes()) == manifest["written_xxh3"][name]
        )
    assert not leftovers(tmp_path)


def digests(folder):
    return {file.name: hashlib.sha256(file.read_bytes()).hexdigest() for file in sorted(folder.iterdir())}


@pytest.mark.parametrize("method", ["ties", "dare_ties", "della", "tsv-m"])
def test_the_bytes_do_not_depend_on_threads_or_memory(folders, tmp_path, method):
    settings = config(folders, method, dtype="bfloat16")
    first = digests(merge({**settings, "memory": 1e-6}, tmp_path / "first", threads=1))
    second = digests(merge({**settings, "memory": 1e-6}, tmp_path / "second", threads=4))
    third = digests(merge(settings, tmp_path / "third", threads=4))
    assert first == second
    assert first["model.safetensors"] == third["model.safetensors"]


def test_ties_across_the_model(folders, tmp_path):
    out = merge(config(folders, "ties", parameters={"across": "model", "density": 0.3}), tmp_path / "out")
    names = sorted(weights(0))
    flat = [np.concatenate([(weights(i)[name] - weights(0)[name]).ravel() for name in names]) for i in (1, 2, 3)]
    trimmed = [formula.trimmed(one, int(0.3 * len(one))) for one in flat]
    wanted = formula.elected(trimmed, [0.5] * 3, True)
    found = tensors_of(out)
    np.testing.assert_allclose(
        np.concatenate([(found[name] - weights(0)[name]).ravel() for name in names]), wanted, rtol=1e-3, atol=1e-5
    )


def test_shards_and_dtypes(folders, tmp_path):
    out = merge(config(folders, shard_size=3e-7, out_dtype="float16", dtype="bfloat16"), tmp_path / "out")
    index = json.loads((out / "model.safetensors.index.json").read_text())
    assert len({*index["weight_map"].values()}) > 1
    assert json.loads((out / "config.json").read_text())["dtype"] == "float16"
    whole = tensors_of(merge(config(folders), tmp_path / "whole"))
    for name, value in tensors_of(out).items():
        np.testing.assert_array_equal(value, whole[name].astype(np.float16).astype(np.float32))


def test_bf16_is_rounded_as_torch_does():
    import torch

    draw = np.random.default_rng(0).standard_normal(10_000).astype(np.float32) * 10.0 ** np.arange(-20, 20).repeat(250)
    values = np.concatenate([draw.astype(np.float32), np.float32([0, -0.0, 1e-45, 3.3e38])])
    raw = torch.from_numpy(values).bfloat16()
    ours = encode(values, "BF16")
    np.testing.assert_array_equal(ours.view(np.int16), raw.view(torch.int16).numpy())
    np.testing.assert_array_equal(decode(ours, "BF16"), raw.float().numpy())
    assert encode(np.float32([3.4e38]), "BF16") is None
    assert encode(np.float32([1e5]), "F16") is None


@pytest.mark.parametrize("wrong", [np.nan, -np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("dtype", ["BF16", "F16", "F32", "F64"])
def test_what_is_no_number_is_found_in_every_float(dtype, wrong):
    import torch

    kinds = {"BF16": torch.bfloat16, "F16": torch.float16, "F32": torch.float32, "F64": torch.float64}
    values = torch.full((7,), -3.0, dtype=kinds[dtype])
    assert decode(values.view(torch.uint8).numpy(), dtype) is not None
    values[4] = wrong
    assert decode(values.view(torch.uint8).numpy(), dtype) is None


def test_a_block_that_is_asked_for_twice_is_read_once():
    read = []

    def rows_of(rows):
        read.append(rows)
        return np.full((rows.stop - rows.start, 3), len(read), np.float32)

    base = remembered(rows_of)
    assert base(slice(0, 2)) is base(slice(0, 2))
    assert base(slice(2, 4)).max() == 2
    assert base(slice(0, 2)).max() == 3
    assert len(read) == 3
    with pytest.raises(ValueError, match="read-only"):
        base(slice(0, 2))[0] = 1


class TestAdapters:
    @pytest.fixture
    def pair(self, folders, tmp_path):
        return folders[0], [save_adapter(tmp_path / f"lora{i}", i) for i in (1, 2)]

    def settings(self, pair, method, **more):
        base, adapters = pair
        return {"merge_method": method, "base_model": str(base), "models": [str(one) for one in adapters], **more}

    @pytest.mark.parametrize("method", ["linear", "task_arithmetic", "ties", "tsv-m", "wudi"])
    def test_are_merged_as_the_models_they_stand_for(self, pair, tmp_path, method):
        wholes = [save(tmp_path / f"whole{i}", adapted(weights(0), one)) for i, one in enumerate(pair[1])]
        found = tensors_of(merge(self.settings(pair, method), tmp_path / "out"))
        models = {"merge_method": method, "models": [str(one) for one in wholes], "base_model": str(pair[0])}
        for name, value in tensors_of(merge(models, tmp_path / "dense")).items():
            np.testing.assert_allclose(found[name], value, rtol=2e-3, atol=2e-4)

    def test_named_with_their_base(self, pair, tmp_path):
        joined = {"merge_method": "linear", "models": [f"{pair[0]}+{one}" for one in pair[1]]}
        first = digests(merge(joined, tmp_path / "joined"))
        second = digests(merge(self.settings(pair, "linear"), tmp_path / "named"))
        assert first["model.safetensors"] == second["model.safetensors"]

    @pytest.mark.parametrize("method", ["linear", "task_arithmetic", "tsv-m", "iso-c", "wudi"])
    def test_can_stay_adapters(self, pair, tmp_path, method):
        out = merge(self.settings(pair, method, output="adapter"), tmp_path / "adapter")
        whole = tensors_of(merge(self.settings(pair, method), tmp_path / "model"))
        for name, value in adapted(weights(0), out).items():
            np.testing.assert_allclose(value, whole[name], rtol=1e-3, atol=1e-4)
        again = tensors_of(merge(self.settings((pair[0], [out]), "task_arithmetic"), tmp_path / "again"))
        for name, value in whole.items():
            np.testing.assert_allclose(again[name], value, rtol=1e-3, atol=1e-4)

    def test_peft_reads_what_was_written(self, pair, tmp_path):
        from peft import LoraConfig, PeftConfig

        out = merge(self.settings(pair, "tsv-m", output="adapter"), tmp_path / "adapter")
        read = PeftConfig.from_pretrained(out)
        assert isinstance(read, LoraConfig)
        assert {*read.rank_pattern} == {"model.layers.0.self_attn.q_proj", "model.layers.0.mlp.up_proj"}

    def test_what_is_not_of_low_rank_is_refused(self, pair, tmp_path):
        with pytest.raises(ConfigError, match="cannot give an adapter"):
            merge(self.settings(pair, "ties", output="adapter"), tmp_path / "out")
        assert not leftovers(tmp_path)

    def test_a_factor_that_does_not_fit_is_named(self, pair, tmp_path):
        file = pair[1][0] / "adapter_model.safetensors"
        held = load_file(file)
        held["base_model.model.model.layers.0.mlp.up_proj.lora_A.weight"] = np.zeros((2, 5), np.float32)
        save_file(held, file)
        with pytest.raises(ModelError, match=r"layers.0.mlp.up_proj.lora_A.weight") as caught:
            merge(self.settings(pair, "linear"), tmp_path / "out")
        assert str(file) in str(caught.value)


def test_a_mergekit_config_runs(folders, tmp_path):
    text = f"""
    slices:
      - sources:
          - model: {folders[0]}
            layer_range: [0, 2]
          - model: {folders[1]}
            layer_range: [0, 2]
    merge_method: slerp
    base_model: {folders[0]}
    parameters:
      t:
        - filter: self_attn
          value: [0, 0.5]
        - filter: mlp
          value: 1
        - value: 0.25
    dtype: float32
    """
    (tmp_path / "slerp.yaml").write_text(text)
    found = tensors_of(merge(tmp_path / "slerp.yaml", tmp_path / "out"))
    amounts = {"layers.0.self_attn": 0, "layers.1.self_attn": 0.5, "mlp": 1, "embed": 0.25, "norm": 0.25}
    for name, value in found.items():
        t = next(amount for part, amount in amounts.items() if part in name)
        np.testing.assert_allclose(value, formula.slerp(weights(0)[name], weights(1)[name], t), **CLOSE)


def test_the_base_among_the_models_is_no_expert(folders, tmp_path):
    settings = config(folders, "ties", parameters={"int8_mask": True, "normalize": True, "density": 0.5})
    with_base = {**settings, "models": [{"model": str(folders[0])}, *settings["models"]]}
    first = digests(merge(settings, tmp_path / "first"))
    assert first["model.safetensors"] == digests(merge(with_base, tmp_path / "second"))["model.safetensors"]


def test_weights_along_the_layers(folders, tmp_path):
    settings = config(folders, "task_arithmetic")
    settings["models"] = [{"model": str(folders[1]), "parameters": {"weight": [0.0, 1.0]}}]
    found = tensors_of(merge(settings, tmp_path / "out"))
    for name, value in found.items():
        np.testing.assert_allclose(value, weights("layers.1" in name)[name], **CLOSE)


def test_rewarded_soups_are_a_sweep(folders, tmp_path):
    models = [str(folder) for folder in folders[1:3]]
    out = merge({"merge_method": "rewarded_soups", "models": models, "parameters": {"steps": 2}}, tmp_path / "out")
    held = json.loads((out / "soups.json").read_text())
    assert [list(held[name].values()) for name in held] == [[1, 0], [0.5, 0.5], [0, 1]]
    for name, share in held.items():
        for tensor, value in tensors_of(out / name).items():
            wanted = sum(w * weights(i)[tensor] for i, w in zip((1, 2), share.values(), strict=True))
            np.testing.assert_allclose(value, wanted, **CLOSE)


MISTAKES = {
    "method": ({"merge_method": "tise"}, "did you mean 'ties'"),
    "field": ({"out_dtpye": "float32"}, "did you mean 'out_dtype'"),
    "field of mergekit": ({"tokenizer": {"source": "union"}}, "'tokenizer' is not supported"),
    "modules": ({"modules": {"a": {}}}, "'modules' is not supported"),
    "parameter": ({"parameters": {"densty": 1}}, "did you mean 'density'"),
    "parameter of another method": ({"parameters": {"gamma": 0.1}}, "unknown parameter 'gamma'"),
    "value": ({"parameters": {"density": 2}}, "less than or equal to 1"),
    "gradient": ({"parameters": {"density": ["a"]}}, "a gradient is a list of numbers"),
    "dtype": ({"dtype": "int8"}, "'dtype'"),
    "no base": ({"base_model": None}, "needs base_model"),
    "no models": ({"models": []}, "at least 1"),
    "models": ({"models": 3}, "'models' is a list"),
    "key of a model": ({"models": [{"model": "x", "wieght": 1}]}, "unknown setting 'wieght'"),
    "parameter of a model": ({"models": [{"model": "x", "parameters": {"across": "model"}}]}, "of one model in ties"),
    "weights": ({"merge_method": "linear", "parameters": {"weight": 0}, "models": None}, "sum to zero"),
    "weight": ({"parameters": {"weight": "many"}, "models": None}, "a weight must be a number"),
    "union": ({"tokenizer_source": "union"}, "union"),
    "folder": ({"models": ["./nowhere"]}, "there is no folder './nowhere'"),
    "adapter": ({"output": "adapter"}, "needs adapters"),
}


@pytest.mark.parametrize("mistake", MISTAKES)
def test_mistakes_are_named(folders, tmp_path, mistake):
    change, said = MISTAKES[mistake]
    if "models" in change and change["models"] is None:
        change = {**change, "models": [str(folder) for folder in folders[1:]]}
    with pytest.raises(SuperalignError) as caught:
        merge({**config(folders, "ties"), **change}, tmp_path / "out")
    assert said in str(caught.value)
    assert not (tmp_path / "out").exists()
    assert not leftovers(tmp_path)


def damaged(folder, change, file="model.safetensors"):
    held = load_file(folder / file)
    change(held)
    save_file(held, folder / file)


NORM, QUERY = "model.norm.weight", "model.layers.0.self_attn.q_proj.weight"


class TestDamage:
    """Folder 2 is one file: what is wrong with it must be said by tensor and file."""

    def says(self, folders, tmp_path, *words, kind=ModelError):
        with pytest.raises(kind) as caught:
            merge(config(folders, "ties"), tmp_path / "out")
        for word in words:
            assert word in str(caught.value)
        assert not (tmp_path / "out").exists()
        assert not leftovers(tmp_path)

    def test_shape(self, folders, tmp_path):
        damaged(folders[2], lambda held: held.update({QUERY: held[QUERY][:5].copy()}))
        self.says(folders, tmp_path, QUERY, "two/model.safetensors", "[5, 6] and [6, 6]")

    def test_missing(self, folders, tmp_path):
        damaged(folders[2], lambda held: held.pop(NORM))
        self.says(folders, tmp_path, f"'{NORM}' is missing", "two")

    def test_extra(self, folders, tmp_path):
        damaged(folders[2], lambda held: held.update(more=np.zeros(3, np.float32)))
        self.says(folders, tmp_path, "'more' is one too many", "two/model.safetensors")

    @pytest.mark.parametrize("value", [np.nan, np.inf])
    def test_nan(self, folders, tmp_path, value):
        damaged(folders[2], lambda held: held[QUERY].__setitem__((3, 1), value))
        self.says(folders, tmp_path, QUERY, "two/model.safetensors", "NaN or infinity")

    def test_cut_short(self, folders, tmp_path):
        file = folders[1] / "model-00002-of-00002.safetensors"
        os.truncate(file, file.stat().st_size - 10)
        self.says(folders, tmp_path, str(file), "cut short", "the first tensor that is not whole is 'model.")

    def test_pickle(self, folders, tmp_path):
        (folders[2] / "model.safetensors").rename(folders[2] / "pytorch_model.bin")
        self.says(folders, tmp_path, "pickled", "two")

    def test_shard_that_is_gone(self, folders, tmp_path):
        (folders[1] / "model-00002-of-00002.safetensors").unlink()
        self.says(folders, tmp_path, "weights are incomplete", "model-00002-of-00002")

    def test_index_that_lies(self, folders, tmp_path):
        file = folders[1] / "model.safetensors.index.json"
        index = json.loads(file.read_text())
        index["weight_map"]["model.ghost.weight"] = "model-00001-of-00002.safetensors"
        file.write_text(json.dumps(index))
        self.says(folders, tmp_path, "'model.ghost.weight' is missing", "one/model-00001")

    def test_tied_weights_that_differ(self, folders, tmp_path):
        damaged(folders[2], lambda held: held.update({"lm_head.weight": np.zeros((11, 6), np.float32)}))
        self.says(folders, tmp_path, "lm_head.weight", "tied")

    def test_tied_weights_that_are_saved_twice_are_written_once(self, folders, tmp_path):
        damaged(folders[2], lambda held: held.update({"lm_head.weight": held["model.embed_tokens.weight"].copy()}))
        assert "lm_head.weight" not in tensors_of(merge(config(folders), tmp_path / "out"))

    def test_another_architecture(self, folders, tmp_path):
        (folders[2] / "config.json").write_text(json.dumps({**CONFIG, "num_attention_heads": 3}))
        (folders[0] / "config.json").write_text(json.dumps({**CONFIG, "num_attention_heads": 2}))
        self.says(folders, tmp_path, "'num_attention_heads': 3 and 2")

    def test_statistics_are_asked_for(self, folders, tmp_path):
        with pytest.raises(ConfigError, match="needs what was measured") as caught:
            merge(config(folders, "fisher"), tmp_path / "out")
        assert "superalign.merging.measure" in caught.value.fix

    def test_what_does_not_fit_the_dtype(self, folders, tmp_path):
        for folder in folders[1:3]:
            for file in folder.glob("*.safetensors"):
                damaged(folder, lambda held: [value.__imul__(1e6) for value in held.values()], file.name)
        with pytest.raises(ModelError, match="does not fit into F16"):
            merge(config(folders, out_dtype="float16"), tmp_path / "out")

    def test_full_disk(self, folders, tmp_path):
        try:
            with small_disk(tmp_path / "small", "4k") as disk:
                with pytest.raises(StoreError, match="disk is full"):
                    merge(config(folders), disk / "out")
                assert not any(disk.iterdir())
        except PermissionError as error:
            pytest.skip(f"a small disk cannot be mounted here: {error}")

    def test_other_files_are_not_written_over(self, folders, tmp_path):
        with pytest.raises(ConfigError, match="is not empty"):
            merge(config(folders), folders[1])
        first = merge(config(folders), tmp_path / "out")
        assert merge(config(folders), tmp_path / "out") == first
        with pytest.raises(ConfigError, match="is not empty") as caught:
            merge(config(folders, seed=3), tmp_path / "out")
        assert "another merge" in str(caught.value)


class TestTokens:
    def test_vocabularies_must_agree(self, folders, tmp_path):
        other = save(tmp_path / "other", weights(4), vocabulary={**VOCABULARY, "t3": 4, "t4": 3})
        with pytest.raises(ModelError, match="the vocabularies differ: 't3' is 3 and 4"):
            merge(config([*folders, other]), tmp_path / "out")

    def test_templates_must_agree_or_be_chosen(self, folders, tmp_path):
        other = save(tmp_path / "other", weights(4), template="{{ other }}")
        settings = config([*folders, other])
        with pytest.raises(ModelError, match="chat templates differ"):
            merge(settings, tmp_path / "out")
        for number, (chosen, wanted) in enumerate(((str(other), "{{ other }}"), ("{{ mine }}", "{{ mine }}"))):
            out = merge({**settings, "chat_template": chosen}, tmp_path / f"out{number}")
            assert (out / "chat_template.jinja").read_text() == wanted
            assert "chat_template" not in json.loads((out / "tokenizer_config.json").read_text())
        out = merge({**settings, "tokenizer_source": "base"}, tmp_path / "source")
        assert json.loads((out / "tokenizer_config.json").read_text())["chat_template"] == "{{ messages }}"

    def test_the_template_of_the_base_need_not_agree(self, folders, tmp_path):
        file = folders[0] / "tokenizer_config.json"
        file.write_text(json.dumps({"eos_token": "t9"}))
        out = merge(config(folders), tmp_path / "out")
        assert json.loads((out / "tokenizer_config.json").read_text())["chat_template"] == "{{ messages }}"

    def test_settings_must_agree(self, folders, tmp_path):
        file = folders[2] / "tokenizer_config.json"
        file.write_text(json.dumps({**json.loads(file.read_text()), "eos_token": "t2"}))
        with pytest.raises(ModelError, match="tokenizers differ in 'eos_token'"):
            merge(config(folders), tmp_path / "out")


SLOWLY = """
import os, signal, sys, threading
from superalign.merging.writing import Draft
left, turn = int(sys.argv[1]), threading.Lock()
finish = Draft.finish
def finish_or_die(self, name, digest, read):
    global left
    with turn:
        if left == 0:
            os.kill(os.getpid(), signal.SIGKILL)
        left -= 1
        finish(self, name, digest, read)
Draft.finish = finish_or_die
from superalign.merging import merge
merge(sys.argv[2], sys.argv[3], threads=2)
"""


def test_killed_and_gone_on(folders, tmp_path, monkeypatch):
    settings = tmp_path / "merge.yaml"
    settings.write_text(yaml.safe_dump(config(folders, "dare_ties", dtype="bfloat16")))
    calm = digests(merge(settings, tmp_path / "calm"))
    out, draft = tmp_path / "out", tmp_path / ".out.merging"
    killed = subprocess.run([sys.executable, "-c", SLOWLY, "3", str(settings), str(out)], check=False)
    assert killed.returncode == -signal.SIGKILL
    assert not out.exists()
    journal = [json.loads(line) for line in (draft / "journal.jsonl").read_text().splitlines()]
    done = [line["tensor"] for line in journal[1:]]
    assert len(done) == 3
    place = json.loads((draft / "model.safetensors").read_bytes()[8:].split(b"}}")[0] + b"}}")[done[0]]
    start = 8 + int.from_bytes((draft / "model.safetensors").read_bytes()[:8], "little") + place["data_offsets"][0]
    with (draft / "model.safetensors").open("r+b") as file:  # what was journalled is read again, and not believed
        file.seek(start)
        byte = file.read(1)
        file.seek(start)
        file.write(bytes([byte[0] ^ 1]))
    with (draft / "journal.jsonl").open("a") as file:
        file.write('\n{"tensor": "model.no')
    merged = []
    thin = Dare.thin
    monkeypatch.setattr(
        Dare, "thin", lambda self, stack, *rest: (merged.append(stack.name), thin(self, stack, *rest))[1]
    )
    merge(settings, out)
    assert digests(out) == calm
    assert {*merged} == weights(0).keys() - {*done[1:]}
    assert not leftovers(tmp_path)


def test_what_another_merge_left_is_not_taken_along(folders, tmp_path):
    adapters = [str(save_adapter(tmp_path / f"lora{i}", i)) for i in (1, 2)]
    draft = tmp_path / ".out.merging"
    draft.mkdir()
    (draft / "model.safetensors").write_bytes(b"left")
    (draft / "journal.jsonl").write_text('{"digest": "of another merge"}')
    settings = {"merge_method": "linear", "base_model": str(folders[0]), "models": adapters, "output": "adapter"}
    out = merge(settings, tmp_path / "out")
    assert not (out / "model.safetensors").exists()
    assert not (out / "journal.jsonl").exists()


@pytest.mark.slow
@pytest.mark.parametrize("change", ["superalign.json", ".out.merging", "journal.jsonl"])
def test_killed_at_the_very_end(folders, tmp_path, change):
    """Just before the last files change: the manifest, the rename, the journal that is no longer needed."""
    settings = config(folders)
    calm = digests(merge(settings, tmp_path / "calm"))
    (tmp_path / "merge.yaml").write_text(yaml.safe_dump(settings))
    shell = Shell(tmp_path, tmp_path / "home")
    for nth in (1, 2, 3):
        ended = shell.fork("merge", "merge.yaml", "out", "--quiet", crash=Crash(change, nth))
        assert ended.code in (0, -signal.SIGKILL)
    shell.fork("merge", "merge.yaml", "out", "--quiet").exits(0)
    assert digests(tmp_path / "out").keys() == calm.keys()
    assert digests(tmp_path / "out")["model.safetensors"] == calm["model.safetensors"]


def test_a_changed_input_starts_anew(folders, tmp_path):
    settings = tmp_path / "merge.yaml"
    settings.write_text(yaml.safe_dump(config(folders)))
    out = tmp_path / "out"
    subprocess.run([sys.executable, "-c", SLOWLY, "3", str(settings), str(out)], check=False)
    damaged(folders[2], lambda held: held.update({name: value + 1 for name, value in held.items()}))
    merge(settings, out)
    assert digests(out)["model.safetensors"] == digests(merge(settings, tmp_path / "calm"))["model.safetensors"]


def test_two_at_once_are_refused(folders, tmp_path):
    with Draft(tmp_path / "out", "x").opened(), pytest.raises(ResumeError, match="another process"):
        merge(config(folders), tmp_path / "out")


def test_describe_merges_nothing(folders, tmp_path):
    said = "\n".join(describe(config(folders, "ties")))
    assert "3 experts, 6 tensors" in said
    assert str(folders[0]) in said
    assert {path.name for path in tmp_path.iterdir()} <= {*NAMES, "home"}


def test_tensors_that_no_adapter_changes_and_whole_numbers_are_copied(folders, tmp_path):
    for folder in folders:
        for file in [*folder.glob("*.safetensors")][:1]:
            damaged(folder, lambda held: held.update(ids=np.arange(5)), file.name)
        index = folder / "model.safetensors.index.json"
        if index.exists():
            data = json.loads(index.read_text())
            data["weight_map"]["ids"] = file.name
            index.write_text(json.dumps(data))
    held = load_file(merge(config(folders), tmp_path / "out") / "model.safetensors")
    np.testing.assert_array_equal(held["ids"], np.arange(5))
    damaged(folders[2], lambda held: held.update(ids=np.arange(1, 6)))
    with pytest.raises(ModelError, match="'ids' holds whole numbers that differ"):
        merge(config(folders), tmp_path / "other")


def test_what_is_drawn_does_not_depend_on_where_models_lie(folders, tmp_path):
    moved = [copy(folder, tmp_path / f"moved-{folder.name}") for folder in folders]
    first = digests(merge(config(folders, "della"), tmp_path / "first"))
    shutil.rmtree(folders[1])
    second = digests(merge(config(moved, "della"), tmp_path / "second"))
    assert first["model.safetensors"] == second["model.safetensors"], (
        "what is drawn does not depend on where models lie"
    )
