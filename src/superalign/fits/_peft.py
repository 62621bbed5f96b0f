"""What `lora` learnt as files that peft loads: `adapter_config.json` and `adapter_model.safetensors`."""

from __future__ import annotations

import copy
import json
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from superalign.fits._keep import PEFT
from superalign.models._adapter import CONFIG, WEIGHTS
from superalign.models._torch import quiet
from superalign.store import Array, write_synced, write_tensors

if TYPE_CHECKING:
    from superalign.fits.lora import Lora
    from superalign.models.hf import Origin

Kind = Literal["AutoModelForCausalLM", "AutoModelForSequenceClassification", "AutoModel"]


def blueprint(kind: Kind, origin: Origin, **settings: Any) -> Any:
    """Return the network that a class of transformers builds of a configuration, without weights."""
    import torch
    import transformers

    config = copy.deepcopy(origin.config)
    for name, value in settings.items():
        setattr(config, name, value)
    with torch.device("meta"), quiet():
        return getattr(transformers, kind).from_config(config, trust_remote_code=origin.trust_remote_code)


def write_adapter(
    folder: Path, tensors: Mapping[str, Array], fit: Lora, network: Any, settings: Mapping[str, Any]
) -> None:
    """Write an adapter in PEFT's format.

    Args:
        folder: which exists.
        tensors: by peft's names; the adapters' are those with `.lora_` in it.
        fit: what learnt them.
        network: to which they belong; it needs no weights.
        settings: further ones of LoraConfig, such as the base model's name.
    """
    from peft import LoraConfig
    from transformers.pytorch_utils import Conv1D

    targets = sorted({name.removeprefix(PEFT).rpartition(".lora_")[0] for name in tensors if ".lora_" in name})
    config = LoraConfig(
        r=fit.rank,
        lora_alpha=fit.alpha,
        lora_dropout=fit.dropout,
        target_modules=targets,
        fan_in_fan_out=any(isinstance(network.get_submodule(target), Conv1D) for target in targets),
        inference_mode=True,
        **settings,
    )
    config.save_pretrained(folder)
    plain = json.loads((folder / CONFIG).read_text(encoding="utf-8"))
    plain["target_modules"] = targets  # a set has no order of its own
    write_synced(folder / CONFIG, (json.dumps(plain, indent=2, sort_keys=True) + "\n").encode())
    write_tensors(folder / WEIGHTS, tensors, {"format": "pt"})
