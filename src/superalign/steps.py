"""The steps that studies are made of. Each is a pure function of its parameters and inputs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace
from functools import cache, cached_property, lru_cache, partial
from typing import Any

import numpy as np
import numpy.typing as npt

from superalign.bank import item_features, look
from superalign.config import canonical
from superalign.crossfit import MIN_TRAINED, cross_fit, deal
from superalign.errors import DataError
from superalign.estimation import NoiseEstimate, estimate
from superalign.filter import compare, filters
from superalign.fit import Lesson, aims_of, fits
from superalign.job import Inputs, Tools, step
from superalign.label import Labels
from superalign.model import models
from superalign.noise import OracleNoise, noises
from superalign.objective import Objective, objectives
from superalign.result import ModelFacts
from superalign.store import Artifact
from superalign.supervisor import GroundTruth, OracleSupervisor, ShuffledSupervisor, WeakSupervisor
from superalign.task import CONFLICT, PARTS, Gold, Loaded, Task, split, tasks

FloatArray = npt.NDArray[np.float32]
Params = Mapping[str, Any]
SAID = {"weak": ("probs", "weight", "scores"), "shuffled": ("probs", "weight")}


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
    model, texts = models.build(params["model"]), Task.from_meta(inputs["items"].meta).texts()
    looked = look(model, texts, params["layers"], tools.store, tools.report)
    facts = ModelFacts.of(model, texts=len(texts), truncated=looked.truncated, tokens=looked.tokens)
    return Artifact(meta=facts.model_dump())


@step(version=1)
def label(params: Params, inputs: Inputs, tools: Tools) -> Artifact:
    """Let a supervisor label one part of the task, once a seed.

    Parameters: `by` ("truth", "oracle", "noise", "weak", "shuffled"), `part`, `seeds`, `shares`; for noise its spec
    `noise` and, where it depends on the items, the `model` whose features tell how.
    Inputs: `items`, and `gold` for the first three or `said` (a weak model's predictions) for the others.

    Returns:
        probs: float32 [seeds, items, k], NaN outside the part, so that a leak cannot go unseen; where what was said has
        weights, weight: float32 [seeds, items]; of a weak model that scores responses, rewards: float32
        [seeds, items, s].
    """
    task = Task.from_meta(inputs["items"].meta)
    more = dict[str, FloatArray]()
    out = np.full((len(params["seeds"]), len(task.items), len(task.classes)), np.nan, dtype=np.float32)
    weight, name = np.zeros(out.shape[:2], dtype=np.float32), ""
    for number, seed in enumerate(params["seeds"]):
        rows = part_of(task, params["shares"], seed, params["part"])
        if params["by"] == "noise":
            labels = _noisy(params, inputs, tools, task, rows, seed)
        else:
            labels = _labels_by(params, inputs, rows, number, seed, len(task.classes))
        out[number, rows], weight[number, rows], name = labels.probs, labels.weight, labels.by
        if labels.rewards is not None:
            empty = np.full((*out.shape[:2], labels.rewards.shape[1]), np.nan, dtype=np.float32)
            more.setdefault("rewards", empty)[number, rows] = labels.rewards
    if "said" in inputs and "weight" in inputs["said"].tensors:
        more["weight"] = weight
    return Artifact({"probs": out, **more}, {"by": name})


@step(version=1)
def filter_labels(params: Params, inputs: Inputs, tools: Tools) -> Artifact:
    """Drop or relabel what a filter finds suspicious in the labels of one part, once a seed; it sees no truth.

    Parameters: `filter` (spec), `model`, `fingerprint` (whose features it looks at), `part`, `seeds`, `shares`.
    Inputs: `items`, `labels`, and `features` when they were computed before.

    Returns:
        probs: float32 [seeds, items, k], NaN outside the part; weight: float32 [seeds, items], 0 where dropped.
    """
    task, given = Task.from_meta(inputs["items"].meta), inputs["labels"]
    chosen = filters.build(params["filter"])
    features = _item_features(params, task, tools)
    groups = np.array(task.groups())
    probs = np.full_like(given.tensors["probs"], np.nan)
    weight, facts, name = np.zeros(probs.shape[:2], dtype=np.float32), [], ""
    for number, seed in enumerate(params["seeds"]):
        rows = part_of(task, params["shares"], seed, params["part"])
        before = labels_of(given, seed, rows)
        after = chosen(features[rows], before, groups[rows], seed, pairwise=task.pairwise)
        probs[seed, rows], weight[seed, rows], name = after.probs, after.weight, after.by
        facts.append(asdict(compare(str(chosen), before, after)))
        tools.report(done=number + 1, total=len(params["seeds"]))
    rewards = {name: values for name, values in given.tensors.items() if name == "rewards"}
    return Artifact({"probs": probs, "weight": weight, **rewards}, {"by": name, "filtered": facts})


@step(version=3)
def learn(params: Params, inputs: Inputs, tools: Tools) -> Artifact:
    """Train one learner a lesson on one part of the task and let it predict other parts.

    Parameters: `model`, `fingerprint`, `fit` (specs), `part`, `predict` (parts), `shares`, and `lessons`, each with
    `objective` (spec), `seed`, `labels` (name of an input) and `row` (which of that input's seeds).
    Inputs: `items`, the labels, and `features` when they were computed before. For an oracle early stop, `gold`.

    Returns:
        probs: float32 [lessons, items, k], NaN where nothing was predicted; of learners that judge responses one by
        one, scores: float32 [lessons, items, s]; and what each lesson's learner kept, called `<lesson>/<name>`.
    """
    model, fit = models.build(params["model"]), fits.build(params["fit"])
    task = Task.from_meta(inputs["items"].meta)
    lessons, predict = [], []
    noise = _Noise(params, task, tools)
    rows_of = cache(partial(part_of, task, params["shares"]))
    for plan in params["lessons"]:
        rows = rows_of(plan["seed"], params["part"])
        labels = labels_of(inputs[plan["labels"]], plan["row"], rows)
        objective = objectives.build(plan["objective"])
        fit.check(objective, task)
        if objective.wants_rewards == "aims":
            labels = replace(labels, rewards=np.array([aims_of(task.items[row]) for row in rows], dtype=np.float32))
        if objective.wants_noise:
            objective = objective.with_noise(noise.transition(plan, objective, labels, rows))
        gold = inputs.get("gold")
        oracle = Gold(gold.tensors["labels"][rows], whole(params["part"])) if gold else None
        lessons.append(Lesson(objective, rows, labels, plan["seed"], oracle))
        predict.append(np.sort(np.concatenate([rows_of(plan["seed"], name) for name in params["predict"]])))
    learned = fit.learn(model, task, lessons, predict, store=tools.store, report=tools.report)
    tensors = {"probs": _placed([one.probs for one in learned], predict, len(task.items))}
    scores = [one.scores for one in learned if one.scores is not None]
    if len(scores) == len(learned):
        tensors["scores"] = _placed(scores, predict, len(task.items))
    facts = []
    for plan, lesson, one in zip(params["lessons"], lessons, learned, strict=True):
        dropped = {} if lesson.labels.weight.all() else {"kept": int(np.count_nonzero(lesson.labels.weight))}
        facts.append({**one.facts, **noise.told(plan), **dropped})
    kept = {f"{number}/{name}": value for number, one in enumerate(learned) for name, value in one.kept.items()}
    return Artifact({**tensors, **kept}, {"facts": facts})


@step(version=1)
def check(params: Params, inputs: Inputs, tools: Tools) -> Artifact:
    """Refuse what cannot be learnt from a task, before anything is trained; nothing comes of it else.

    Parameter: `taught`, pairs of specs of a fit and an objective. Input: `items`.
    """
    task = Task.from_meta(inputs["items"].meta)
    for fit, objective in params["taught"]:
        fits.build(fit).check(objectives.build(objective), task)
    return Artifact()


@step(version=1)
def stack(params: Params, inputs: Inputs, tools: Tools) -> Artifact:
    """Put what jobs of one seed each returned into one artifact, inputs in the order of their names."""
    parts = [inputs[name] for name in sorted(inputs)]
    tensors = {name: np.concatenate([part.tensors[name] for part in parts]) for name in parts[0].tensors}
    return Artifact(tensors, {"facts": [facts for part in parts for facts in part.meta["facts"]]})


def labels_of(given: Artifact, row: int, items: npt.NDArray[np.int64]) -> Labels:
    """Return the labels that a job gave to some items for one of its seeds."""
    probs = given.tensors["probs"][row][items]
    weight = given.tensors["weight"][row][items] if "weight" in given.tensors else np.ones(len(items), np.float32)
    rewards, against = (given.tensors[x][row][items] if x in given.tensors else None for x in ("rewards", "against"))
    return Labels(probs, weight, given.meta["by"], rewards, against)


def part_of(task: Task, shares: Sequence[int], seed: int, name: str) -> npt.NDArray[np.int64]:
    """Return the item indices of a part (`transfer`), or of a slice of it (`transfer 2/3`, the second of three).

    Slices are dealt by group: no related items are in two of them. `transfer + supervise` is both parts. Items of
    another aim, whose fixed part is `conflict`, are in none of the three; `transfer + conflict` is that part and them.

    Raises:
        DataError: there are none, or too few for that many slices.
    """
    parts = split(task, (shares[0], shares[1], shares[2]), seed)
    rows = parts[PARTS.index(whole(name))]
    if name.endswith(f" + {CONFLICT}"):
        aside = [place for place, part in enumerate(task.fixed_parts) if part == CONFLICT]
        return np.sort(np.concatenate([rows, np.array(aside, dtype=np.int64)]))
    if " + " in name:
        return np.sort(np.concatenate([rows, parts[PARTS.index(name.partition(" + ")[2])]]))
    if not len(rows):
        raise DataError(f"no item is left for the {name} part", fix="give the task more rows, or other shares")
    number, _, of = name.removeprefix(whole(name)).partition("/")
    if of in ("", "1"):
        return rows
    groups = np.array(task.groups())[rows]
    if len(set(groups)) < MIN_TRAINED * int(of):
        why = f"a slice needs {MIN_TRAINED}"
        fix = "give the task more rows, or other shares"
        raise DataError(f"only {len(set(groups))} groups of related items for {of} slices", why=why, fix=fix)
    return np.asarray(rows[deal(groups, int(of), seed) == int(number) - 1])


def whole(name: str) -> str:
    """Return the part that `name` is, or is a slice of."""
    return name.partition(" ")[0]


def _labels_by(params: Params, inputs: Inputs, rows: npt.NDArray[np.int64], number: int, seed: int, k: int) -> Labels:
    by, part = params["by"], params["part"]
    if by in ("truth", "oracle"):
        gold = Gold(inputs["gold"].tensors["labels"][rows], part)
        return GroundTruth().label(gold, k) if by == "truth" else OracleSupervisor().label(gold, k)
    said = {name: values[number][rows] for name, values in inputs["said"].tensors.items() if name in SAID[by]}
    return WeakSupervisor().label(**said) if by == "weak" else ShuffledSupervisor().label(**said, seed=seed)


def _placed(values: list[FloatArray], rows: list[npt.NDArray[np.int64]], n: int) -> FloatArray:
    """Return what each learner said of some of n items, float32 [lessons, n, ...], NaN elsewhere."""
    out = np.full((len(values), n, values[0].shape[1]), np.nan, dtype=np.float32)
    for number, (one, asked) in enumerate(zip(values, rows, strict=True)):
        out[number, asked] = one
    return out


def _noisy(params: Params, inputs: Inputs, tools: Tools, task: Task, rows: npt.NDArray[np.int64], seed: int) -> Labels:
    noise = noises.build(params["noise"])
    features = _item_features(params, task, tools)[rows] if noise.needs_features else None
    gold = Gold(inputs["gold"].tensors["labels"][rows], params["part"])
    return OracleNoise(noise).label(gold, len(task.classes), seed=seed, features=features, pairwise=task.pairwise)


class _Noise:
    """Estimates of the noise in labels, once each, by what probes on the learner's own features say of unseen items."""

    def __init__(self, params: Params, task: Task, tools: Tools) -> None:
        self.params, self.task, self.tools = params, task, tools
        self.found: dict[tuple[str, int], NoiseEstimate] = {}

    @cached_property
    def features(self) -> FloatArray:
        return _item_features(self.params, self.task, self.tools)

    def transition(self, plan: Params, objective: Objective, labels: Labels, rows: npt.NDArray[np.int64]) -> FloatArray:
        """Return what an objective must know of the labels it is to learn from, [k, k]."""
        source = plan["labels"], plan["row"]
        if source not in self.found:
            features, groups = self.features[rows], np.array(self.task.groups())[rows]
            seed, pairwise = plan["seed"], self.task.pairwise
            try:
                probs = cross_fit(features, labels, groups, seed=seed, pairwise=pairwise)
                self.found[source] = estimate(labels, probs, groups=groups, pairwise=pairwise, seed=seed)
            except DataError as error:
                why = f"{error.what}, so the noise of labels by {labels.by} cannot be estimated"
                raise DataError(f"{objective} must know the noise", why=why, fix="give it: rate=0.2") from error
        return np.array(self.found[source].transition, dtype=np.float32)

    def told(self, plan: Params) -> dict[str, float]:
        """Return the rate that a lesson's objective was told, for its facts."""
        known = self.found.get((plan["labels"], plan["row"]))
        return (
            {"estimated_noise": known.rate.value} if known and objectives.build(plan["objective"]).wants_noise else {}
        )


def _item_features(params: Params, task: Task, tools: Tools) -> FloatArray:
    return item_features(models.build(params["model"]), task, tools.store, tools.report)


@lru_cache(maxsize=2)
def _load(params: str) -> Loaded:
    import json

    return tasks.build(json.loads(params)["task"]).load()
