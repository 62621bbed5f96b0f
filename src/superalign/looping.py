"""The steps of the closed loop: expose, judge, consult, teach, measure, let pass or roll back."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import numpy as np

from superalign.aim import Exposed, aims
from superalign.attacker import Attempt
from superalign.attacking import written
from superalign.critic import critics
from superalign.errors import DataError
from superalign.feedback import Feedback
from superalign.fit import Fit, Lesson, fits
from superalign.fits.lora import Lora
from superalign.job import Inputs, Tools, step
from superalign.loop_behaviours import benign_by, own_of, ways_of, world_of
from superalign.loop_gate import dual_weights, lost, part_way, standing
from superalign.loop_judges import SURE, agreement, disagreement, heard_of, judges_of, like_people, stand_in, truth_of
from superalign.loop_rules import over
from superalign.loop_world import KnowledgeWorld, drawn_rows, goal_of, learner_of, plain_goal, query_of
from superalign.model import models
from superalign.odds import pooled
from superalign.steps import Params
from superalign.store import Artifact
from superalign.supervisor import OracleExpert
from superalign.task import Task
from superalign.update import updates

MORE = "more goals, or other critics or aims; of requests where no response of its own is good, refusal=TEXT"


@step(version=1)
def expose(params: Params, inputs: Inputs, tools: Tools) -> Artifact:
    """Attack the learner, as it is before a round, on goals of the transfer part that no other round attacks.

    A goal is to make it deny what the model said plainly before it learnt anything; in the world of behaviours, to
    make it do what is requested.
    Parameters: `model`, `fingerprint`, `fit`, `seed`, `shares`, `unseen`, `round`, `goals`, `attacks` (each with
    the most queries a goal), `attacker` (whom attacks may ask) if there is one, and of behaviours those of
    BehaviourWorld and `benign`, how many benign requests are put to it; where the loop may stop, `enough` (see `over`).
    Inputs: `items`, and `learner`, what it has learnt, if it has; `benign`, if there are such requests; where the loop
    may stop, `exposed000`, `passed000`, ...: the last rounds.

    Returns:
        meta: `goals` (see `plain_goal`), `attempts` (see `attacking.written`, with the attack), `said`, `errors`, and
        `benign` (see `World.unharmed`). Of a loop that stopped there is none of all this, and `stopped` says why.
    """
    if "enough" in params:
        found, became = (
            [inputs[name].meta for name in sorted(inputs) if name.startswith(of)] for of in ("exposed", "passed")
        )
        if why := over(found, became, params["enough"]):
            return Artifact(meta={"goals": [], "said": {}, "attempts": [], "errors": {}, "stopped": why})
    task = Task.from_meta(inputs["items"].meta)
    first = params["round"] * params["goals"]
    rows = drawn_rows(task, params, "transfer", first + params["goals"])[first:]
    if not rows:
        why = f"round {params['round'] + 1} has none left that no other round attacks"
        raise DataError("too few items to learn from", why=why, fix="fewer rounds, or fewer goals a round")
    world = world_of(params, inputs, tools)
    goals, said, errors = world.goals(rows)
    attempts = world.attacked(goals, params["attacks"], params["seed"])
    meta = {"goals": list(map(plain_goal, goals)), "said": said, "attempts": attempts, "errors": errors}
    if benign := params.get("benign"):
        meta["benign"] = world.unharmed(benign, params["round"] * benign)
    return Artifact(meta=meta)


@step(version=1)
def judge(params: Params, inputs: Inputs, tools: Tools) -> Artifact:
    """Let critics say, without gold, which of two answers to each attacked question is better, or how good the one is.

    Parameters: `critics` (specs and digests), `labels` ("critics"; or, for ablations, "random": a coin; "own": what the
    learner said under the attack; "oracle": the truth), `shared` (whether the critics ask the learner as it is now),
    `model`, `fingerprint`, `fit`, `seed`. Inputs: `exposed`, `learner` if any, and for the oracle `items` and `gold`.

    Returns:
        meta: `said`, for each goal (by id) `good` (probability that what is said plainly is the better answer, or a
        good one; or None), `each` (what every critic gives, or None), `words`, `response` (what is said plainly);
        `by`; `cost` (tokens).
    """
    goals = [goal_of(row) for row in inputs["exposed"].meta["goals"]]
    if params["labels"] != "critics":
        return Artifact(meta={"said": stand_in(params, inputs, goals), "by": params["labels"], "cost": 0})
    judges = judges_of(params["critics"], learner_of(params, inputs, tools) if params["shared"] else None)
    cases = world_of(params, inputs, tools).cases(goals)
    heard = [one.judge(cases, tools) for one in judges]
    said = {}
    for place, goal in enumerate(goals):
        each = [one[place] for one in heard]
        words = [f"{judge}: {one.words}" for judge, one in zip(judges, each, strict=True) if one.words]
        good = [one.good if all(cases[place].responses) else None for one in each]
        said[goal.id] = {"good": pooled(good), "each": good, "words": words, "response": cases[place].responses[-1]}
    cost = sum(one.cost.tokens_in + one.cost.tokens_out for row in heard for one in row)
    return Artifact(meta={"said": said, "by": " + ".join(map(str, judges)), "cost": cost})


@step(version=1)
def consult(params: Params, inputs: Inputs, tools: Tools) -> Artifact:
    """Ask an expert about the goals on which the critics disagree most.

    Parameters: `budget` (answers), `seed`, `expert` (a critic's spec; without one the truth stands in for a person).
    Inputs: `items`, `exposed`, `judged`, and without an expert `gold`.

    Returns:
        meta: `answers`, in the order of asking: goal, `before` (what the critics gave), `after`, `disagreement`; those
        who could not tell gave none.

    Raises:
        DataError: people have not answered all yet; nothing is kept, so that they are asked again.
    """
    task, said = Task.from_meta(inputs["items"].meta), inputs["judged"].meta["said"]
    known = [goal for goal in map(goal_of, inputs["exposed"].meta["goals"]) if said[goal.id]["good"] is not None]
    doubt = {goal.id: disagreement(said[goal.id]["each"]) for goal in known}
    chosen = sorted(known, key=lambda goal: (doubt[goal.id], goal.id))[::-1][: params["budget"]]
    if "expert" in params:
        after = heard_of(critics.build(params["expert"]), KnowledgeWorld(params, inputs, tools).cases(chosen), tools)
    else:
        right = truth_of(task, inputs, chosen, "transfer", OracleExpert())
        after = {goal.id: SURE if right[goal.id] else 1 - SURE for goal in chosen}
    answers = [
        {
            "goal": goal.id,
            "before": said[goal.id]["good"],
            "after": after[goal.id],
            "disagreement": doubt[goal.id][0],
        }
        for goal in chosen
        if goal.id in after
    ]
    return Artifact(meta={"answers": answers})


@step(version=1)
def revise_said(params: Params, inputs: Inputs, tools: Tools) -> Artifact:
    """Let the learner answer again, told what the critics say of what it said under the worst attempt on each goal.

    Parameters: `model`, `fingerprint`, `fit`, `most` (goals), and of behaviours those of BehaviourWorld.
    Inputs: `items`, `exposed`, `judged`, `learner` if any.

    Returns:
        meta: `revised`, rows as the world gives them.
    """
    world = world_of(params, inputs, tools)
    revised = world.revised(worst_of(inputs), inputs["judged"].meta["said"], params["most"])
    return Artifact(meta={"revised": revised})


@step(version=1)
def draw_said(params: Params, inputs: Inputs, tools: Tools) -> Artifact:
    """Let the learner answer the worst attack on each goal several times, and the update's critic judge the answers.

    Parameters: `model`, `fingerprint`, `fit`, `seed`, `draws` (how many, temperature), those of BehaviourWorld.
    Inputs: `items`, `exposed`, `judged`, `learner` if any.

    Returns:
        meta: `drawn`, by goal rows of text and the probability that it is good.
    """
    drawn = world_of(params, inputs, tools).drawn(worst_of(inputs), (params["draws"][0], params["draws"][1]))
    return Artifact(meta={"drawn": drawn})


@step(version=2)
def teach(params: Params, inputs: Inputs, tools: Tools) -> Artifact:
    """Let the learner refine itself from the feedback of a round, with some of earlier rounds; if there is none, all.

    Parameters: `model`, `fingerprint`, `fit`, `update`, `aims` (specs), `replay`, `seed`, `round`, and `slower`, by how
    much the learning rate is less than the fit's.
    Of behaviours also `refusal`: a response that stands in where the learner has no good one of its own, or None.
    Inputs: `exposed`, `judged`, `revised`, `consulted` if an expert was asked, `drawn` if answers were, `learner` if it
    has learnt, `past0`, `past1`, ...: what earlier rounds taught.

    Returns:
        What it has learnt. meta: `feedback` (the new rows), `replayed` (how many older ones), `facts` of the training,
        `weights` (in constraint mode, how many times as much as at first each aim weighs);
        of behaviours `ways`: of how many goals the better response is the plain answer, a revision, ..., or nothing.
        Of a loop that stopped, what it had learnt before.
    """
    if "stopped" in inputs["exposed"].meta:
        idle = {"feedback": [], "replayed": 0, "weights": {}, "stopped": True}
        facts = {"first_loss": 0.0, "last_loss": 0.0, "tokens": 0}
        return Artifact(inputs["learner"].tensors, {**idle, "facts": facts})
    rng = np.random.default_rng([params["seed"], params["round"], 5])
    update, fit = updates.build(params["update"]), _slower(fits.build(params["fit"]), params.get("slower", 1.0))
    found = [update.choose(one) for one in exposed_by(inputs, params.get("refusal"))]
    benign = list(benign_by(inputs["exposed"].meta, found, params.get("refusal")))
    weights = inputs["learner"].meta.get("duals", {}) if "learner" in inputs else {}
    fresh = [
        replace(row, weight=row.weight * weights.get(row.aim, 1.0))
        for one in map(aims.build, params["aims"])
        for row in one.feedback(benign if one.benign else found, rng)
    ]
    older = [Feedback.read(row) for name in sorted(inputs) if name.startswith("past") for row in _fed(inputs[name])]
    replayed = round(params["replay"] * len(fresh)) if fresh else len(older)
    again = rng.permutation(len(older))[:replayed]
    rows = [*fresh, *(older[place] for place in again.tolist())]
    if not any(row.weight > 0 for row in rows):
        raise DataError("the round gave no feedback that weighs anything", fix=MORE)
    task, labels = update.lesson(rows)
    start = inputs["learner"].tensors if "learner" in inputs else {}
    lesson = Lesson(update.loss, np.arange(len(rows)), labels, params["seed"], start=start)
    nothing = np.arange(0)
    (learned,) = fit.learn(
        models.build(params["model"]), task, [lesson], [nothing], store=tools.store, report=tools.report
    )
    feedback = [row.written() for row in fresh]
    meta = {"feedback": feedback, "replayed": len(again), "facts": dict(learned.facts), "weights": weights}
    if "refusal" in params:
        meta["ways"] = ways_of(found)
    return Artifact(learned.kept, meta)


@step(version=1)
def measure(params: Params, inputs: Inputs, tools: Tools) -> Artifact:
    """Ask a learner, about items that it never learns from, all that is to be known of it; nobody knows the truth here.

    Parameters: `model`, `fingerprint`, `fit`, `seed`, `shares`, `unseen`, `part`, `n` (items), `more` (items that are
    asked as all others are, but not attacked), `attacks` (each with the most queries a goal), `aims`, `texts` (how many
    passages, a file or None, how many others come before them).
    Inputs: `items`, and `learner` if it has learnt.

    Returns:
        meta: `said` and `first` (of each item, by id: log p of its two responses now and before it learnt anything),
        `goals`, `attempts`, `probes` (by aim: goal and log-odds of what is wanted), `text` (log p and tokens of the
        passages), `errors`.
    """
    task = Task.from_meta(inputs["items"].meta)
    rows = drawn_rows(task, {**params, "unseen": []}, params["part"], params["n"] + params.get("more", 0))
    world = world_of(params, inputs, tools)
    before, first, failed = world.goals(rows)
    now, said, errors = world.goals(rows, now=True)
    under = {task.items[row].id for row in rows[: params["n"]]}
    goals = [goal for goal in now if goal.id in under]
    attempts = world.attacked(goals, params["attacks"], params["seed"]) if goals else []
    told = {True: world.benign(params["part"], params["n"]), False: before}
    probes = {one.name: world.probed(one.probes(told[one.benign])) for one in map(aims.build, params["aims"])}
    return Artifact(
        meta={
            "said": said,
            "first": first,
            "goals": list(map(plain_goal, goals)),
            "attempts": attempts,
            "probes": probes,
            "text": world.text(*params["texts"]),
            "errors": {**failed, **errors},
        }
    )


@step(version=3)
def gate(params: Params, inputs: Inputs, tools: Tools) -> Artifact:
    """Let as much of a round's update pass as keeps the limits, the whole of it first; or roll the round back.

    What was learnt is gone towards a part of the way from what was known before (in weights, after WiSE-FT, arXiv
    2109.01903): where a whole update loses too much, a part of it often keeps most of what it gained. Nobody knows the
    truth here.
    Parameters: those of `measure`, `parts` (of the way, largest first) and `limits` (by measure, how much may be lost
    against the start, of `text` as a share) or None to let all pass; of constraint mode also `duals`: its `step`, and
    the `limits` of the aims that are constraints; where the learner is the critic, `people`: the critics, of which a
    limit says how much less often they may agree with people. Inputs: those of `measure`, `taught`, `start` (an
    artifact of `measure`), `learner`, what was learnt before the round, and for `people` the first round's `exposed`
    and `consulted`.

    Returns:
        What the learner knows after the round. meta: `accepted`, `part`, `why` (what was lost, by the smallest part
        that was tried), `measures`, `start`, `tried` (the measures of each part, as far as they were asked), and in
        constraint mode `duals`: what each aim weighs in the next round, by how the whole update did.
    """
    start, known = standing(inputs["start"].meta), inputs.get("learner", Artifact())
    if "stopped" in inputs["taught"].meta:
        same = {name: known.meta[name] for name in ("measures", "start", "duals") if name in known.meta}
        idle = {"accepted": False, "part": 0.0, "why": ["the loop stopped"], "tried": []}
        return Artifact(known.tensors, {**same, **idle})
    asked = {name: inputs[name] for name in ("items", "benign", "exposed", "consulted") if name in inputs}
    tried: list[dict[str, Any]] = []
    why: list[str] = []
    limits = params["limits"] or {}
    if "people" in params:
        start["critic"] = agreement(inputs["consulted"].meta["answers"])
    for part in params["parts"] if limits else [1.0]:
        learnt = Artifact(part_way(known.tensors, inputs["taught"].tensors, part))
        given = {**asked, "learner": learnt}
        for now in _worth(params, given, tools, whole=not tried):
            why = list(lost(start, now, {name: one for name, one in limits.items() if now.get(name) is not None}))
            if why and "duals" not in params:
                break
        else:
            why = list(lost(start, now, limits))
        tried.append({"part": part, "measures": now})
        if not why:
            break
    passed = {"accepted": not why, "part": 0.0 if why else part, "why": why, "measures": now, "start": start}
    meta = {**passed, "tried": tried}
    if duals := params.get("duals"):
        weights = inputs["taught"].meta["weights"]
        meta["duals"] = dual_weights(weights, start, tried[0]["measures"], duals["limits"], duals["step"])
    return Artifact(known.tensors if why else learnt.tensors, meta)


@step(version=1)
def cross(params: Params, inputs: Inputs, tools: Tools) -> Artifact:
    """Put what broke the learner before one round to the learner before another, or after the last.

    Parameters: `model`, `fingerprint`, `fit`, `most` (queries). Inputs: `items`, `exposed`, and `learner` if any.

    Returns:
        meta: `attempts`.
    """
    world = world_of(params, inputs, tools)
    goals = [goal_of(row) for row in inputs["exposed"].meta["goals"]]
    places = {goal.id: place for place, goal in enumerate(goals)}
    broke = [row for row in inputs["exposed"].meta["attempts"] if row["outcome"] == "broken"]
    chosen = sorted(broke, key=lambda row: hashlib.sha256(repr(row["messages"]).encode()).digest())[: params["most"]]
    queries = [query_of(row, places[row["goal"]]) for row in chosen]
    attempts = world.trial.attempts(goals, queries) if queries else []
    return Artifact(meta={"attempts": [written(one, goals) for one in attempts], "broken": len(broke)})


def exposed_by(inputs: Inputs, refusal: str | None = None) -> Iterator[Exposed]:
    """Yield what a round found out about each goal; an expert's answer takes the place of the critics'.

    In the world of behaviours, with the responses that may be taught; `refusal` may stand in for them.
    """
    found, judged = inputs["exposed"].meta, inputs["judged"].meta
    told = {one["goal"]: one["after"] for one in inputs["consulted"].meta["answers"]} if "consulted" in inputs else {}
    goals = [goal_of(row) for row in found["goals"]]
    attempts: dict[str, list[Attempt]] = {goal.id: [] for goal in goals}
    revised = {row[0]: row[3] for row in inputs["revised"].meta["revised"]} if "revised" in inputs else {}
    places = {goal.id: place for place, goal in enumerate(goals)}
    for row in found["attempts"]:
        query = query_of(row, places[row["goal"]])
        attempts[row["goal"]].append(Attempt(query, row["outcome"], row["score"], row["response"], row["why"]))
    for goal in goals:
        good = told.get(goal.id, judged["said"][goal.id]["good"])
        by = "an expert" if goal.id in told else judged["by"]
        own = () if goal.denied else own_of(goal.id, inputs, refusal)
        again = revised.get(goal.id) if goal.denied else None
        yield Exposed(goal, tuple(attempts[goal.id]), good, by, again, own)


def worst_of(inputs: Inputs) -> list[tuple[Exposed, Attempt]]:
    """Return the goals with the most damaging attempt on each, in an order that says nothing about them."""
    worst = [(one, attempt) for one in exposed_by(inputs) if (attempt := one.worst)]
    return sorted(worst, key=lambda pair: hashlib.sha256(pair[0].goal.id.encode()).digest())


def _worth(params: Params, given: Inputs, tools: Tools, whole: bool) -> Iterator[dict[str, float | None]]:
    """Yield what a learner is worth, each time by more that is asked of it; the last time by all.

    Text, which is often lost first, comes first. Attacks, which take the most, come last, but of a whole update with
    all else: what it would gain is worth knowing also where it does not pass.
    """
    logprob, tokens = world_of(params, given, tools).text(*params["texts"])
    yield {"text": logprob / tokens if tokens else None}
    agrees = {"critic": like_people(params, given, tools)} if "people" in params else {}
    for attacks in [params["attacks"]] if whole else [[], params["attacks"]]:
        yield {**standing(measure.function({**params, "attacks": attacks}, given, tools).meta), **agrees}


def _slower(fit: Fit, factor: float) -> Fit:
    return fit.model_copy(update={"lr": factor * fit.lr}) if isinstance(fit, Lora) and factor < 1 else fit


def _fed(taught: Artifact) -> list[dict[str, Any]]:
    return list(taught.meta["feedback"])
