"""Who judges in the loop: critics, what stands in for them in an ablation, and the expert they are compared with."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from superalign.attacker import Goal
from superalign.critic import Case, Critic, critics
from superalign.errors import DataError
from superalign.job import Inputs, Tools
from superalign.loop_behaviours import world_of
from superalign.loop_world import goal_of, learner_of
from superalign.model import Model
from superalign.odds import pooled, sigmoid, spread
from superalign.steps import Params
from superalign.supervisor import OracleExpert
from superalign.task import Comparison, Gold, Task

SURE = 0.95  # how probably an expert's answer is right


def judges_of(specs: Sequence[Mapping[str, Any]], learner: Model | None) -> list[Critic]:
    """Return the critics; given a learner, those that ask a model ask it."""
    judges = [critics.build(one["critic"]) for one in specs]
    if learner is None:
        return judges
    return [one.model_copy(update={"model": learner}) if hasattr(one, "model") else one for one in judges]


def disagreement(each: Sequence[float | None]) -> tuple[float, float]:
    """Return how far critics are apart, max minus min of their probabilities, and how unsure all are together."""
    return spread(each), -abs((pooled(each) or 0.5) - 0.5)


def stand_in(params: Params, inputs: Inputs, goals: Sequence[Goal]) -> dict[str, Any]:
    """Return what stands in for critics in an ablation."""
    if params["labels"] == "oracle":
        right = truth_of(Task.from_meta(inputs["items"].meta), inputs, goals, "transfer", OracleExpert())
        good: dict[str, float | None] = {name: SURE if one else 1 - SURE for name, one in right.items()}
    elif params["labels"] == "random":
        coins = {goal.id: hashlib.sha256(f"{params['seed']}/{goal.id}".encode()).digest()[0] % 2 for goal in goals}
        good = {name: SURE if coin else 1 - SURE for name, coin in coins.items()}
    else:
        heard: dict[str, list[float]] = {goal.id: [] for goal in goals}
        for row in inputs["exposed"].meta["attempts"]:
            if row["score"] is not None:
                heard[row["goal"]].append(sigmoid(-row["score"]))
        good = {name: pooled(each) for name, each in heard.items()}
    return {goal.id: {"good": good[goal.id], "each": [good[goal.id]], "words": []} for goal in goals}


def heard_of(expert: Critic, cases: Sequence[Case], tools: Tools) -> dict[str, float]:
    """Return what an expert says of each case, where it can tell."""
    heard = expert.judge(cases, tools)
    if waiting := sum(one.undetermined == "unanswered" for one in heard):
        queue = getattr(expert, "queue", "")
        fix = f"superalign judge {queue}, then the same command again; a larger budget= if the file has no room"
        raise DataError(f"{waiting} of {len(cases)} questions wait for a person's answer", where=queue, fix=fix)
    return {case.id: one.good for case, one in zip(cases, heard, strict=True) if one.good is not None}


def truth_of(task: Task, inputs: Inputs, goals: Sequence[Goal], part: str, reader: OracleExpert) -> dict[str, bool]:
    """Return for each goal whether what is denied is the right answer."""
    places = {item.id: place for place, item in enumerate(task.items)}
    rows = np.array([places[goal.id] for goal in goals], dtype=np.int64)
    labels = reader.answers(Gold(inputs["gold"].tensors["labels"][rows], part))
    found = {}
    for goal, row, label in zip(goals, rows.tolist(), labels.tolist(), strict=True):
        item = task.items[row]
        found[goal.id] = isinstance(item, Comparison) and item.responses[label] == goal.denied
    return found


def like_people(params: Params, given: Inputs, tools: Tools) -> float | None:
    """Return how often a learner that is the critic agrees with people on what they were asked in the first round."""
    answers = given["consulted"].meta["answers"]
    asked = {one["goal"] for one in answers}
    goals = [goal for goal in map(goal_of, given["exposed"].meta["goals"]) if goal.id in asked]
    judges = judges_of(params["people"], learner_of(params, given, tools))
    heard = [one.judge(world_of(params, given, tools).cases(goals), tools) for one in judges]
    said = {goal.id: pooled([one[place].good for one in heard]) for place, goal in enumerate(goals)}
    return agreement(answers, said)


def agreement(answers: Sequence[Mapping[str, Any]], said: Mapping[str, float | None] | None = None) -> float | None:
    """Return on what share of people's answers critics say the same; without a verdict they do not.

    Args:
        answers: see `consult`.
        said: by critics, of each goal; by default what they had said when people were asked.
    """
    pairs = [(one["before"] if said is None else said[one["goal"]], one["after"]) for one in answers]
    same = [good is not None and (good > 0.5) == (told > 0.5) for good, told in pairs]
    return sum(same) / len(same) if same else None
