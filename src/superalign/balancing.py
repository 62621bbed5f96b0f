"""The steps of the study of balance: pairs and probes of an axis, mixtures, experts, merges, and what each says."""

from __future__ import annotations

import shutil
import uuid
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from itertools import combinations
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from superalign.aim import Probe
from superalign.answers import AnswerBank
from superalign.attacker import Goal
from superalign.axis import Axis, axes
from superalign.chat import Message, Messages
from superalign.errors import DataError, ModelError
from superalign.feedback import Feedback
from superalign.fit import Lesson, fits
from superalign.fits._apprentice import with_adapter
from superalign.fits.lora import Lora
from superalign.interference import between, changes, singular_interference
from superalign.job import Inputs, Tools, step
from superalign.loop_world import KnowledgeWorld, drawn_rows, learner_of
from superalign.merging import engine
from superalign.merging.method import methods
from superalign.mixing import best_scored, equally, lagging
from superalign.model import Model, models
from superalign.models._settings import TransformerSettings
from superalign.models.embedded import Embedded
from superalign.models.hf import HuggingFace
from superalign.scoring import TestScore
from superalign.steps import Params
from superalign.store import Artifact, tensors_sha256, writer, writing
from superalign.supervisor import OracleExpert
from superalign.task import Comparison, Gold, Task
from superalign.updates.pairs import Pairs

FloatArray = npt.NDArray[np.float32]
PARTS = {"validation": "supervise", "test": "test"}
"""From what a probe is for to the part of the task that it is made of."""
MORE = "fewer --pairs, or a task with more rows"


@step(version=1)
def draw_axis(params: Params, inputs: Inputs, tools: Tools) -> Artifact:
    """Make the pairs that teach an axis, of the transfer part, and its probes, of the other two.

    Parameters: `axis` (spec), `model`, `fingerprint`, `seed`, `shares`, `pairs` (most of them), `least` (fewest),
    `validation`, `test` (probes). Inputs: `items`, and of an axis with a task of its own `gold`.

    Returns:
        meta: `pairs` (see Feedback), `validation` and `test` (see Probe), `errors` (items the model did not answer).
    """
    axis = axes.build(params["axis"])
    rng = np.random.default_rng([params["seed"], 11])
    taught, errors = _goals(axis, params, inputs, tools, "transfer", params["pairs"])
    pairs = axis.pairs(taught, params["pairs"], rng) if taught else []
    if len(pairs) < params["least"]:
        why = f"{len(pairs)} can be made of the transfer part, {params['least']} are needed"
        raise DataError(f"too few pairs for the axis {axis.label}", why=why, fix=MORE)
    found: dict[str, Any] = {"pairs": [one.written() for one in pairs]}
    for name, part in PARTS.items():
        goals, failed = _goals(axis, params, inputs, tools, part, params[name])
        probes = axis.probes(goals)
        if not probes:
            raise DataError(f"there is nothing to ask for the axis {axis.label} in the {part} part", fix=MORE)
        found[name] = [_plain(one) for one in probes]
        errors |= failed
    return Artifact(meta={**found, "errors": errors})


@step(version=1)
def mix_pairs(params: Params, inputs: Inputs, tools: Tools) -> Artifact:
    """Choose the pairs that one learner learns from.

    Parameters: `how` (`alone`, or one of mixing.Mixture), `budget`. Inputs: `axis0`, ...: of `draw_axis`, for `alone`
    only one; for `lagging` `said`: what the model answers; for `scored` `weighed`, `weighed0`, ...: what the model and
    each expert say of all pairs.

    Returns:
        meta: `pairs`, `counts` (by input).
    """
    pools = {name: inputs[name].meta["pairs"] for name in sorted(inputs) if name.startswith("axis")}
    most = [len(pool) for pool in pools.values()]
    if params["how"] == "scored":
        before, *after = (
            [inputs[name].tensors[axis] for axis in pools] for name in sorted(inputs) if name.startswith("weighed")
        )
        chosen = best_scored(before, after, params["budget"])
    else:
        counts = equally(params["budget"], most)
        if params["how"] == "lagging":
            scores = [_share(inputs["said"].tensors[f"{axis} validation"]) for axis in pools]
            counts = lagging(scores, params["budget"], most)
        chosen = [list(range(count)) for count in counts]
    pairs = [pool[place] for pool, places in zip(pools.values(), chosen, strict=True) for place in places]
    return Artifact(meta={"pairs": pairs, "counts": {name: len(one) for name, one in zip(pools, chosen, strict=True)}})


