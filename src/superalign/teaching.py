"""The steps of an ensemble: ask with another prompt, teach the members, settle their weights with the student."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from superalign.bank import item_features
from superalign.ensemble import JointEnsemble, Teaching, Vote, ensembles, reworded
from superalign.errors import ConfigError
from superalign.fit import Lesson, fits
from superalign.job import Inputs, Tools, step
from superalign.label import Labels
from superalign.model import models
from superalign.objective import objectives
from superalign.steps import Params, labels_of, part_of
from superalign.store import Artifact
from superalign.task import Gold, Task

FloatArray = npt.NDArray[np.float32]
IntArray = npt.NDArray[np.int64]
READ = ("layer", "truncated", "tokens")


@step(version=1)
def ask(params: Params, inputs: Inputs, tools: Tools) -> Artifact:
    """Put every item of a task into a prompt. Parameter: `template`. Input: `items`."""
    return Artifact(meta=reworded(Task.from_meta(inputs["items"].meta), params["template"]).to_meta())


@step(version=1)
def teach(params: Params, inputs: Inputs, tools: Tools) -> Artifact:
    """Train an ensemble on the supervise part and let it vote on the others, once a seed.

    Parameters: `ensemble`, `fit`, `objective` (specs), `seeds`, `shares`, and `ways`, each with a `model`, its
    `fingerprint` and `items` (name of the input that holds the items as it is asked). Inputs: `items`, those items,
    the `labels` of the supervise part; features computed before under any name. For an oracle early stop, `gold`.

    Returns:
        probs: float32 [seeds, items, k], weight: float32 [seeds, items], NaN and 0 on the supervise part; members:
        float32 [seeds, members, items, k] where the student is to settle their weights.
    """
    task, chosen = Task.from_meta(inputs["items"].meta), ensembles.build(params["ensemble"])
    groups, said, weights, members, facts = np.array(task.groups()), [], [], [], []
    for number, seed in enumerate(params["seeds"]):
        rows = part_of(task, params["shares"], seed, "supervise")
        ways = [_Way(params, plan, rows, seed, inputs, tools) for plan in params["ways"]]
        vote = chosen.teach(Teaching(ways, labels_of(inputs["labels"], seed, rows), rows, groups[rows], seed))
        probs, weight = vote.probs.copy(), vote.weight.copy()
        probs[rows], weight[rows] = np.nan, 0
        said.append(probs)
        weights.append(weight)
        members.append(vote.members)
        others = np.delete(vote.weight, rows)
        uneven = {} if (others == 1).all() else {"mean_weight": float(others.mean())}
        facts.append({**ways[0].read, **vote.facts, **uneven})
        tools.report(done=number + 1, total=len(params["seeds"]))
    tensors = {"probs": np.stack(said), "weight": np.stack(weights)}
    if isinstance(chosen, JointEnsemble):
        tensors["members"] = np.stack(members)
    return Artifact(tensors, {"facts": facts})


@step(version=1)
def settle(params: Params, inputs: Inputs, tools: Tools) -> Artifact:
    """Learn the weights of an ensemble's members together with the student, once a seed; no truth goes into them.

    Parameters: `ensemble` (spec), `names` of its ways, the student's `model` and `fingerprint`, `seeds`, `shares`.
    Inputs: `items`, `taught` (of the step `teach`), and `features` when they were computed before.

    Returns:
        probs: float32 [seeds, items, k], weight: float32 [seeds, items]; see `teach`.
    """
    task, chosen, taught = Task.from_meta(inputs["items"].meta), ensembles.build(params["ensemble"]), inputs["taught"]
    if not isinstance(chosen, JointEnsemble):
        raise ConfigError(f"the members of '{chosen}' have no weights to learn")
    features = item_features(models.build(params["model"]), task, tools.store, tools.report)
    groups, probs, facts = np.array(task.groups()), np.full_like(taught.tensors["probs"], np.nan), []
    for number, seed in enumerate(params["seeds"]):
        members = taught.tensors["members"][number]
        rows = part_of(task, params["shares"], seed, "transfer")
        share, about = chosen.settle(members[:, rows], features[rows], groups[rows], seed, pairwise=task.pairwise)
        asked = ~np.isnan(taught.tensors["probs"][number]).any(1)
        probs[number, asked] = Vote.mean(members[:, asked], share).probs
        told = taught.meta["facts"][number]
        facts.append({**told, **about, "weights": _named(params["names"], share.tolist())})
        tools.report(done=number + 1, total=len(params["seeds"]))
    return Artifact({"probs": probs, "weight": taught.tensors["weight"]}, {"facts": facts})


class _Way:
    """One weak model under one prompt; see ensemble.Way."""

    def __init__(self, params: Params, plan: Params, rows: IntArray, seed: int, inputs: Inputs, tools: Tools) -> None:
        self.model, self.fit = models.build(plan["model"]), fits.build(params["fit"])
        self.objective = objectives.build(params["objective"])
        self.task = Task.from_meta(inputs[plan["items"]].meta)
        self.rows, self.seed, self.tools = rows, seed, tools
        gold = inputs.get("gold")
        self.oracle = Gold(gold.tensors["labels"][rows], "supervise") if gold else None
        self.read: dict[str, Any] = {}  # what a fine-tuned learner says of the texts it read

    def __call__(self, labels: Sequence[Labels]) -> FloatArray:
        lessons = [Lesson(self.objective, self.rows, one, self.seed, self.oracle) for one in labels]
        everything = [np.arange(len(self.task.items))] * len(lessons)
        learned = self.fit.learn(
            self.model, self.task, lessons, everything, store=self.tools.store, report=self.tools.report
        )
        self.read = {name: learned[0].facts[name] for name in READ if name in learned[0].facts}
        return np.stack([one.probs for one in learned])


def _named(ways: Sequence[str], share: list[float]) -> dict[str, float]:
    """Return each member's weight under the name of its way, numbered where a way has several."""
    each = len(share) // len(ways)
    return {
        f"{ways[place // each]} {place % each + 1}" if each > 1 else ways[place]: value
        for place, value in enumerate(share)
    }
