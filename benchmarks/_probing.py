"""A probe study: ours whole, and what the public loop's linear probe costs for the same three learners.

The public loop's linear probe (our re-statement, see _finetuning.py) runs the whole frozen network, in float32, one
text at a time, anew in every epoch; the paper's recipe is 200 epochs. We run a few of those epochs and charge 200:
every epoch costs the same. Its accuracy is that of its recipe - Adam 1e-3, 200 epochs, batches of 32 - on features
computed once, which is the same arithmetic, since the network does not move.

"""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

import numpy as np
from _measure import Meter, peak_gb

EPOCHS = 200
RUN = 2  # epochs really run
BATCH = 32


def our_study(plan: dict[str, Any]) -> dict[str, float]:
    """Run the study with an empty store: features, weak supervisor, student and ceiling."""
    from superalign import Store, WeakToStrong, run

    with tempfile.TemporaryDirectory() as folder, Meter() as meter:
        asked = WeakToStrong(
            weak=plan["weak"], strong=plan["model"], task=plan["probe_task"], methods=("naive",), seeds=1, sweep=0
        )
        result = run(asked, out=Path(folder) / "run", store=Store(Path(folder) / "store"))
    score = {row.role: row.accuracy for row in result.rows}
    return {
        "CPU s": meter.cpu,
        "wall s": meter.wall,
        "peak GB": peak_gb(),
        "weak": score["weak"],
        "student": score["student"],
        "ceiling": score["ceiling"],
    }


def public_study(plan: dict[str, Any]) -> dict[str, float]:
    """Charge three linear probes - weak, student, ceiling - on the same parts of the same task."""
    from superalign.model import models
    from superalign.task import split, tasks

    task, truth = tasks.build(plan["probe_task"]).load()
    parts = split(task, (5, 6, 5), 0)
    weak, strong = models.build(plan["weak"]), models.build(plan["model"])
    cost = {"cpu": 0.0, "wall": 0.0}
    for model, trained, scored in (
        (weak, parts.supervise, len(parts.transfer) + len(parts.test)),
        (strong, parts.transfer, len(parts.test)),
        (strong, parts.transfer, len(parts.test)),
    ):
        epoch = _epoch(model, task.texts(trained))
        share = EPOCHS + scored / len(trained)  # scoring costs as much a text as training does, at the least
        cost = {name: cost[name] + share * epoch[name] for name in cost}
    x = {model: _features(model, task.texts()) for model in (weak, strong)}
    labels = np.eye(len(task.classes), dtype=np.float32)[truth]
    teacher = _adam(x[weak][parts.supervise], labels[parts.supervise])
    student = _adam(x[strong][parts.transfer], teacher(x[weak][parts.transfer]))
    ceiling = _adam(x[strong][parts.transfer], labels[parts.transfer])

    def score(predict: Any, model: Any) -> float:
        return float((predict(x[model][parts.test]).argmax(1) == truth[parts.test]).mean())

    return {
        "CPU s": cost["cpu"],
        "wall s": cost["wall"],
        "peak GB": peak_gb(),
        "weak": score(teacher, weak),
        "student": score(student, strong),
        "ceiling": score(ceiling, strong),
    }


def _epoch(model: Any, texts: list[Any]) -> dict[str, float]:
    """Return CPU and wall seconds of one epoch of forward passes, one text at a time, graphs recorded."""
    import torch

    backbone = model.at_layer(model.chosen_layer()).backbone("fp32")
    ids, _ = backbone.tokenize(texts)
    with Meter() as meter:
        for _ in range(RUN):
            for text in ids:
                row = torch.tensor([text])
                hidden = backbone.module(input_ids=row, attention_mask=torch.ones_like(row)).last_hidden_state
                backbone.pool(hidden, torch.ones_like(row))
    return {"cpu": meter.cpu / RUN, "wall": meter.wall / RUN}


def _features(model: Any, texts: list[Any]) -> np.ndarray:
    layer = model.chosen_layer()
    return np.asarray(model.features(texts, [layer]).layers[layer])


def _adam(x: np.ndarray, labels: np.ndarray) -> Any:
    """Train the paper's linear probe on features and return its predictor."""
    import torch

    torch.manual_seed(0)
    head = torch.nn.Linear(x.shape[1], labels.shape[1], bias=False)
    torch.nn.init.zeros_(head.weight)
    adam = torch.optim.Adam(head.parameters(), lr=1e-3)
    inputs, targets = torch.from_numpy(x), torch.from_numpy(labels)
    for _ in range(EPOCHS):
        for rows in torch.randperm(len(x)).split(BATCH):
            adam.zero_grad()
            torch.nn.functional.cross_entropy(head(inputs[rows]), targets[rows]).backward()
            adam.step()
    return lambda z: head(torch.from_numpy(z)).softmax(-1).detach().numpy()
