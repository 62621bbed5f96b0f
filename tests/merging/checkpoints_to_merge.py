"""Small models and adapters that can be merged, and what is in them."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
from safetensors.numpy import load_file, save_file

WIDTH = 6
SHAPES = {
    "model.embed_tokens.weight": (11, WIDTH),
    "model.layers.0.self_attn.q_proj.weight": (WIDTH, WIDTH),
    "model.layers.0.mlp.up_proj.weight": (9, WIDTH),
    "model.layers.1.self_attn.q_proj.weight": (WIDTH, WIDTH),
    "model.layers.1.mlp.up_proj.weight": (9, WIDTH),
    "model.norm.weight": (WIDTH,),
}
CONFIG = {"model_type": "llama", "num_hidden_layers": 2, "hidden_size": WIDTH, "tie_word_embeddings": True}
VOCABULARY = {f"t{i}": i for i in range(11)}


def weights(number: int) -> dict[str, np.ndarray]:
    """Return a model's tensors: the base (0), or an expert not far from it."""
    found = {}
    for place, (name, shape) in enumerate(SHAPES.items()):
        found[name] = np.random.default_rng(place).standard_normal(shape).astype(np.float32)
        if number:
            found[name] += 0.3 * np.random.default_rng([place, number]).standard_normal(shape).astype(np.float32)
    return found


def save(folder: Path, tensors, *, shards: int = 1, config=CONFIG, vocabulary=VOCABULARY, template="{{ messages }}"):
    """Write a model's folder; return it."""
    folder.mkdir(parents=True)
    names = sorted(tensors)
    if shards == 1:
        save_file(tensors, folder / "model.safetensors")
    else:
        place = {name: f"model-{i % shards + 1:05}-of-{shards:05}.safetensors" for i, name in enumerate(names)}
        for file in {*place.values()}:
            save_file({name: tensors[name] for name in names if place[name] == file}, folder / file)
        (folder / "model.safetensors.index.json").write_text(json.dumps({"metadata": {}, "weight_map": place}))
    (folder / "config.json").write_text(json.dumps(config))
    if vocabulary is not None:
        data = {"model": {"vocab": vocabulary, "merges": []}, "added_tokens": []}
        (folder / "tokenizer.json").write_text(json.dumps(data))
        (folder / "tokenizer_config.json").write_text(json.dumps({"eos_token": "t1", "chat_template": template}))
    return folder


def save_adapter(folder: Path, number: int, rank: int = 2, alpha: float = 3.0) -> Path:
    """Write a LoRA adapter of every projection but those of layer 1; return its folder."""
    folder.mkdir(parents=True)
    draw = np.random.default_rng(number)
    tensors = {}
    for name, shape in SHAPES.items():
        if ".layers.0." in name:
            layer = f"base_model.model.{name.removesuffix('.weight')}"
            tensors[f"{layer}.lora_A.weight"] = draw.standard_normal((rank, shape[1])).astype(np.float32)
            tensors[f"{layer}.lora_B.weight"] = draw.standard_normal((shape[0], rank)).astype(np.float32)
    save_file(tensors, folder / "adapter_model.safetensors")
    about = {"peft_type": "LORA", "task_type": "CAUSAL_LM", "r": rank, "lora_alpha": alpha, "bias": "none"}
    about |= {"target_modules": ["q_proj", "up_proj"]}
    (folder / "adapter_config.json").write_text(json.dumps(about))
    return folder


def adapted(base, folder: Path) -> dict[str, np.ndarray]:
    """Return the base's tensors with an adapter merged in."""
    held = load_file(folder / "adapter_model.safetensors")
    about = json.loads((folder / "adapter_config.json").read_text())
    found = dict(base)
    for name in base:
        layer = f"base_model.model.{name.removesuffix('.weight')}"
        if f"{layer}.lora_A.weight" in held:
            a, b = held[f"{layer}.lora_A.weight"], held[f"{layer}.lora_B.weight"]
            alpha = about.get("alpha_pattern", {}).get(layer.removeprefix("base_model.model."), about["lora_alpha"])
            found[name] = base[name] + alpha / len(a) * b @ a
    return found


def tensors_of(folder: Path) -> dict[str, np.ndarray]:
    """Return all tensors of a model's folder, as fp32."""
    import torch
    from safetensors.torch import load_file as load

    found = {}
    for file in folder.glob("*.safetensors"):
        found |= {name: value.to(torch.float32).numpy() for name, value in load(file).items()}
    return found


def copy(folder: Path, to: Path) -> Path:
    """Return a copy of a folder."""
    shutil.copytree(folder, to)
    return to
