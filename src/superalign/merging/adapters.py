"""A merge of adapters that stays one: factors in PEFT's format, each layer of its own rank."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from xxhash import xxh3_128_hexdigest

from superalign.errors import ConfigError
from superalign.merging.matrix import spectrum
from superalign.merging.source import Adapter
from superalign.merging.tensors import LowRank
from superalign.models._adapter import CONFIG, PREFIX, WEIGHTS
from superalign.store import write_synced, write_tensors

if TYPE_CHECKING:
    from superalign.merging.plan import Plan


def write_adapter(plan: Plan, folder: Path) -> dict[str, str]:
    """Write the merged factors of every layer that an expert changes; return the XXH3-128 of each.

    Raises:
        ConfigError: the method leaves no factors.
    """
    adapters = [one.tensors for one in plan.experts if isinstance(one.tensors, Adapter)]
    tensors, ranks = {}, {}
    for name in sorted(plan.entries):
        if plan.is_copied(name):
            continue
        found = plan.method(name).factors(plan.stack(name))
        if found is None:
            raise ConfigError(
                f"{plan.method(name)} cannot give an adapter",
                why="its result is not of low rank, though the experts are",
                fix="output: model, or a method that keeps factors (task-arithmetic, tsv-m, ...)",
            )
        held = next(adapter for adapter in adapters if name in adapter.targets)
        layer = held.layer(name)
        factors = _of_true_rank(found)
        b, a = (factors.a.T, factors.b.T) if held.settings.get("fan_in_fan_out") else factors
        tensors[f"{PREFIX}{layer}.lora_A.weight"] = np.ascontiguousarray(a)
        tensors[f"{PREFIX}{layer}.lora_B.weight"] = np.ascontiguousarray(b)
        ranks[layer] = factors.rank
    most = max(ranks.values(), default=1)
    config = {
        **{key: adapters[0].settings.get(key) for key in ("peft_type", "task_type", "fan_in_fan_out", "bias")},
        "base_model_name_or_path": str(plan.reference.folder),
        "inference_mode": True,
        "r": most,
        "lora_alpha": most,
        "lora_dropout": 0.0,
        "target_modules": sorted(ranks),
        "rank_pattern": ranks,
        "alpha_pattern": ranks,
    }
    write_tensors(folder / WEIGHTS, tensors, {"format": "pt"})
    write_synced(folder / CONFIG, (json.dumps(config, indent=2, sort_keys=True) + "\n").encode())
    plan.tokens.write(folder)
    return {name: xxh3_128_hexdigest(value.data) for name, value in tensors.items()}


def _of_true_rank(found: LowRank) -> LowRank:
    """Return factors with no more columns than the numeric rank of their product, and at least one, for PEFT."""
    if not found.rank:
        return LowRank(np.zeros((len(found.b), 1), np.float32), np.zeros((1, found.a.shape[1]), np.float32))
    parts = spectrum(found)
    if len(parts.s) == found.rank:
        return found
    return _of_true_rank(parts.factors())
