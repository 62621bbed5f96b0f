"""A merged adapter says what peft says; one that cannot be merged is refused by name."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from peft import LoraConfig, PeftModel, get_peft_model
from safetensors.torch import load_file, save_file
from transformers import AutoModel, AutoModelForCausalLM

from checkpoints import save_checkpoint
from faults import Shell
from small_tasks import examples, model
from superalign.chat import asked
from superalign.errors import ConfigError, ModelError
from superalign.models._adapter import CONFIG, MANIFEST, WEIGHTS
from superalign.models._folder import weights_digest
from superalign.models.embedded import Embedded

Tiny = Callable[[str], Path]
TEXTS = examples()[0].texts()
TARGETS = {
    "llama": ["q_proj", "down_proj"],
    "gpt_neox": ["query_key_value", "dense"],
    "gpt2": ["c_attn", "c_proj"],
    "gemma3": ["v_proj"],
    "bert": ["query", "dense"],
}


def save_adapter(base: Path, place: Path, architecture: str = "llama", auto: Any = None, **settings: Any) -> Path:
    """Write a random adapter as peft does."""
    torch.manual_seed(3)
    auto = auto or (AutoModel if architecture == "bert" else AutoModelForCausalLM)
    config = LoraConfig(
        **{"r": 4, "lora_alpha": 6, "target_modules": TARGETS[architecture], "fan_in_fan_out": architecture == "gpt2"}
        | settings
    )
    adapted = get_peft_model(auto.from_pretrained(base, dtype=torch.float32), config)
    with torch.no_grad():
        for name, parameter in adapted.named_parameters():
            if "lora_" in name:
                parameter.normal_(0, 0.3)
    adapted.save_pretrained(place)
    return place


def features(base: Path, layer: int = 3, **settings: Any) -> np.ndarray:
    return np.asarray(model(base, **settings).features(TEXTS, [layer]).layers[layer])


def pefts_features(base: Path, adapter: Path, layer: int, auto: Any) -> np.ndarray:
    """Of the last token, or the mean for BERT, a text at a time."""
    ids, _ = model(base).backbone().tokenize(TEXTS)
    network = PeftModel.from_pretrained(auto.from_pretrained(base, dtype=torch.float32), adapter).eval()
    with torch.inference_mode():
        states = [
            network(input_ids=torch.tensor([row]), output_hidden_states=True).hidden_states[layer][0] for row in ids
        ]
    bert = network.config.model_type == "bert"
    return np.stack([(state.mean(0) if bert else state[-1]).numpy() for state in states])


@pytest.mark.parametrize("architecture", TARGETS)
def test_features_are_those_of_peft(tiny: Tiny, tmp_path: Path, architecture: str) -> None:
    base, auto = tiny(architecture), AutoModel if architecture == "bert" else AutoModelForCausalLM
    adapter = save_adapter(base, tmp_path / "adapter", architecture)
    for layer in (1, 3):
        expected = pefts_features(base, adapter, layer, auto)
        np.testing.assert_allclose(features(base, layer, adapter=str(adapter)), expected, atol=2e-5)
        assert np.abs(features(base, layer) - expected).max() > 0.01


@pytest.mark.parametrize(
    "settings",
    [
        {"use_rslora": True},
        {"rank_pattern": {"down_proj": 2}, "alpha_pattern": {"layers.1.self_attn.q_proj": 20}},
        {"task_type": "SEQ_CLS"},
    ],
    ids=lambda settings: next(iter(settings)),
)
def test_scales_and_choices_of_peft_are_kept(tiny: Tiny, tmp_path: Path, settings: dict[str, Any]) -> None:
    from transformers import AutoModelForSequenceClassification

    auto = AutoModelForSequenceClassification if "task_type" in settings else AutoModel
    adapter = save_adapter(tiny("llama"), tmp_path / "adapter", auto=auto, **settings)
    expected = pefts_features(tiny("llama"), adapter, 3, auto)
    np.testing.assert_allclose(features(tiny("llama"), adapter=str(adapter)), expected, atol=2e-5)


def test_what_is_trained_begins_with_it(tiny: Tiny, tmp_path: Path) -> None:
    adapter = save_adapter(tiny("gpt2"), tmp_path / "adapter", "gpt2")
    backbone = model(tiny("gpt2"), adapter=str(adapter)).backbone()
    ids, _ = backbone.tokenize(TEXTS)
    with torch.inference_mode():
        last = np.stack([backbone.module(input_ids=torch.tensor([row])).last_hidden_state[0, -1] for row in ids])
    np.testing.assert_allclose(last, pefts_features(tiny("gpt2"), adapter, 3, AutoModelForCausalLM), atol=2e-5)


def test_it_is_part_of_the_fingerprint_and_a_change_is_seen(tiny: Tiny, tmp_path: Path) -> None:
    adapter = save_adapter(tiny("llama"), tmp_path / "adapter")
    plain, adapted = model(tiny("llama")), model(tiny("llama"), adapter=str(adapter))
    first, before = adapted.fingerprint(), features(tiny("llama"), adapter=str(adapter))
    assert first != plain.fingerprint()
    moved = shutil.copytree(adapter, tmp_path / "moved")
    assert model(tiny("llama"), adapter=str(moved)).fingerprint() == first
    save_file({name: 2 * value for name, value in load_file(adapter / WEIGHTS).items()}, adapter / WEIGHTS)
    assert adapted.fingerprint() != first
    assert np.abs(features(tiny("llama"), adapter=str(adapter)) - before).max() > 0.01


def test_a_static_model_takes_none() -> None:
    with pytest.raises(ConfigError, match="has no setting 'adapter'"):
        Embedded(which="vader", adapter="somewhere")


def change_config(adapter: Path, **settings: Any) -> None:
    config = json.loads((adapter / CONFIG).read_text())
    (adapter / CONFIG).write_text(json.dumps({**config, **settings}))


def change_tensors(adapter: Path, change: Callable[[dict[str, torch.Tensor], str], object]) -> None:
    tensors = load_file(adapter / WEIGHTS)
    change(tensors, min(tensors))
    save_file(tensors, adapter / WEIGHTS)


def pickle_only(adapter: Path) -> None:
    torch.save(load_file(adapter / WEIGHTS), adapter / "adapter_model.bin")
    (adapter / WEIGHTS).unlink()


def cut(adapter: Path) -> None:
    (adapter / WEIGHTS).write_bytes((adapter / WEIGHTS).read_bytes()[:-100])


def seal(adapter: Path, **manifest: Any) -> None:
    (adapter / MANIFEST).write_text(json.dumps({"schema": "superalign.export/1", **manifest}))


def renamed(tensors: dict[str, torch.Tensor], name: str) -> None:
    tensors[name.replace("down_proj", "dwon_proj")] = tensors.pop(name)


def renamed_pair(tensors: dict[str, torch.Tensor], name: str) -> None:
    for one in (name, name.replace("lora_A", "lora_B")):
        renamed(tensors, one)


def widened(tensors: dict[str, torch.Tensor], name: str) -> None:
    tensors[name] = torch.zeros(4, 65)


def poisoned(tensors: dict[str, torch.Tensor], name: str) -> None:
    tensors[name][0, 0] = torch.nan


FIRST = "base_model.model.model.layers.0.mlp.down_proj.lora_A.weight"
BROKEN: dict[str, tuple[Callable[[Path], object], tuple[str, ...]]] = {
    "no folder": (shutil.rmtree, ("there is no adapter '", "adapter_config.json")),
    "no config": (lambda a: (a / CONFIG).unlink(), ("not an adapter's folder", "it has no adapter_config.json")),
    "a model": (
        lambda a: ((a / CONFIG).unlink(), seal(a, what="model")),
        ("not an adapter's folder", "fix: hf:"),
    ),
    "config that is no JSON": (lambda a: (a / CONFIG).write_text("{"), ("adapter_config.json cannot be read",)),
    "config that is a list": (lambda a: (a / CONFIG).write_text("[]"), ("is not a mapping",)),
    "no alpha": (lambda a: change_config(a, lora_alpha=None), ("has no number 'lora_alpha'",)),
    "IA3": (lambda a: change_config(a, peft_type="IA3"), ("this kind of adapter is not supported", "IA3")),
    "DoRA": (lambda a: change_config(a, use_dora=True), ("not supported", "DoRA")),
    "biases": (lambda a: change_config(a, bias="all"), ("not supported", "LoRA with biases")),
    "PiSSA": (lambda a: change_config(a, init_lora_weights="pissa"), ("not supported", "LoRA started by pissa")),
    "pickle": (pickle_only, ("the adapter has no safe weights", "adapter_model.bin is pickled", "save_pretrained")),
    "no weights": (lambda a: (a / WEIGHTS).unlink(), ("no safe weights", "it has no adapter_model.safetensors")),
    "cut short": (cut, ("the weights are cut short", "its header says")),
    "text": (lambda a: (a / WEIGHTS).write_text("not tensors at all"), ("not in safetensors format",)),
    "other base": (
        lambda a: seal(a, what="adapter", base={"spec": "hf:other", "weights": "00"}),
        ("the adapter belongs to another base model", "hf:other"),
    ),
    "changed": (
        lambda a: seal(a, what="adapter", files={WEIGHTS: "00"}),
        ("adapter_model.safetensors was changed or damaged", "SHA-256"),
    ),
    "unknown layer": (lambda a: change_tensors(a, renamed_pair), ("layers.0.mlp.dwon_proj", "no linear layer")),
    "half a pair": (lambda a: change_tensors(a, lambda t, name: t.pop(name)), ("there is no", FIRST)),
    "other tensor": (
        lambda a: change_tensors(
            a, lambda t, name: t.update({name.replace("A.weight", "magnitude_vector"): t[name].clone()})
        ),
        ("lora_magnitude_vector", "only lora_A.weight and lora_B.weight"),
    ),
    "other shape": (lambda a: change_tensors(a, widened), (FIRST, "[4, 65]", "takes [4, 64]")),
    "NaN": (lambda a: change_tensors(a, poisoned), (FIRST, "NaN or infinity")),
    "empty": (lambda a: save_file({}, a / WEIGHTS), ("the adapter is empty",)),
}


@pytest.mark.parametrize("mistake", BROKEN)
def test_what_cannot_be_merged_is_named(tiny: Tiny, tmp_path: Path, mistake: str) -> None:
    adapter = save_adapter(tiny("llama"), tmp_path / "adapter")
    damage, named = BROKEN[mistake]
    damage(adapter)
    with pytest.raises(ModelError) as caught:
        model(tiny("llama"), adapter=str(adapter)).features(TEXTS, [3])
    for words in named:
        assert words in str(caught.value)
    with pytest.raises(ModelError):
        model(tiny("llama"), adapter=str(adapter)).backbone()


def test_a_model_of_another_width_is_told_by_the_first_tensor(tiny: Tiny, tmp_path: Path) -> None:
    adapter = save_adapter(tiny("llama"), tmp_path / "adapter")
    with pytest.raises(ModelError, match=r"does not fit: tensor 'base_model.model.model.layers.0"):
        features(tiny("gpt_neox"), adapter=str(adapter))


def test_the_same_weights_under_another_path_are_the_same_base(tiny: Tiny, tmp_path: Path) -> None:
    copy = shutil.copytree(tiny("llama"), tmp_path / "copy")
    adapter = save_adapter(tiny("llama"), tmp_path / "adapter")
    seal(adapter, what="adapter", base={"spec": "hf:x", "weights": weights_digest(tiny("llama"))})
    assert features(copy, adapter=str(adapter)).shape == (12, 32)
    save_checkpoint("llama", tmp_path / "other", seed=1)
    with pytest.raises(ModelError, match="belongs to another base model"):
        features(tmp_path / "other", adapter=str(adapter))


@pytest.mark.parametrize("mistake", BROKEN)
def test_on_the_command_line(tiny: Tiny, tmp_path: Path, isolated_home: Path, mistake: str) -> None:
    adapter = save_adapter(tiny("llama"), tmp_path / "adapter")
    damage, named = BROKEN[mistake]
    damage(adapter)
    rows = [json.dumps({"text": text.prompt, "label": "ab"[n % 2]}) for n, text in enumerate(examples(60)[0].texts())]
    (tmp_path / "rows.jsonl").write_text("\n".join(rows))
    strong, weak = f"hf:{tiny('llama')},adapter={adapter}", f"hf:{tiny('bert')}"
    words = ["run", "weak-to-strong", "--task", "file:rows.jsonl", "--seeds", 1, "--sweep", 0]
    ended = Shell(tmp_path, isolated_home).fork(*words, "--weak", weak, "--strong", strong).exits(2)
    ended.says("error: ", *named)
    assert "Traceback" not in ended.err


@pytest.mark.model
def test_an_embedded_model_takes_one(embedded_home: Path, tmp_path: Path) -> None:
    base = embedded_home / "models" / "minilm"
    adapter = save_adapter(base, tmp_path / "adapter", "bert")
    expected = pefts_features(base, adapter, 6, AutoModel)
    embedded = Embedded(which="minilm", dtype="fp32", device="cpu", adapter=str(adapter))
    np.testing.assert_allclose(embedded.features(TEXTS, [6]).layers[6], expected, atol=1e-4)  # six real layers


@pytest.mark.parametrize("architecture", ["llama", "gpt2"])
def test_what_is_said_is_what_peft_says(tiny: Tiny, tmp_path: Path, architecture: str) -> None:
    base = tiny(architecture)
    adapter = save_adapter(base, tmp_path / "adapter", architecture)
    given, (answer,) = model(base, chat="never")._speaker().answered(asked("Is it long?"), ["yes, it is"])
    network = PeftModel.from_pretrained(AutoModelForCausalLM.from_pretrained(base, dtype=torch.float32), adapter)
    with torch.inference_mode():
        each = network.eval()(input_ids=torch.tensor([given + answer])).logits[0].log_softmax(-1)
    expected = each[len(given) - 1 : -1].gather(1, torch.tensor(answer)[:, None]).sum()
    talker = model(base, chat="never", adapter=str(adapter))
    (found,) = talker.logprobs([asked("Is it long?")], [["yes, it is"]])
    np.testing.assert_allclose(found.logprobs, [float(expected)], atol=1e-4)
    (plain,) = model(base, chat="never").logprobs([asked("Is it long?")], [["yes, it is"]])
    assert abs(plain.logprobs[0] - found.logprobs[0]) > 0.1
