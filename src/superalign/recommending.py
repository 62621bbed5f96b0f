"""The steps of `recommend`: a few gold labels, cross-fitted, and labels in which some of them are mixed."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from superalign.crossfit import deal
from superalign.errors import DataError
from superalign.job import Inputs, Tools, step
from superalign.steps import Params, part_of
from superalign.store import Artifact
from superalign.supervisor import GroundTruth, WeakSupervisor
from superalign.task import Gold, Shares, Task

IntArray = npt.NDArray[np.int64]
FOLDS = 5
TAKES = FOLDS + 1
"""Learners of each kind: one without each fold of the gold labels, and one with all of them, which comes last."""
FEWEST = 20
WHY = "to train supervisors on, and to score who was not trained on them"


@step(version=1)
def few_labels(params: Params, inputs: Inputs, tools: Tools) -> Artifact:
    """Give the truth of a few items of the supervise part, once a seed and take; of the others there is none.

    Parameters: `gold` (how many), `seeds`, `shares`. Inputs: `items`, `gold`.

    Returns:
        probs: float32 [seeds * takes, items, k], NaN outside the supervise part; weight: float32 [seeds * takes,
        items], 1 where there is a label: the items of a fold have none in its take.
    """
    task = Task.from_meta(inputs["items"].meta)
    shape = (len(params["seeds"]) * TAKES, len(task.items))
    probs, weight = np.full((*shape, len(task.classes)), np.nan, dtype=np.float32), np.zeros(shape, dtype=np.float32)
    for number, seed in enumerate(params["seeds"]):
        rows = gold_rows(task, params["shares"], seed, params["gold"])
        gold, fold = Gold(inputs["gold"].tensors["labels"][rows], "supervise"), folds(task, rows, seed)
        told = GroundTruth().label(gold, len(task.classes), WHY)
        for take in range(TAKES):
            row, known = number * TAKES + take, fold != take
            probs[row, part_of(task, params["shares"], seed, "supervise")] = 1 / len(task.classes)
            probs[row, rows[known]], weight[row, rows[known]] = told.probs[known], told.weight[known]
    return Artifact({"probs": probs, "weight": weight}, {"by": GroundTruth.__name__})


@step(version=1)
def mix_labels(params: Params, inputs: Inputs, tools: Tools) -> Artifact:
    """Put the first gold labels of each seed and take beside a weak model's labels of the transfer part.

    Parameters: `budget` (how many gold labels), `gold` (of how many), `seeds`, `shares`. Inputs: `items`, `few` (of
    `few_labels`), and `said`, what weak models, one a seed and take, say; without it nothing labels the transfer part.

    Returns:
        probs: float32 [seeds * takes, items, k], NaN outside the two parts; weight: float32 [seeds * takes, items].
    """
    task, few = Task.from_meta(inputs["items"].meta), inputs["few"].tensors
    probs, weight = np.full_like(few["probs"], np.nan), np.zeros_like(few["weight"])
    for number, seed in enumerate(params["seeds"]):
        transfer, both = (part_of(task, params["shares"], seed, x) for x in ("transfer", "transfer + supervise"))
        own = gold_rows(task, params["shares"], seed, params["gold"])[: params["budget"]]
        for row in range(number * TAKES, (number + 1) * TAKES):
            probs[row, both] = 1 / len(task.classes)
            probs[row, own], weight[row, own] = few["probs"][row, own], few["weight"][row, own]
            if "said" in inputs:
                given = WeakSupervisor().label(inputs["said"].tensors["probs"][row][transfer])
                probs[row, transfer], weight[row, transfer] = given.probs, given.weight
    names = [WeakSupervisor.__name__] * ("said" in inputs) + [GroundTruth.__name__] * bool(params["budget"])
    return Artifact({"probs": probs, "weight": weight}, {"by": " and ".join(names)})


def gold_rows(task: Task, shares: Shares, seed: int, gold: int) -> IntArray:
    """Return the items whose truth may be read, int64 [gold], in the order in which a seed deals them.

    One of each group comes before a second one of any: related items tell less.

    Raises:
        DataError: the supervise part has fewer, or they are of too few groups.
    """
    rows = part_of(task, shares, seed, "supervise")
    if gold > len(rows):
        fix = f"ask for {len(rows)} at most, or give that part a larger share"
        raise DataError(f"{gold} gold labels are wanted, and the supervise part has {len(rows)} items", fix=fix)
    names, which = np.unique(np.array(task.groups())[rows], return_inverse=True)
    dealt = np.random.default_rng([seed, 1]).permutation(len(rows))
    ordered = dealt[np.argsort(which[dealt], kind="stable")]  # by group, in random order within each
    sizes = np.bincount(which, minlength=len(names))
    turn = np.arange(len(rows)) - np.repeat(np.cumsum(sizes) - sizes, sizes)
    place = np.empty(len(rows), dtype=np.int64)
    place[ordered] = turn
    picked = rows[dealt[np.argsort(place[dealt], kind="stable")]][:gold]
    groups = len({task.groups()[row] for row in picked})
    if groups < FEWEST:
        fix = "ask for more gold labels"
        raise DataError(f"{gold} gold labels are of {groups} groups of related items; {FEWEST} are needed", fix=fix)
    return np.asarray(picked, dtype=np.int64)


def folds(task: Task, rows: IntArray, seed: int) -> IntArray:
    """Return the fold of each of some items, by group, int64 [n]."""
    return deal(np.array(task.groups())[rows], FOLDS, seed)
