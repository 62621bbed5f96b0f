"""How large a model is, from its configuration and the headers of its weights; no weight is read."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from functools import cached_property
from pathlib import Path
from typing import Any

from superalign.model import Model
from superalign.models._cache import is_ready, models_folder
from superalign.models._folder import CONFIG, check_folder, local_folder, read_json
from superalign.models.embedded import STATIC, Embedded
from superalign.models.hf import HuggingFace

LAYER = re.compile(r"(?:^|\.)(?:layers?|h|blocks?)\.(\d+)\.")  # in the name of a tensor: which layer it is of
ABOVE = ("lm_head", "embed_out", "pooler", "cls.")  # in the names of what stands above the last layer
ATTENTION = ("attn", "attention")  # in the names of attention modules
LOOKED_UP = ("embed", "wte", "wpe", "lm_head")  # in the name of a matrix that is no linear layer of the body


def folder_here(model: Model) -> Path | None:
    """Return the folder of a model's weights when it is on this machine; nothing is fetched."""
    if isinstance(model, HuggingFace):
        return local_folder(model.path, model.revision)
    if isinstance(model, Embedded) and is_ready(model.which):
        return models_folder() / model.which
    return None


def targeted(layer: str, target: str) -> bool:
    """Tell whether a linear layer gets an adapter: all do, those of attention, or those whose names end so."""
    if target == "attention":
        return any(part in step for step in layer.split(".") for part in ATTENTION)
    return target == "all-linear" or any(layer == end or layer.endswith(f".{end}") for end in target.split("+"))


class Size:
    """The shapes of a model's weights.

    Args:
        folder: of the model, with weights in safetensors format.

    Raises:
        ModelError: it is no model's folder, or its weights are not whole.
    """

    def __init__(self, folder: Path) -> None:
        self.files = check_folder(folder)
        self.config: Mapping[str, Any] = read_json(folder / CONFIG) or {}

    @cached_property
    def shapes(self) -> dict[str, tuple[int, ...]]:
        """Of each tensor, by name."""
        from safetensors import safe_open

        found: dict[str, tuple[int, ...]] = {}
        for file in self.files:
            with safe_open(file, framework="numpy") as opened:
                names = list(opened.keys())
                found |= {name: tuple(opened.get_slice(name).get_shape()) for name in names}
        return found

    @property
    def parameters(self) -> int:
        """Of the whole model; tied weights count once."""
        return sum(math.prod(shape) for shape in self.shapes.values())

    def up_to(self, layer: int) -> int:
        """Return the parameters of the embedding and the first `layer` layers; a head that writes is left out."""
        total = 0
        for name, shape in self.shapes.items():
            place = LAYER.search(name)
            if (place is None or int(place[1]) < layer) and not any(part in name for part in ABOVE):
                total += math.prod(shape)
        return total

    def adapter(self, rank: int, target: str = "all-linear") -> int:
        """Return the parameters of low-rank adapters: rank (in + out) a linear layer, see `fits.lora`."""
        total = 0
        for name, shape in self.shapes.items():
            layer = name.removesuffix(".weight")
            if (
                targeted(layer, target)
                and len(shape) == 2
                and name != layer
                and not any(part in name for part in LOOKED_UP)
            ):
                total += rank * sum(shape)
        return total

    def activations(self, tokens: int, width: int) -> int | None:
        """Return about how many bytes a training step keeps for the way back; None of an unknown architecture.

        A token keeps in each layer what goes into its norms, projections and activation: 8 h + 4 f numbers (h hidden,
        f intermediate), and at the end its logits and their gradient in float32. Attention weights come on top where
        they are kept.

        Args:
            tokens: computed at once.
            width: bytes a number.
        """
        known = [self.config.get(name) for name in ("num_hidden_layers", "hidden_size", "intermediate_size")]
        vocabulary = self.config.get("vocab_size")
        if not all(isinstance(value, int) for value in (*known, vocabulary)):
            return None
        layers, hidden, wide = (int(value) for value in known if value is not None)
        return tokens * (layers * (8 * hidden + 4 * wide) * width + 2 * 4 * int(vocabulary or 0))


def parameters_read(model: Model) -> int | None:
    """Return how many parameters make a model's features, up to its layer; 0 of rules, None where nobody can tell."""
    if isinstance(model, Embedded) and model.which in STATIC:
        return _in_tensors(models_folder() / model.which) if is_ready(model.which) else None
    folder = folder_here(model)
    return Size(folder).up_to(model.chosen_layer()) if folder else None


def _in_tensors(folder: Path) -> int:
    from safetensors import safe_open

    total = 0
    for file in folder.glob("*.safetensors"):
        with safe_open(file, framework="numpy") as opened:
            total += sum(math.prod(opened.get_slice(name).get_shape()) for name in list(opened.keys()))
    return total
