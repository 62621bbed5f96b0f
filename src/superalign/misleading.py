"""The steps of the error lab: labels with errors in given places, and items that say what their supervisor thinks."""

from __future__ import annotations

from dataclasses import replace
from functools import cached_property

import numpy as np
import numpy.typing as npt

from superalign.bank import item_features
from superalign.crossfit import cross_fit
from superalign.fit import Lesson
from superalign.fits.probe import Probe, solve
from superalign.job import Inputs, Tools, step
from superalign.label import Labels
from superalign.model import models
from superalign.objective import objectives
from superalign.steps import Params, part_of
from superalign.store import Artifact
from superalign.structure import OracleStructure, Scene, structures
from superalign.supervisor import GroundTruth
from superalign.task import Comparison, Example, Gold, Item, Task

FloatArray = npt.NDArray[np.float32]
IntArray = npt.NDArray[np.int64]
SAID = ("transfer", "test")
LABEL = "{label}"
BETTER = ("better", "worse")


@step(version=2)
def mislead(params: Params, inputs: Inputs, tools: Tools) -> Artifact:
    """Label the transfer part with as many errors as a weak model makes, in given places, once a seed.

    Parameters: `structure` (spec), `match`, `seeds`, `shares`; where the structure looks at what the strong model
    knows, its `model` and `fingerprint`. Inputs: `items`, `gold`, `said` (the weak model's predictions), and `features`
    when they were computed before.

    Returns:
        probs: float32 [seeds, items, k], one-hot, NaN outside the transfer part; beyond: the same of the test part,
        what that supervisor would say there, for comparison alone.
    """
    task = Task.from_meta(inputs["items"].meta)
    oracle = OracleStructure(structures.build(params["structure"]), params["match"])
    k, facts = len(task.classes), []
    probs = np.full((len(params["seeds"]), len(task.items), k), np.nan, dtype=np.float32)
    beyond = probs.copy()
    for number, seed in enumerate(params["seeds"]):
        stage = _Stage(params, inputs, tools, task, oracle, number, seed)
        misled = oracle.label(stage.scene, seed=seed, pairwise=task.pairwise)
        one_hot = np.eye(k, dtype=np.float32)[misled.classes]
        probs[number, stage.transfer] = one_hot[: len(stage.transfer)]
        beyond[number, stage.test] = one_hot[len(stage.transfer) :]
        facts.append(dict(misled.facts))
        tools.report(done=number + 1, total=len(params["seeds"]))
    by = f"{type(oracle).__name__}({oracle.structure})"
    return Artifact({"probs": probs, "beyond": beyond}, {"by": by, "facts": facts})


@step(version=1)
def tell(params: Params, inputs: Inputs, tools: Tools) -> Artifact:
    """Put behind every item of the transfer and test parts what its supervisor says of it.

    Parameters: `remark`, `seed`. Inputs: `items`, and `labels` of the step `mislead`.
    """
    task = Task.from_meta(inputs["items"].meta)
    learnt, beyond = (inputs["labels"].tensors[name][params["seed"]] for name in ("probs", "beyond"))
    said = np.where(np.isnan(learnt), beyond, learnt)
    items = [
        item if np.isnan(row).any() else told(item, params["remark"], int(row.argmax()), task.classes)
        for item, row in zip(task.items, said, strict=True)
    ]
    return Artifact(meta=replace(task, items=tuple(items)).to_meta())


def told(item: Item, remark: str, label: int, classes: tuple[str, ...]) -> Item:
    """Return an item that ends in a remark on its class; each response of a Comparison in one on itself."""
    if isinstance(item, Comparison):
        first, second = (remark.replace(LABEL, BETTER[place != label]) for place in range(2))
        return replace(item, responses=(f"{item.responses[0]} {first}", f"{item.responses[1]} {second}"))
    return _ended(item, remark.replace(LABEL, classes[label]))


def _ended(item: Example, remark: str) -> Example:
    if item.response is not None:
        return replace(item, response=f"{item.response} {remark}")
    messages = item.messages
    if messages:
        messages = (*messages[:-1], messages[-1]._replace(content=f"{messages[-1].content} {remark}"))
    return replace(item, prompt=f"{item.prompt} {remark}", messages=messages)


class _Stage:
    """What the structures may look at for one seed, computed when they do."""

    def __init__(
        self, params: Params, inputs: Inputs, tools: Tools, task: Task, oracle: OracleStructure, number: int, seed: int
    ) -> None:
        self.params, self.tools, self.task, self.seed = params, tools, task, seed
        self.gold = inputs["gold"].tensors["labels"]
        parts = {name: part_of(task, params["shares"], seed, name) for name in ("supervise", *SAID)}
        self.supervise, self.transfer, self.test = parts.values()
        self.rows = np.concatenate([self.transfer, self.test])
        self.known = {name: oracle.truth(Gold(self.gold[parts[name]], name)) for name in SAID}
        self.weak = inputs["said"].tensors["probs"][number][self.rows]

    @cached_property
    def scene(self) -> Scene:
        """The items of both parts, transfer first."""
        lengths = [sum(len(text.plain) for text in self.task.items[row].texts()) for row in self.rows]
        return Scene(
            truth=np.concatenate([self.known[name] for name in SAID]),
            weak=self.weak,
            lengths=np.array(lengths, dtype=np.int64),
            transfer=np.arange(len(self.rows)) < len(self.transfer),
            ceiling=self.ceiling,
            narrow=self.narrow,
            width=self.features.shape[1] if "model" in self.params else 0,
        )

    @cached_property
    def features(self) -> FloatArray:
        """Features of every item of the task."""
        return item_features(models.build(self.params["model"]), self.task, self.tools.store, self.tools.report)

    def ceiling(self) -> FloatArray:
        """Return what probes on the truth of transfer items say of other transfer items, and of the test part."""
        truth, k = self.known["transfer"], len(self.task.classes)
        labels, pairwise = Labels.hard(truth, k, "OracleStructure"), self.task.pairwise
        groups = np.array(self.task.groups())[self.transfer]
        mine = cross_fit(self.features[self.transfer], labels, groups, seed=self.seed, pairwise=pairwise)
        return np.concatenate([mine, self._taught(self.features, self.transfer, labels)[self.test]])

    def narrow(self, width: int) -> FloatArray:
        """Return what a probe on the first features says; it learnt the truth of the supervise part."""
        gold = Gold(self.gold[self.supervise], "supervise")
        labels = GroundTruth().label(gold, len(self.task.classes), "to train a probe on few features")
        return np.asarray(self._taught(self.features[:, :width], self.supervise, labels)[self.rows])

    def _taught(self, features: FloatArray, rows: IntArray, labels: Labels) -> FloatArray:
        lesson = Lesson(objectives.build("naive"), rows, labels, self.seed)
        groups = np.array(self.task.groups())
        (head,) = solve(Probe(), features, groups, [lesson], pairwise=self.task.pairwise)
        return head.predict(features)
