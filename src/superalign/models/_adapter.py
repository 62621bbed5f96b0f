"""A LoRA adapter in PEFT's format: checked against its manifest and its base model, then merged into the weights."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from superalign.errors import ModelError
from superalign.models._folder import check_whole, file_digest, weights_digest

if TYPE_CHECKING:
    from torch import Tensor, nn

CONFIG, WEIGHTS, PICKLE = "adapter_config.json", "adapter_model.safetensors", "adapter_model.bin"
MANIFEST = "superalign.json"
PREFIX = "base_model.model."
HEADS = ("score.", "classifier.")  # of a classifier: not part of the body
POOLER = "pooler."  # of an encoder: above its last layer, and not loaded
KINDS = {
    "use_dora": "DoRA",
    "use_qalora": "QA-LoRA",
    "use_bdlora": "BD-LoRA",
    "alora_invocation_tokens": "activated LoRA",
    "arrow_config": "Arrow",
    "kasa_config": "KaSA",
    "monteclora_config": "MonteCLoRA",
    "velora_config": "VeLoRA",
    "layer_replication": "LoRA with repeated layers",
    "trainable_token_indices": "LoRA with trained token embeddings",
    "target_parameters": "LoRA on bare parameters",
    "lora_bias": "LoRA with biases",
}
STARTS = (None, True, False, "gaussian", "orthogonal", "eva")  # others change the base's own weights


def check_adapter(path: str, base: Path) -> Path:
    """Return the folder of an adapter that can be merged into the model in `base`.

    Raises:
        ModelError: it is no adapter, of a kind that cannot be merged, pickled, damaged, or made for other weights.
    """
    folder = Path(path).expanduser()
    files = f"the folder that holds {CONFIG} and {WEIGHTS}"
    if not folder.is_dir():
        raise ModelError(f"there is no adapter '{path}'", fix=f"give {files}")
    manifest = read_manifest(folder)
    if not (folder / CONFIG).is_file():
        what = manifest.get("what")
        fix = f"hf:{path}" if what == "model" else f"give {files}"
        raise ModelError("not an adapter's folder", where=str(folder), why=f"it has no {CONFIG}", fix=fix)
    _check_kind(folder)
    if not (folder / WEIGHTS).is_file():
        pickled = (folder / PICKLE).is_file()
        why = f"{PICKLE} is pickled, which can run code when read" if pickled else f"it has no {WEIGHTS}"
        fix = "load it once where you trust it and call save_pretrained(), which writes safetensors"
        raise ModelError("the adapter has no safe weights", where=str(folder), why=why, fix=fix if pickled else None)
    check_whole(folder / WEIGHTS)
    for name in (CONFIG, WEIGHTS):
        if manifest.get("files", {}).get(name, digest := file_digest(folder / name)) != digest:
            why = f"its SHA-256 is not the one in {MANIFEST}"
            raise ModelError(f"{name} was changed or damaged", where=str(folder), why=why, fix="export it again")
    made_for = manifest.get("base", {})
    if made_for.get("weights") and made_for["weights"] != weights_digest(base):
        raise ModelError(
            "the adapter belongs to another base model",
            where=str(folder),
            why=f"it was trained on {made_for.get('spec')}, whose weights are not those in {base}",
        )
    return folder


def adapter_digests(folder: Path) -> dict[str, str]:
    """Return the SHA-256 of what decides what an adapter does."""
    return {name: file_digest(folder / name) for name in (CONFIG, WEIGHTS)}


def read_manifest(folder: Path) -> dict[str, Any]:
    """Return what `superalign export` wrote about a folder; nothing when it wrote it not, or it is damaged."""
    try:
        found = json.loads((folder / MANIFEST).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}


def merge(body: Any, folder: Path, blocks: str, depth: int) -> None:
    """Add an adapter to the weights of a model's body: W + s B A.

    Args:
        body: the transformer, whose higher layers may be missing.
        folder: of the adapter.
        blocks: name of its list of layers.
        depth: layers of the whole model.

    Raises:
        ModelError: a tensor does not fit (named).
    """
    import torch

    config = read_config(folder)
    with torch.no_grad():
        for part in _parts(folder):
            name = part.layer.removeprefix(PREFIX).removeprefix(f"{body.base_model_prefix}.")
            if name.startswith(POOLER) or _is_above(body, name, blocks, depth):
                continue
            layer, transposed = _linear(body, name, part, folder)
            weight = layer.weight
            delta = part.b.float() @ part.a.float() * scale(config, part.layer, part.a.shape[0])
            delta = delta.T if transposed else delta
            weight.copy_((weight.float() + delta).to(weight.dtype))


class _Part(NamedTuple):
    """The two factors of one layer, [r, in] and [out, r]."""

    layer: str
    a: Tensor
    b: Tensor


def _parts(folder: Path) -> Iterator[_Part]:
    from safetensors import safe_open

    with safe_open(folder / WEIGHTS, "pt") as held:
        for layer, (a, b) in layers(folder, held.keys()).items():
            part = _Part(layer, held.get_tensor(a), held.get_tensor(b))
            for name, factor in ((a, part.a), (b, part.b)):
                if not factor.isfinite().all():
                    raise misfit(folder, name, "it holds NaN or infinity")
            yield part


def layers(folder: Path, tensors: Iterable[str], heads: tuple[str, ...] = HEADS) -> dict[str, tuple[str, str]]:
    """Return, for each layer of an adapter, the names of its factors A and B; tensors of heads are left out.

    Raises:
        ModelError: a tensor is no factor, or has no other one.
    """
    names = {name for name in tensors if not (heads and name.removeprefix(PREFIX).startswith(heads))}
    for name in sorted(names):
        if not name.endswith((".lora_A.weight", ".lora_B.weight")):
            raise misfit(folder, name, "only lora_A.weight and lora_B.weight of linear layers can be merged")
    found = {}
    for layer in sorted({name.rpartition(".lora_")[0] for name in names}):
        a, b = f"{layer}.lora_A.weight", f"{layer}.lora_B.weight"
        for name, other in ((a, b), (b, a)):
            if name not in names:
                raise misfit(folder, other, f"there is no {name}")
        found[layer] = a, b
    if not found:
        raise ModelError("the adapter is empty", where=str(folder / WEIGHTS))
    return found


def _linear(body: nn.Module, name: str, part: _Part, folder: Path) -> tuple[Any, bool]:
    """Return the layer that a part belongs to, and whether its weights are stored transposed."""
    from torch import nn
    from transformers.pytorch_utils import Conv1D

    layer: Any = dict(body.named_modules()).get(name)
    if not isinstance(layer, nn.Linear | Conv1D):
        raise misfit(folder, f"{part.layer}.lora_A.weight", f"the model's body has no linear layer '{name}'")
    transposed = isinstance(layer, Conv1D)
    out, into = layer.weight.shape[::-1] if transposed else layer.weight.shape
    rank = part.a.shape[0] if part.a.ndim == 2 else 0
    for kind, found, expected in (("A", part.a, (rank, into)), ("B", part.b, (out, rank))):
        if not rank or tuple(found.shape) != expected:
            why = f"its shape is {list(found.shape)} where '{name}' takes {list(expected)}"
            raise misfit(folder, f"{part.layer}.lora_{kind}.weight", why)
    return layer, transposed


def _is_above(body: nn.Module, name: str, blocks: str, depth: int) -> bool:
    """Tell whether a layer's block was not loaded, because no feature needs it."""
    number = name.removeprefix(f"{blocks}.").partition(".")[0] if name.startswith(f"{blocks}.") else ""
    loaded: Any = body.get_submodule(blocks)
    return number.isdecimal() and len(loaded) <= int(number) < depth


