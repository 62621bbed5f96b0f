"""What a fit moved, by the names under which peft and transformers save it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from superalign.checkpoint import gathered
from superalign.errors import ModelError
from superalign.fits._adapter import ADAPTER
from superalign.network import Network, Trainee
from superalign.policy import Policy
from superalign.store import Array

if TYPE_CHECKING:
    from torch import Tensor

PEFT = "base_model.model."
SCORE, LANGUAGE_HEAD = "score.weight", "lm_head.weight"


def moved(network: Trainee[Any]) -> dict[str, Array]:
    """Return the parameters that moved, float32; all processes that share them take part.

    Adapters are called as in peft's own state dict (`base_model.model.model.layers.0....lora_A.weight`), weights of the
    body as in transformers' (`model.layers.0....weight`), a head of its own `score.weight` [k, d], and the head of a
    language model that is not its embedding `lm_head.weight` [v, d].
    """
    return {name: gathered(parameter).cpu().numpy() for name, parameter in _moving(network).items()}


def put_back(network: Trainee[Any], kept: Mapping[str, Array]) -> None:
    """Let a network know what another of its kind learnt; see `moved`.

    Raises:
        ModelError: that was learnt by other settings.
    """
    import torch

    moving = _moving(network)
    if {name: tuple(one.shape) for name, one in moving.items()} != {name: one.shape for name, one in kept.items()}:
        raise ModelError("what was learnt before does not fit", why="it was learnt by a fit of other settings")
    with torch.no_grad():
        for name, parameter in moving.items():
            parameter.copy_(torch.from_numpy(kept[name]))


def _moving(network: Trainee[Any]) -> dict[str, Tensor]:
    body: Any = network.backbone.module
    found = {
        _saved(f"{body.base_model_prefix}.{name}"): parameter
        for name, parameter in body.named_parameters()
        if parameter.requires_grad
    }
    if isinstance(network, Network):
        found[SCORE] = network.head.weight
    elif isinstance(network, Policy):
        head: Any = network.voice.head.weight
        if head.requires_grad and all(head is not parameter for parameter in found.values()):
            found[LANGUAGE_HEAD] = head
    return found


def _saved(name: str) -> str:
    return f"{PEFT}{name.replace(f'.{ADAPTER}.', '.')}" if ".lora_" in name else name
