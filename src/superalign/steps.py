"""The steps that studies are made of. Each is a pure function of its parameters and inputs."""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from typing import Any

import numpy as np
import numpy.typing as npt

from superalign.bank import FeatureBank
from superalign.config import canonical
from superalign.errors import DataError
from superalign.fit import Lesson, fits
from superalign.job import Inputs, Tools, step
from superalign.label import Labels
from superalign.model import Model, models
from superalign.objective import objectives
from superalign.store import Artifact
from superalign.supervisor import GroundTruth, OracleSupervisor, ShuffledSupervisor, WeakSupervisor
from superalign.task import PARTS, Gold, Loaded, Parts, Task, split, tasks

FloatArray = npt.NDArray[np.float32]
Params = Mapping[str, Any]


@step(version=1)
def read_items(params: Params, inputs: Inputs, tools: Tools) -> Artifact:
    """Read a task's items, without their gold. Parameters: `task` (spec), `fingerprint`."""
    return Artifact(meta=_load(canonical(params)).task.to_meta())


@step(version=1)
def read_gold(params: Params, inputs: Inputs, tools: Tools) -> Artifact:
    """Read a task's ground truth, int64 [n]. Only steps that train on truth or score take this as an input."""
    return Artifact({"labels": _load(canonical(params)).labels})


@step(version=1)
def cache_features(params: Params, inputs: Inputs, tools: Tools) -> Artifact:
    """Compute the features of every text of a task at some layers, in one pass.

    Parameters: `model` (spec), `fingerprint`, `layers`. Input: `items`.
    """
    model = models.build(params["model"])
    task = Task.from_meta(inputs["items"].meta)
    bank = FeatureBank(tools.store, model)
    looked = bank.features(
        task.texts(), params["layers"], lambda done, total, tokens: tools.report(done=done, total=total, tokens=tokens)
    )
    for notice in bank.notices:
        tools.report(note=notice)
    return Artifact(meta=_model_facts(model, looked.truncated, looked.tokens, len(task.texts())))


@step(version=1)
def label(params: Params, inputs: Inputs, tools: Tools) -> Artifact:
    """Let a supervisor label one part of the task, once a seed.

    Parameters: `by` ("truth", "oracle", "weak", "shuffled"), `part`, `seeds`, `shares`.
    Inputs: `items`, and `gold` for the first two or `said` (a weak model's predictions) for the others.

    Returns:
        probs: float32 [seeds, items, k], NaN outside the part, so that a leak cannot go unseen.
    """
    task = Task.from_meta(inputs["items"].meta)
    out = np.full((len(params["seeds"]), len(task.items), len(task.classes)), np.nan, dtype=np.float32)
    name = ""
    for number, seed in enumerate(params["seeds"]):
        rows = part_of(split(task, tuple(params["shares"]), seed), params["part"])
        labels = _labels_by(params, inputs, rows, number, seed, len(task.classes))
        out[number, rows], name = labels.probs, labels.by
    return Artifact({"probs": out}, {"by": name})


@step(version=1)
def learn(params: Params, inputs: Inputs, tools: Tools) -> Artifact:
    """Train one learner a lesson on one part of the task and let it predict other parts.

    Parameters: `model`, `fingerprint`, `fit` (specs), `part`, `predict` (parts), `shares`, and `lessons`, each with
    `objective` (spec), `seed`, `labels` (name of an input) and `row` (which of that input's seeds).
    Inputs: `items`, the labels, and `features` when they were computed before. For an oracle early stop, `gold`.

    Returns:
        probs: float32 [lessons, items, k], NaN where nothing was predicted.
    """
    model, fit = models.build(params["model"]), fits.build(params["fit"])
    task = Task.from_meta(inputs["items"].meta)
    lessons, predict = [], []
    for plan in params["lessons"]:
        parts = split(task, tuple(params["shares"]), plan["seed"])
        rows = part_of(parts, params["part"])
        given = inputs[plan["labels"]]
        labels = Labels.soft(given.tensors["probs"][plan["row"]][rows], given.meta["by"])
        gold = inputs.get("gold")
        oracle = Gold(gold.tensors["labels"][rows], params["part"]) if gold else None
        lessons.append(Lesson(objectives.build(plan["objective"]), rows, labels, plan["seed"], oracle))
        predict.append(np.sort(np.concatenate([part_of(parts, name) for name in params["predict"]])))
    learned = fit.learn(model, task, lessons, predict, store=tools.store, report=tools.report)
    out = np.full((len(lessons), len(task.items), len(task.classes)), np.nan, dtype=np.float32)
    for number, (one, rows) in enumerate(zip(learned, predict, strict=True)):
        out[number, rows] = one.probs
    return Artifact({"probs": out}, {"facts": [dict(one.facts) for one in learned]})


@step(version=1)
def stack(params: Params, inputs: Inputs, tools: Tools) -> Artifact:
    """Put the predictions of single-lesson jobs into one array, inputs in the order of their names."""
    return Artifact({"probs": np.concatenate([inputs[name].tensors["probs"] for name in sorted(inputs)])})


def part_of(parts: Parts, name: str) -> npt.NDArray[np.int64]:
    """Return the item indices of the part called `name`.

    Raises:
        DataError: there are none.
    """
    rows = parts[PARTS.index(name)]
    if not len(rows):
        raise DataError(f"no item is left for the {name} part", fix="give the task more rows, or other shares")
    return rows


def _labels_by(params: Params, inputs: Inputs, rows: npt.NDArray[np.int64], number: int, seed: int, k: int) -> Labels:
    by, part = params["by"], params["part"]
    if by in ("truth", "oracle"):
        gold = Gold(inputs["gold"].tensors["labels"][rows], part)
        return GroundTruth().label(gold, k) if by == "truth" else OracleSupervisor().label(gold, k)
    said = inputs["said"].tensors["probs"][number][rows]
    return WeakSupervisor().label(said) if by == "weak" else ShuffledSupervisor().label(said, seed)


def _model_facts(model: Model, truncated: int, tokens: int, texts: int) -> dict[str, Any]:
    return {
        "spec": str(model),
        "layer": model.chosen_layer(),
        "depth": model.depth(),
        "fingerprint": model.fingerprint(),
        "texts": texts,
        "truncated": truncated,
        "tokens": tokens,
    }


@lru_cache(maxsize=2)
def _load(params: str) -> Loaded:
    import json

    return tasks.build(json.loads(params)["task"]).load()