@step(version=1)
def teach_pairs(params: Params, inputs: Inputs, tools: Tools) -> Artifact:
    """Let the model learn from pairs.

    Parameters: `model`, `fingerprint`, `fit`, `objective` (specs), `seed`. Input: `mixed`.

    Returns:
        What was learnt. meta: `facts` of the training.
    """
    rows = [Feedback.read(row) for row in inputs["mixed"].meta["pairs"]]
    task, labels = Pairs(objective=params["objective"]).lesson(rows)
    lesson = Lesson(Pairs(objective=params["objective"]).loss, np.arange(len(rows)), labels, params["seed"])
    model, fit = models.build(params["model"]), fits.build(params["fit"])
    (learned,) = fit.learn(model, task, [lesson], [np.arange(0)], store=tools.store, report=tools.report)
    return Artifact(learned.kept, {"facts": dict(learned.facts)})


@step(version=1)
def ask_axes(params: Params, inputs: Inputs, tools: Tools) -> Artifact:
    """Put all probes to the model, or to what it became.

    Parameters: `model`, `fingerprint`, `fit`. Inputs: `axis0`, ..., and `learner` if it has learnt.

    Returns:
        `<axis> <part>`: float32 [n], log-odds of what is wanted; NaN where there is no answer.
    """
    return Artifact(_asked(learner_of(params, inputs, tools), inputs, tools))


@step(version=1)
def weigh_pairs(params: Params, inputs: Inputs, tools: Tools) -> Artifact:
    """Ask the model, or what it became, how much likelier it finds the better response of every pair.

    Parameters and inputs: those of `ask_axes`.

    Returns:
        `<axis>`: float32 [n], log-odds; NaN where there is no answer.
    """
    bank = AnswerBank(tools.store, learner_of(params, inputs, tools), tools.report)
    drawn = {name: [Feedback.read(row) for row in inputs[name].meta["pairs"]] for name in _axes(inputs)}
    return Artifact({name: _odds(bank, [(r.messages, *r.responses) for r in rows]) for name, rows in drawn.items()})


@step(version=1)
def ask_merged(params: Params, inputs: Inputs, tools: Tools) -> Artifact:
    """Merge experts as `superalign merge` does, put all probes to the merged model, and let go of it.

    Parameters: `model`, `fingerprint`, `fit`, `method` (spec), `weights` (of the experts, or None), `seed` (of what is
    drawn). Inputs: `axis0`, ..., `expert0`, ...: adapters.

    Returns:
        See `ask_axes`.
    """
    experts = [inputs[name].tensors for name in sorted(inputs) if name.startswith("expert")]
    with _merged(params, experts, tools) as model:
        return Artifact(_asked(model, inputs, tools))


@step(version=1)
def interfere(params: Params, inputs: Inputs, tools: Tools) -> Artifact:
    """Measure how the experts stand in each other's way.

    Parameter: `fit`. Inputs: `expert0`, ...

    Returns:
        meta: `pairs` (first, second, and the fields of interference.Between), `singular`.
    """
    fit = fits.build(params["fit"])
    scale = fit.alpha / fit.rank if isinstance(fit, Lora) else 1.0
    found = {name: changes(inputs[name].tensors, scale) for name in sorted(inputs)}
    pairs = [
        {"first": a, "second": b, **between(found[a], found[b])._asdict()} for a, b in combinations(sorted(found), 2)
    ]
    return Artifact(meta={"pairs": pairs, "singular": singular_interference(list(found.values()))})


