"""A training step against what the machine's matrix units give: operations of the tokens read, as a share."""

from __future__ import annotations

from typing import Any

import numpy as np
from _features import ROUNDS, ceiling, linear_shapes
from _finetuning import pointwise
from _measure import Meter, peak_gb

from superalign.fits.lora import Lora
from superalign.label import Labels
from superalign.learner import Learner
from superalign.model import models
from superalign.network import Reading
from superalign.objective import objectives


def lora_step(plan: dict[str, Any]) -> dict[str, float]:
    """Measure steps of LoRA on the whole model, and matrix products of its shapes, in turn.

    A token costs 4 operations a weight of the frozen linear layers: 2 forward, 2 for the gradient of their input. What
    the adapters, attention and the head cost is not counted as useful, nor is any padding.
    """
    model, fit = models.build(plan["model"]), Lora(epochs=1, batch=plan["batch"], schedule="constant", warmup=0)
    task, truth = pointwise(plan["task"], plan["batch"] * (ROUNDS + 1), plan["seed"])
    shapes = linear_shapes(model.backbone().module)
    weights = sum(n * rows * columns for (rows, columns), n in shapes.items())
    network = fit.network(model, len(task.classes))
    learner = Learner(network, objectives.build("naive"), fit, lambda **_: None)
    best, units, cpu, read = 0.0, 0.0, 0.0, 0
    for number in range(ROUNDS + 1):
        items = np.arange(number * plan["batch"], (number + 1) * plan["batch"])
        reading = Reading.of(task, items, network.backbone)
        with Meter() as meter:
            facts = learner.train(reading, Labels.hard(truth[items], len(task.classes), "truth"), plan["seed"])
        if number:  # the first step warms up
            best, cpu, read = max(best, facts["tokens"] / meter.wall), cpu + meter.cpu, read + facts["tokens"]
            units = max(units, ceiling(shapes, plan["tokens"], model.precision()))
    used = 4 * weights * best
    return {
        "tokens": read,
        "tok/s": best,
        "CPU s": cpu,
        "GFLOP/s used": used / 1e9,
        "ceiling, own shapes": units / 1e9,
        "of own": used / units,
        "peak GB": peak_gb(),
    }
