"""Features against what the machine's matrix units give: operations of the tokens read, as a share of the ceiling."""

from __future__ import annotations

import time
from collections import Counter
from typing import Any

from _finetuning import pointwise
from _measure import Meter, peak_gb

from superalign.model import Precision, models
from superalign.models._torch import torch_dtype

LARGE = 2048
ROUNDS = 3  # of everything, taken in turn: the machine's own speed varies


def features(plan: dict[str, Any]) -> dict[str, float]:
    """Measure the feature path at the model's own layer, and matrix products in its precision, in turn."""
    task, _ = pointwise(plan["task"], plan["texts"], plan["seed"])
    model = models.build(plan["model"])
    layer = model.chosen_layer()
    shapes = linear_shapes(model.at_layer(layer).backbone().module)
    weights = sum(n * rows * columns for (rows, columns), n in shapes.items())
    model.features(task.texts()[:32], [layer])  # loads the network
    speeds, own, large, cpu = [], [], [], 0.0
    for _ in range(ROUNDS):
        own.append(ceiling(shapes, plan["tokens"], model.precision()))
        large.append(_product(LARGE, LARGE, LARGE, torch_dtype(model.precision())))
        with Meter() as meter:
            read = model.features(task.texts(), [layer])
        speeds.append(sum(read.tokens) / meter.wall)
        cpu += meter.cpu / ROUNDS
    used = 2 * weights * max(speeds)
    return {
        "tokens": sum(read.tokens),
        "tok/s": max(speeds),
        "CPU s": cpu,
        "GFLOP/s used": used / 1e9,
        "ceiling, own shapes": max(own) / 1e9,
        "ceiling, large": max(large) / 1e9,
        "of own": used / max(own),
        "of large": used / max(large),
        "peak GB": peak_gb(),
    }


def linear_shapes(module: Any) -> Counter[tuple[int, int]]:
    """Count the linear layers of each shape (outputs, inputs); embedding and attention itself are not counted."""
    from torch import nn

    return Counter(tuple(part.weight.shape) for part in module.modules() if isinstance(part, nn.Linear))


def ceiling(shapes: Counter[tuple[int, int]], tokens: int, precision: Precision) -> float:
    """Return FLOP/s over all products that one batch of so many tokens needs."""
    seconds, useful = 0.0, 0
    for (outputs, inputs), n in shapes.items():
        work = n * 2 * tokens * outputs * inputs
        useful += work
        seconds += work / _product(tokens, inputs, outputs, torch_dtype(precision))
    return useful / seconds


def _product(m: int, k: int, n: int, dtype: Any) -> float:
    """Return FLOP/s of [m, k] x [n, k]^T: the best of several, each of a tenth of a second."""
    import torch

    x, w = torch.randn(m, k).to(dtype), torch.randn(n, k).to(dtype)
    best, repeats = float("inf"), max(1, int(2e10 / (2 * m * k * n)))
    for _ in range(6):
        start = time.perf_counter()
        for _ in range(repeats):
            torch.nn.functional.linear(x, w)
        best = min(best, (time.perf_counter() - start) / repeats)
    return 2 * m * k * n / best
