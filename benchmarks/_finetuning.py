"""Fine-tuning: our loop, and a re-statement of the public weak-to-strong training loop's cost model.

The re-statement was written from a description of the public loop (openai/weak-to-strong, `train_simple.py`), not from
its text. What it costs, and hence what is restated: float32 weights, all of them trained; a batch of 32 is 32 forward
passes of one text each, whose graphs are all kept until one backward pass; AdamW as it comes; the loss is read at every
step; the items keep one order over the epochs and the last partial batch is dropped; scoring pads unsorted batches of
32. Texts, token ids, read-out (last token), zero head, learning rate and schedule are ours.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from _measure import Meter, peak_gb

from superalign.fit import fits
from superalign.fits._finetune import FineTune
from superalign.label import Labels
from superalign.learner import Learner, Training
from superalign.model import models
from superalign.network import Reading
from superalign.objective import objectives
from superalign.task import Comparison, Example, Task, tasks

EVAL_BATCH = 32


def pointwise(spec: str, n: int, seed: int) -> tuple[Task, np.ndarray]:
    """Load n items; a Comparison becomes one Example, its preferred or its other response, as the public loop does."""
    task, labels = tasks.build(spec).load()
    chosen = np.random.default_rng(seed).permutation(len(task.items))[:n]
    items, truth = [], []
    for number, index in enumerate(chosen):
        item, label = task.items[index], int(labels[index])
        if isinstance(item, Comparison):
            wanted = number % 2
            response = item.responses[label if wanted else 1 - label]
            item, label = Example(item.id, item.prompt, response, item.group), wanted
        items.append(item)
        truth.append(label)
    classes = ("worse", "better") if task.pairwise else task.classes
    return Task(task.name, task.version, tuple(items), classes), np.array(truth)


def ours(fit_spec: str, plan: dict[str, Any]) -> dict[str, float]:
    """Train and score with superalign's loop."""
    task, truth = pointwise(plan["task"], plan["items"] + plan["test"], plan["seed"])
    fit = fits.build(f"{fit_spec},epochs={plan['epochs']}")
    assert isinstance(fit, FineTune)
    network = fit.network(models.build(plan["model"]), len(task.classes))
    taught, asked = np.arange(plan["items"]), np.arange(plan["items"], len(truth))
    labels = Labels.hard(truth[taught], len(task.classes), "truth")
    with Meter() as training:
        reading = Reading.of(task, taught, network.backbone)
        learner = Learner(network, objectives.build("naive"), fit, lambda **_: None)
        facts = learner.train(reading, labels, plan["seed"])
    with Meter() as scoring:
        test = Reading.of(task, asked, network.backbone)
        probs = network.probs(test, np.arange(len(asked)), fit.microbatch_tokens)
    score = float((probs.argmax(1) == truth[asked]).mean())
    return _row(facts["tokens"], training, test.tokens(np.arange(len(asked))), scoring, score)


def public(plan: dict[str, Any]) -> dict[str, float]:
    """Train and score with the re-stated loop."""
    import torch

    task, truth = pointwise(plan["task"], plan["items"] + plan["test"], plan["seed"])
    backbone = models.build(plan["model"]).backbone("fp32")
    body = backbone.module
    body.set_attn_implementation("sdpa")  # as transformers loads it
    head = torch.nn.Linear(backbone.width, len(task.classes), bias=False)
    torch.nn.init.zeros_(head.weight)

    def score(texts: list[list[int]]) -> Any:
        longest = max(map(len, texts))
        ids = torch.tensor([text + [backbone.pad_id] * (longest - len(text)) for text in texts])
        hidden = body(input_ids=ids).last_hidden_state
        return head(torch.stack([hidden[i, len(text) - 1] for i, text in enumerate(texts)]))

    n, batch = plan["items"], Training(lr=1).batch
    labels = torch.nn.functional.one_hot(torch.from_numpy(truth), len(task.classes)).float()
    with Meter() as training:
        ids, _ = backbone.tokenize(task.texts(np.arange(n)))
        steps = n // batch * plan["epochs"]
        adam = torch.optim.AdamW([*body.parameters(), *head.parameters()], lr=plan["lr"], weight_decay=0.0)
        schedule = torch.optim.lr_scheduler.CosineAnnealingLR(adam, steps)
        losses = []
        for _ in range(plan["epochs"]):
            for start in range(0, n - batch + 1, batch):
                logits = torch.cat([score([ids[i]]) for i in range(start, start + batch)])
                loss = torch.nn.functional.cross_entropy(logits, labels[start : start + batch])
                loss.backward()
                losses.append(loss.item())
                adam.step()
                adam.zero_grad()
                schedule.step()
    assert all(map(math.isfinite, losses))
    trained = sum(len(text) for text in ids[: n // batch * batch]) * plan["epochs"]
    with Meter() as scoring, torch.no_grad():
        asked, _ = backbone.tokenize(task.texts(np.arange(n, len(truth))))
        answers = [score(asked[start : start + EVAL_BATCH]).argmax(1) for start in range(0, len(asked), EVAL_BATCH)]
    right = float((torch.cat(answers).numpy() == truth[n:]).mean())
    return _row(trained, training, sum(map(len, asked)), scoring, right)


def _row(trained: int, training: Meter, scored: int, scoring: Meter, accuracy: float) -> dict[str, float]:
    return {
        "tokens": trained,
        "train tok/s": trained / training.wall,
        "train CPU s": training.cpu,
        "train tok/CPU s": trained / training.cpu,
        "score tok/CPU s": scored / scoring.cpu,
        "wall s": training.wall + scoring.wall,
        "CPU s": training.cpu + scoring.cpu,
        "peak GB": peak_gb(),
        "accuracy": accuracy,
    }