def _goals(
    axis: Axis, params: Params, inputs: Inputs, tools: Tools, part: str, n: int
) -> tuple[list[Goal], dict[str, str]]:
    """Return goals of a part, and what failed. Of an axis of its own `denied` is the response that the set prefers."""
    world = KnowledgeWorld({**params, "unseen": []}, inputs, tools)
    rows = drawn_rows(world.task, world.params, part, n)
    if not axis.own:
        goals, _, errors = world.goals(rows)
        return goals, errors
    gold = Gold(inputs["gold"].tensors["labels"][rows], part)
    better = OracleExpert().answers(gold) if part == "transfer" else TestScore().truth(gold)
    return [_preferred(world.task, row, int(one)) for row, one in zip(rows, better, strict=True)], {}


def _preferred(task: Task, row: int, better: int) -> Goal:
    item = task.items[row]
    if not isinstance(item, Comparison):
        why = f"{task.name} has responses one by one"
        raise DataError("an axis is made of pairs", why=why, fix="give a set with a chosen and a rejected response")
    first, second = item.responses[1 - better], item.responses[better]
    return Goal(item.id, item.prompt, first, second, item.group or item.id, item.tags)


def _asked(model: Model, inputs: Inputs, tools: Tools) -> dict[str, FloatArray]:
    bank = AnswerBank(tools.store, model, tools.report)
    return {
        f"{name} {part}": _odds(bank, [(p.messages, p.other, p.wanted) for p in map(_probe, inputs[name].meta[part])])
        for name in _axes(inputs)
        for part in PARTS
    }


def _odds(bank: AnswerBank, asked: Sequence[tuple[Messages, str, str]]) -> FloatArray:
    """Return the log-odds of the last of two answers to each conversation, NaN where there is none."""
    scored = bank.logprobs([one[0] for one in asked], [one[1:] for one in asked])
    known = [said.error is None and bool(np.isfinite(said.logprobs).all()) for said in scored]
    odds = [said.logprobs[1] - said.logprobs[0] if ok else np.nan for said, ok in zip(scored, known, strict=True)]
    return np.array(odds, dtype=np.float32)


def _axes(inputs: Inputs) -> list[str]:
    return [name for name in sorted(inputs) if name.startswith("axis")]


def _share(odds: FloatArray) -> float:
    known = odds[np.isfinite(odds)]
    return float((known > 0).mean()) if len(known) else 0.0


def _plain(probe: Probe) -> list[Any]:
    return [probe.goal, [list(turn) for turn in probe.messages], probe.wanted, probe.other, probe.group]


def _probe(row: Sequence[Any]) -> Probe:
    return Probe(row[0], tuple(Message(*turn) for turn in row[1]), *row[2:])


@contextmanager
def _merged(params: Params, experts: Sequence[Mapping[str, Any]], tools: Tools) -> Iterator[Model]:
    """Write the merged model where half-written things are, and remove it afterwards: it is made again if needed."""
    base, fit = models.build(params["model"]), fits.build(params["fit"])
    origin = base.origin() if isinstance(base, HuggingFace | Embedded) else None
    if origin is None or not isinstance(fit, Lora):
        raise ModelError(f"{base} has no weights that could be merged")
    held = [with_adapter(base, fit, one, tensors_sha256(one), tools.store) for one in experts]
    method = methods.build(params["method"])
    settings = method.model_dump(mode="json", exclude_defaults=True)
    weights = params["weights"] or [1.0] * len(held)
    folder = tools.store.root / "tmp" / f"{writer()}-{uuid.uuid4().hex}"
    config = {
        "merge_method": method.name,
        "base_model": str(origin.folder),
        "models": [
            {"model": str(getattr(one, "adapter", "")), "parameters": {"weight": weight}}
            for one, weight in zip(held, weights, strict=True)
        ],
        "parameters": settings,
        "seed": params["seed"],
    }
    try:
        with writing(folder):
            folder.mkdir(parents=True)
        out = engine.merge(config, folder / "merged", report=lambda done, total: tools.report(done=done, total=total))
        yield _at(base, out)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _at(base: Model, folder: Path) -> HuggingFace:
    """Return a model in a folder that reads as the base does."""
    shared = {name: getattr(base, name) for name in TransformerSettings.model_fields}
    code = isinstance(base, HuggingFace) and base.trust_remote_code
    return HuggingFace(path=str(folder), trust_remote_code=code, **shared)
