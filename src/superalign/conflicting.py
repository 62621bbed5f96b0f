"""The steps of a student that is taught two aims: the items of both, and the labels it learns from."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np

from superalign.conflict import FloatArray, IntArray, OracleConflict, hardened, longer, sure
from superalign.errors import DataError
from superalign.job import Inputs, Tools, step
from superalign.label import Labels
from superalign.steps import labels_of, part_of
from superalign.store import Artifact
from superalign.task import CONFLICT, Gold, Task, split

Params = Mapping[str, Any]


@step(version=1)
def both(params: Params, inputs: Inputs, tools: Tools) -> Artifact:
    """Put the items of another aim beside a task's own, in a part that is none of its three.

    Inputs: `target`, and `conflict` where there is another set. The target's items come first, as they were.
    """
    target = _pairs(inputs["target"], "target")
    if "conflict" not in inputs:
        return Artifact(meta=target.to_meta())
    other = _pairs(inputs["conflict"], "conflict")
    fixed = (*(target.fixed_parts or (None,) * len(target.items)), *(CONFLICT for _ in other.items))
    named = (replace(item, id=f"{CONFLICT}/{item.id}") for item in other.items)
    items = (*target.items, *named)
    return Artifact(meta=replace(target, items=items, fixed_parts=fixed).to_meta())


@step(version=1)
def supervise(params: Params, inputs: Inputs, tools: Tools) -> Artifact:
    """Return labels as a student of two aims gets them, once a seed.

    Parameters: `part`, `seeds`, `shares`; `hard`, whether labels become classes; `sure` (threshold and least share) or
    None; `alpha`, what the explicit conflict pays, or None; `wants`, by what the other aim's items are labelled in the
    implicit conflict ("gold", "longer"), or None.
    Inputs: `items` (of both aims), `labels` of the target, its `gold` for the explicit conflict, and `other`, the
    other aim's gold.

    Returns:
        probs: float32 [seeds, items, 2], weight: float32 [seeds, items]; where an aim pays, against: float32
        [seeds, items, 2]. The record says how many items of the other aim there are, a seed.
    """
    task, seeds = Task.from_meta(inputs["items"].meta), params["seeds"]
    probs = np.full((len(seeds), len(task.items), 2), np.nan, dtype=np.float32)
    weight, against = np.zeros(probs.shape[:2], np.float32), np.zeros_like(probs)
    aside, name = [], ""
    for number, seed in enumerate(seeds):
        rows = part_of(task, params["shares"], seed, params["part"])
        labels = labels_of(inputs["labels"], number, rows)
        if params["sure"]:
            labels = sure(labels, *params["sure"])
        labels = hardened(labels) if params["hard"] else labels
        probs[number, rows], weight[number, rows], name = labels.probs, labels.weight, labels.by
        if params["alpha"]:
            gold = Gold(inputs["gold"].tensors["labels"][rows], params["part"])
            against[number, rows] = OracleConflict().pay(gold, params["alpha"])
        if params["wants"]:
            others, other = _others(params, inputs, task, seed, int(np.count_nonzero(labels.weight)))
            probs[number, others], weight[number, others] = other.probs, other.weight
            aside.append(int(np.count_nonzero(other.weight)))
    paid = {"against": against} if params["alpha"] else {}
    return Artifact({"probs": probs, "weight": weight, **paid}, {"by": name, "aside": aside})


def _others(params: Params, inputs: Inputs, task: Task, seed: int, wanted: int) -> tuple[IntArray, Labels]:
    """Return the other aim's items and its labels; as many as are wanted have a weight, none related to a test item."""
    rows = np.array([place for place, part in enumerate(task.fixed_parts) if part == CONFLICT], dtype=np.int64)
    groups = np.array(task.groups())
    shares = params["shares"]
    tested = set(groups[split(task, (shares[0], shares[1], shares[2]), seed).test])
    prefers = longer(task, rows) if params["wants"] == "longer" else _gold(inputs)
    usable = np.array([group not in tested for group in groups[rows]], dtype=np.bool_) & (prefers >= 0)
    if not usable.any():
        why = "each is as long as the other, or related to what is tested"
        raise DataError("no item of the other aim can be learnt from", why=why, fix="give another --conflict")
    drawn = np.random.default_rng([seed, len(rows)]).permutation(np.flatnonzero(usable))[:wanted]
    weight: FloatArray = np.zeros(len(rows), np.float32)
    weight[drawn] = 1
    return rows, Labels(np.eye(2, dtype=np.float32)[np.maximum(prefers, 0)], weight, "another aim")


def _gold(inputs: Inputs) -> IntArray:
    return OracleConflict().wanted(Gold(inputs["other"].tensors["labels"], CONFLICT))


def _pairs(given: Artifact, role: str) -> Task:
    task = Task.from_meta(given.meta)
    if not task.pairwise:
        why = "what is compared are the probabilities of two responses"
        fix = "a task of pairs: facts,pairs=true or a file with columns chosen and rejected"
        raise DataError(f"the {role} {task.name} is no task of Comparisons", why=why, fix=fix)
    return task
