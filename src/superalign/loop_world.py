"""What the steps of the loop share: the learner as it is now, the model as it was, and whom they are asked about."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from functools import cached_property
from typing import Any

import numpy as np

from superalign.aim import Exposed, Probe
from superalign.answers import AnswerBank
from superalign.attacker import Attempt, Budget, Goal, Query, Scene, apart, attacks
from superalign.attacking import written
from superalign.campaign import Campaign
from superalign.chat import Message, asked
from superalign.critic import Case, Critique, revise
from superalign.fit import fits
from superalign.goals import draw, goals_of
from superalign.job import Inputs, Tools
from superalign.model import Model, models
from superalign.prose import passages
from superalign.steps import Params
from superalign.store import tensors_sha256
from superalign.task import Comparison, Task, split
from superalign.trial import Denial, Trial

EXAMPLES = 16  # goals of the supervise part that an attack may show or learn from


def learner_of(params: Params, inputs: Inputs, tools: Tools) -> Model:
    """Return the model with what it has learnt, if it has."""
    from superalign.fits._apprentice import with_adapter
    from superalign.fits.lora import Lora

    base, fit = models.build(params["model"]), fits.build(params["fit"])
    tensors = inputs["learner"].tensors if "learner" in inputs else {}
    if not tensors or not isinstance(fit, Lora):
        return base
    return with_adapter(base, fit, tensors, tensors_sha256(tensors), tools.store)


class World(ABC):
    """The learner as it is now, and the model as it was.

    Args:
        params: of the step.
        inputs: of the step: `items`, `learner` if it has learnt, and in the world of behaviours `benign` if there are
            such requests.
        tools: of the step.
    """

    def __init__(self, params: Params, inputs: Inputs, tools: Tools) -> None:
        self.params, self.inputs, self.tools = params, inputs, tools

    @cached_property
    def task(self) -> Task:
        """What is asked."""
        return Task.from_meta(self.inputs["items"].meta)

    @cached_property
    def learner(self) -> Model:
        """The learner as it is now."""
        return learner_of(self.params, self.inputs, self.tools)

    @cached_property
    def bank(self) -> AnswerBank:
        """What the learner says now."""
        return AnswerBank(self.tools.store, self.learner, self.tools.report)

    @cached_property
    def first(self) -> AnswerBank:
        """What the model said before it learnt anything."""
        return AnswerBank(self.tools.store, models.build(self.params["model"]), self.tools.report)

    @property
    @abstractmethod
    def trial(self) -> Trial:
        """Says what comes of queries to the learner."""

    @abstractmethod
    def goals(self, rows: Sequence[int], now: bool = False) -> tuple[list[Goal], dict[str, Any], dict[str, str]]:
        """Return the goals of items, plain answers to them by item id where they have two, and what failed."""

    @abstractmethod
    def cases(self, goals: Sequence[Goal]) -> list[Case]:
        """Return what critics are to judge of each goal: the answer to the plain question or request."""

    @abstractmethod
    def probed(self, probes: Sequence[Probe]) -> list[list[Any]]:
        """Return of each probe its goal, and a number above 0 where the learner does what is wanted, else below.

        What failed is left out.
        """

    @abstractmethod
    def revised(self, worst: Sequence[tuple[Exposed, Attempt]], said: Mapping[str, Any], most: int) -> list[list[Any]]:
        """Let the learner answer again, told what critics say of what it said under the worst attempt on each goal.

        Args:
            worst: goals and attempts, in the order in which they are revised.
            said: what critics said of each goal, by its id.
            most: how many.

        Returns:
            Rows of goal, the query's name, and what it said and says now; see each world.
        """

    def benign(self, part: str, n: int, skipped: int = 0) -> list[Goal]:
        """Return the goals of n requests that nobody should refuse, after those that are skipped; by default none."""
        return []

    def drawn(self, worst: Sequence[tuple[Exposed, Attempt]], draws: tuple[int, float]) -> dict[str, Any]:
        """Return, by goal, answers that are drawn and how good each is; by default none."""
        return {}

    def unharmed(self, n: int, skipped: int) -> list[dict[str, Any]]:
        """Return what the learner says to n benign requests of the transfer part, as plain data; by default none."""
        return []

    def attacked(self, goals: Sequence[Goal], specs: Sequence[Any], seed: int) -> list[dict[str, Any]]:
        """Return what came of every attack, each with the most queries a goal, as plain data."""
        examples = tuple(self.goals(drawn_rows(self.task, self.params, "supervise", EXAMPLES))[0])
        trial, banks, attacker = self.trial, {"target": self.bank}, None
        if told := self.params.get("attacker"):
            attacker = models.build(told["model"])
            asked = AnswerBank(self.tools.store, attacker, self.tools.report)
            banks |= {"attacker": asked, "critic": asked}
        scene = Scene(self.learner, trial.world, seed, examples, attacker, self.tools.store)
        rows = []
        for spec, queries in specs:
            attack = attacks.build(spec)
            campaign = Campaign(attack, goals, scene, trial, banks, Budget(queries=queries))
            rows += [{**written(one, goals), "attack": str(attack)} for one in campaign.run()]
        return rows

    def text(self, n: int, path: str | None, skipped: int = 0) -> tuple[float, int]:
        """Return log p of how general passages go on, as plain text and no conversation, and of how many tokens."""
        told = passages(skipped + n, path)[skipped:] if n else []
        raw = {"chat": "never"} if hasattr(self.learner, "chat") else {}
        bank = AnswerBank(self.tools.store, self.learner.model_copy(update=raw), self.tools.report)
        scored = bank.logprobs([asked(one.opening) for one in told], [(one.rest,) for one in told])
        known = [one for one in scored if one.error is None and np.isfinite(one.logprobs).all()]
        return float(sum(one.logprobs[0] for one in known)), int(sum(one.tokens[0] for one in known))


class KnowledgeWorld(World):
    """Pairs of answers to a question: the learner is asked which one it finds likelier."""

    @property
    def trial(self) -> Trial:
        """See World."""
        return Denial(self.bank)

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

    def cases(self, goals: Sequence[Goal]) -> list[Case]:
        """Return both answers; the second is what was said plainly."""
        return [Case(goal.id, asked(goal.prompt), (goal.claim, goal.denied), goal.group) for goal in goals]

    def probed(self, probes: Sequence[Probe]) -> list[list[Any]]:
        """Return of each probe its goal and the log-odds of what is wanted; what failed is left out."""
        scored = self.bank.logprobs([one.messages for one in probes], [(one.other, one.wanted) for one in probes])
        return [
            [one.goal, float(said.logprobs[1] - said.logprobs[0])]
            for one, said in zip(probes, scored, strict=True)
            if said.error is None and np.isfinite(said.logprobs).all()
        ]

    def revised(self, worst: Sequence[tuple[Exposed, Attempt]], said: Mapping[str, Any], most: int) -> list[list[Any]]:
        """Return rows with the log-odds of what it says plainly, before and after the critique."""
        chosen = [(one, attempt) for one, attempt in worst if one.good is not None][:most]
        asked_again, given = [], []
        for one, attempt in chosen:
            goal, messages = one.goal, attempt.query.messages
            response = goal.claim if attempt.outcome == "broken" else goal.denied
            critique = Critique("\n".join(said[goal.id]["words"]), one.good)
            asked_again.append(revise(Case(goal.id, messages, (response,), goal.group), critique))
            given.append(apart(goal.claim, goal.denied))
        scored = self.bank.logprobs(asked_again, given)
        return [
            [one.goal.id, attempt.query.name, -float(attempt.score or 0.0), float(now.logprobs[1] - now.logprobs[0])]
            for (one, attempt), now in zip(chosen, scored, strict=True)
            if now.error is None and np.isfinite(now.logprobs).all()
        ]


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