def scale(config: dict[str, Any], layer: str, rank: int) -> float:
    """Return what the product of a layer's factors is multiplied by."""
    alpha = config["lora_alpha"]
    if patterns := config.get("alpha_pattern"):
        from peft.utils.other import get_pattern_key

        alpha = patterns.get(get_pattern_key(list(patterns), layer.removeprefix(PREFIX)), alpha)
    return float(alpha) / (math.sqrt(rank) if config.get("use_rslora") else rank)


def read_config(folder: Path) -> dict[str, Any]:
    """Return what an adapter's configuration says.

    Raises:
        ModelError: it cannot be read.
    """
    try:
        config = json.loads((folder / CONFIG).read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise ModelError(f"{CONFIG} cannot be read", where=str(folder / CONFIG), why=str(error)) from None
    if not isinstance(config, dict):
        raise ModelError(f"{CONFIG} is not a mapping", where=str(folder / CONFIG))
    return config


def _check_kind(folder: Path) -> None:
    config = read_config(folder)
    kind, start = config.get("peft_type"), config.get("init_lora_weights", True)
    found = [name for key, name in KINDS.items() if config.get(key)]
    if kind != "LORA":
        found = [str(kind)]
    elif config.get("bias", "none") != "none":
        found.append("LoRA with biases")
    elif start not in STARTS:
        found.append(f"LoRA started by {start}")
    elif not isinstance(config.get("lora_alpha"), int | float):
        raise ModelError(f"{CONFIG} has no number 'lora_alpha'", where=str(folder / CONFIG))
    if found:
        why = f"it is of the kind {found[0]}; only plain LoRA on linear layers can be merged"
        raise ModelError("this kind of adapter is not supported", where=str(folder / CONFIG), why=why)


def misfit(folder: Path, tensor: str, why: str) -> ModelError:
    """Return the error that a tensor of an adapter does not fit."""
    return ModelError(f"the adapter does not fit: tensor '{tensor}'", where=str(folder / WEIGHTS), why=why)
