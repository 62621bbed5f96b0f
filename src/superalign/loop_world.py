"""What the steps of the loop share: the learner as it is now, the model as it was, and whom they are asked about."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from superalign.aim import Probe
from superalign.answers import AnswerBank
from superalign.attacker import Budget, Goal, Query, Scene, apart, attacks
from superalign.attacking import written
from superalign.campaign import Campaign
from superalign.chat import Message, asked
from superalign.fit import fits
from superalign.goals import draw, goals_of
from superalign.job import Inputs, Tools
from superalign.model import Model, models
from superalign.prose import passages
from superalign.steps import Params
from superalign.task import Comparison, Task, split
from superalign.trial import Denial

EXAMPLES = 16  # goals of the supervise part that an attack may show or learn from


def learner_of(params: Params, inputs: Inputs, tools: Tools) -> Model:
    """Return the model with what it has learnt, if it has."""
    from superalign.fits._apprentice import with_adapter
    from superalign.fits.lora import Lora

    base, fit = models.build(params["model"]), fits.build(params["fit"])
    tensors = inputs["learner"].tensors if "learner" in inputs else {}
    if not tensors or not isinstance(fit, Lora):
        return base
    seal = hashlib.sha256()
    for name in sorted(tensors):
        seal.update(name.encode() + tensors[name].tobytes())
    return with_adapter(base, fit, tensors, seal.hexdigest(), tools.store)


class World:
    """The learner as it is now, and the model as it was, in the world of knowledge."""

    def __init__(self, task: Task, params: Params, inputs: Inputs, tools: Tools) -> None:
        self.task, self.tools, self.world = task, tools, "knowledge"
        self.learner = learner_of(params, inputs, tools)
        self.bank = AnswerBank(tools.store, self.learner, tools.report)
        base = models.build(params["model"])
        self.first = AnswerBank(tools.store, base, tools.report)
        self.params = params

    def goals(self, rows: Sequence[int], now: bool = False) -> tuple[list[Goal], dict[str, Any], dict[str, str]]:
        """Return the goals of items by plain answers, those answers by item id, and what failed."""
        items = [item for row in rows if isinstance(item := self.task.items[row], Comparison)]
        bank = self.bank if now else self.first
        scored = bank.logprobs([asked(one.prompt) for one in items], [apart(*one.responses) for one in items])
        said: dict[str, list[float] | None] = {}
        errors = {}
        for item, one in zip(items, scored, strict=True):
            good = one.error is None and bool(np.isfinite(one.logprobs).all())
            said[item.id] = [float(value) for value in one.logprobs] if good else None
            if not good:
                errors[item.id] = one.error or "no finite number"
        found = goals_of(self.task, np.array(rows, dtype=np.int64), list(said.values()))
        return [goal for goal in found if goal], said, errors

    def attacked(self, goals: Sequence[Goal], specs: Sequence[Any], seed: int) -> list[dict[str, Any]]:
        """Return what came of every attack, each with the most queries a goal, as plain data."""
        examples = tuple(self.goals(drawn_rows(self.task, self.params, "supervise", EXAMPLES))[0])
        scene = Scene(self.learner, "knowledge", seed, examples, None, self.tools.store)
        rows = []
        for spec, queries in specs:
            attack = attacks.build(spec)
            banks = {"target": self.bank}
            campaign = Campaign(attack, goals, scene, Denial(self.bank), banks, Budget(queries=queries))
            rows += [{**written(one, goals), "attack": str(attack)} for one in campaign.run()]
        return rows

    def probed(self, probes: Sequence[Probe]) -> list[list[Any]]:
        """Return of each probe its goal and the log-odds of what is wanted; what failed is left out."""
        scored = self.bank.logprobs([one.messages for one in probes], [(one.other, one.wanted) for one in probes])
        return [
            [one.goal, float(said.logprobs[1] - said.logprobs[0])]
            for one, said in zip(probes, scored, strict=True)
            if said.error is None and np.isfinite(said.logprobs).all()
        ]

    def text(self, n: int, path: str | None) -> tuple[float, int]:
        """Return log p of how general passages go on, and of how many tokens."""
        told = passages(n, path) if n else []
        scored = self.bank.logprobs([asked(one.opening) for one in told], [(one.rest,) for one in told])
        known = [one for one in scored if one.error is None and np.isfinite(one.logprobs).all()]
        return float(sum(one.logprobs[0] for one in known)), int(sum(one.tokens[0] for one in known))


def plain_goal(goal: Goal) -> list[Any]:
    """Return a goal as plain data."""
    return [goal.id, goal.prompt, goal.claim, goal.denied, goal.group, dict(goal.tags)]


def goal_of(row: Sequence[Any]) -> Goal:
    """Rebuild from `plain_goal`."""
    return Goal(*row)


def query_of(row: Mapping[str, Any], place: int) -> Query:
    """Rebuild the query of a written attempt, for the goal at a place."""
    return Query(place, tuple(Message(*turn) for turn in row["messages"]), row["tactic"], row["tags"])


def drawn_rows(task: Task, params: Params, part: str, n: int) -> list[int]:
    """Return the first n items of a part, without those whose tags nobody may learn from."""
    shares = (params["shares"][0], params["shares"][1], params["shares"][2])
    seed = 0 if part == "test" else params["seed"]
    unseen = {tuple(one) for one in params["unseen"]}
    rows = getattr(split(task, shares, seed), part)
    kept = [row for row in rows.tolist() if not unseen & {(k, str(v)) for k, v in task.items[row].tags.items()}]
    return [int(row) for row in draw(task, np.array(kept, dtype=np.int64), n, seed)]
