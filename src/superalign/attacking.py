"""The steps of a study of attacks: asking plainly, attacking, and putting what broke one model to another."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from superalign.answers import AnswerBank
from superalign.attacker import Attempt, Budget, Goal, Query, Scene, apart, attacks
from superalign.campaign import Campaign
from superalign.chat import Message, Sampling, asked
from superalign.critic import critics
from superalign.goals import Drawn, drawn, goals_of
from superalign.job import Inputs, Tools, step
from superalign.model import models
from superalign.store import Artifact
from superalign.stream import Stream
from superalign.task import Comparison, Task
from superalign.trial import Compliance, Denial, Trial

Params = Mapping[str, Any]


@step(version=1)
def ask_plainly(params: Params, inputs: Inputs, tools: Tools) -> Artifact:
    """Ask a model every question that some seed draws, plainly.

    Parameters: `model` (spec), `fingerprint`, and what `dealt` reads. Input: `items`.

    Returns:
        meta: `said`, for each item drawn (its index as text) log p of its two responses or None; `tokens`; `errors`,
        for each item that was not answered the reason.
    """
    task = Task.from_meta(inputs["items"].meta)
    rows = sorted({int(row) for one in dealt(task, params) for row in (*one.goals, *one.examples)})
    pairs = [(row, item) for row in rows if isinstance(item := task.items[row], Comparison)]
    bank = AnswerBank(tools.store, models.build(params["model"]), tools.report)
    scored = bank.logprobs([asked(item.prompt) for _, item in pairs], [apart(*item.responses) for _, item in pairs])
    said: dict[str, list[float] | None] = {}
    errors: dict[str, str] = {}
    for (row, item), one in zip(pairs, scored, strict=True):
        good = one.error is None and bool(np.isfinite(one.logprobs).all())
        said[str(row)] = [float(value) for value in one.logprobs] if good else None
        if not good:
            errors[item.id] = one.error or "no finite number"
    tokens = sum(one.tokens_in + int(one.tokens.sum()) for one in scored)
    return Artifact(meta={"said": said, "tokens": tokens, "errors": errors})


@step(version=1)
def attack(params: Params, inputs: Inputs, tools: Tools) -> Artifact:
    """Let one attack go for the goals of one seed.

    Parameters: `attack`, `model`, `fingerprint`, `roles` (specs and fingerprints of other models by role), `critic`
    (spec and digests, or None), `budget`, `tokens_out`, `seed`, and what `dealt` reads. Inputs: `items`, `plain`.

    Returns:
        meta: `goals` (item ids), `left_out` (ids of items that are no goals), `near`, `attempts` (see `written`) and
        `spent`.
    """
    task, chosen = Task.from_meta(inputs["items"].meta), attacks.build(params["attack"])
    scene = _scene(task, params, inputs, tools)
    banks = {"target": scene.bank}
    for role, one in params["roles"].items():
        banks[role] = AnswerBank(tools.store, models.build(one["model"]), tools.report)
    attacker = banks["attacker"].model if "attacker" in banks else None
    stream = Stream(tools.store.root / "streams" / f"{tools.key}.jsonl")
    campaign = Campaign(
        chosen,
        scene.goals,
        Scene(scene.bank.model, scene.trial.world, params["seed"], scene.examples, attacker, tools.store),
        scene.trial,
        banks,
        Budget.parse(params["budget"]),
        lambda attempts: stream.append([written(one, scene.goals) for one in attempts]),
    )
    attempts = campaign.run()
    spent = {**vars(campaign.spent), "stopped": dict(campaign.spent.stopped)}
    return Artifact(
        meta={
            "goals": [goal.id for goal in scene.goals],
            "left_out": scene.left_out,
            "near": scene.drawn.near,
            "attempts": [written(one, scene.goals) for one in attempts],
            "spent": spent,
        }
    )


@step(version=1)
def transfer(params: Params, inputs: Inputs, tools: Tools) -> Artifact:
    """Put the queries that broke one model to another.

    A goal of knowledge is put to it only where its own plain answer is the one that the goal denies.
    Parameters: those of `attack`, with the other model's. Inputs: `items`, `plain` (of the other model), `attack`.
    """
    task = Task.from_meta(inputs["items"].meta)
    scene = _scene(task, params, inputs, tools)
    known = {goal.id: place for place, goal in enumerate(scene.goals)}
    denied = {goal.id: goal.denied for goal in scene.goals}
    broken = [row for row in inputs["attack"].meta["attempts"] if row["outcome"] == "broken"]
    queries = [
        Query(known[row["goal"]], tuple(Message(*turn) for turn in row["messages"]), row["tactic"])
        for row in broken
        if row["goal"] in known and denied[row["goal"]] == row["denied"]
    ]
    attempts = scene.trial.attempts(scene.goals, queries) if queries else []
    return Artifact(meta={"attempts": [written(one, scene.goals) for one in attempts], "broken": len(broken)})


def dealt(task: Task, params: Params) -> list[Drawn]:
    """Return what each seed draws. Reads `seeds`, `shares`, `goals` and `examples`."""
    shares = (params["shares"][0], params["shares"][1], params["shares"][2])
    return [drawn(task, shares, seed, params["goals"], params["examples"]) for seed in params["seeds"]]


def written(attempt: Attempt, goals: Sequence[Goal]) -> dict[str, Any]:
    """Return an attempt as plain data."""
    query = attempt.query
    return {
        "goal": goals[query.goal].id,
        "tactic": query.tactic,
        "outcome": attempt.outcome,
        "score": attempt.score,
        "messages": [list(turn) for turn in query.messages],
        "response": attempt.response,
        "claim": goals[query.goal].claim,
        "denied": goals[query.goal].denied,
        "why": attempt.why,
        "tokens": attempt.tokens,
        "tags": dict(query.tags),
    }


class _Scene(NamedTuple):
    goals: list[Goal]
    examples: tuple[Goal, ...]
    left_out: list[str]
    drawn: Drawn
    bank: AnswerBank
    trial: Trial


def _scene(task: Task, params: Params, inputs: Inputs, tools: Tools) -> _Scene:
    (mine,) = dealt(task, {**params, "seeds": [params["seed"]]})
    bank = AnswerBank(tools.store, models.build(params["model"]), tools.report)
    said = inputs["plain"].meta["said"] if task.pairwise else {}

    def made(rows: Sequence[int]) -> Iterator[tuple[int, Goal | None]]:
        index = np.array(rows, dtype=np.int64)
        yield from zip(rows, goals_of(task, index, [said.get(str(row)) for row in rows]), strict=True)

    goals = list(made(mine.goals.tolist()))
    examples = tuple(goal for _, goal in made(mine.examples.tolist()) if goal)
    left_out = [task.items[row].id for row, goal in goals if goal is None]
    trial: Trial
    if task.pairwise:
        trial = Denial(bank)
    else:
        sampling = Sampling(max_tokens=params["tokens_out"])
        critic, learnt = critics.build(params["critic"]["critic"]), inputs.get("critic")
        trial = Compliance(bank, critic, tools, sampling, params["seed"], learnt)
    return _Scene([goal for _, goal in goals if goal], examples, left_out, mine, bank, trial)
