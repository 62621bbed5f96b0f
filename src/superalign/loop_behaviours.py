"""The loop in the world of behaviours: requests, what the learner writes, and critics who say whether it is good."""

from __future__ import annotations

import hashlib
import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from functools import cached_property
from typing import Any

import numpy as np

from superalign.aim import Exposed, Own, Probe, Shown
from superalign.answers import AnswerBank
from superalign.attacker import Attempt, Goal, plainly
from superalign.chat import Message, Messages, Reply, Sampling, asked
from superalign.critic import Case, Critic, critics, revise
from superalign.goals import goals_of
from superalign.job import Inputs, Tools
from superalign.loop_world import KnowledgeWorld, World, drawn_rows, goal_of, plain_goal
from superalign.odds import log_odds, preferred, sigmoid
from superalign.steps import Params
from superalign.task import Task
from superalign.trial import Compliance, Trial

GIVEN = 0.95  # how probably a response is good that the user gave
SENTENCE = re.compile(r"^.*[.!?](?=\s|$)", re.DOTALL)


class BehaviourWorld(World):
    """Requests: the learner answers in text, and critics say whether it did what was asked.

    Besides what every world reads, the parameters are `critics` (specs and digests; several are an ensemble),
    `refusals` (the critic of answers to benign requests) and `tokens_out`.
    """

    @cached_property
    def critic(self) -> Critic:
        """Says whether a response is good: it does not do what it must not."""
        specs = [one["critic"] for one in self.params["critics"]]
        return critics.build(specs[0] if len(specs) == 1 else {"name": "ensemble", "critics": specs})

    @cached_property
    def refusals(self) -> Critic:
        """Says whether an answer to a benign request is good: it is no refusal."""
        return critics.build(self.params["refusals"]["critic"])

    @property
    def advisor(self) -> Critic:
        """The critic that the update asks; see Update."""
        told = self.params.get("advisor")
        if told is None:
            return self.critic
        critic = critics.build(told["critic"])
        if told["itself"]:
            return critic.model_copy(update={"model": self.learner})
        return critic

    @property
    def sampling(self) -> Sampling:
        """How an answer is drawn: the likeliest one."""
        return Sampling(max_tokens=self.params["tokens_out"])

    @property
    def trial(self) -> Trial:
        """See World."""
        return Compliance(self.bank, self.critic, self.tools, self.sampling, self.params.get("seed", 0))

    def goals(self, rows: Sequence[int], now: bool = False) -> tuple[list[Goal], dict[str, Any], dict[str, str]]:
        """Return a goal for every request; nothing is known of plain answers."""
        found = goals_of(self.task, np.array(rows, dtype=np.int64), ())
        return [goal for goal in found if goal], {}, {}

    def cases(self, goals: Sequence[Goal]) -> list[Case]:
        """Return what the learner answers to each plain request; empty where it failed."""
        replies = self._replies(self.bank, [asked(goal.prompt) for goal in goals])
        return [_case(goal, whole(reply)) for goal, reply in zip(goals, replies, strict=True)]

    def probed(self, probes: Sequence[Probe]) -> list[list[Any]]:
        """Return the probability that the answer is no refusal, less 1/2."""
        replies = self._replies(self.bank, [one.messages for one in probes])
        cases = [Case(one.goal, one.messages, (said.text,)) for one, said in zip(probes, replies, strict=True)]
        good = self._judged(self.refusals, cases)
        return [[one.goal, p - 0.5] for one, p in zip(probes, good, strict=True) if p is not None]

    def revised(self, worst: Sequence[tuple[Exposed, Attempt]], said: Mapping[str, Any], most: int) -> list[list[Any]]:
        """Return rows with the new text, its log-odds of being good (or None), and the critique.

        What was judged bad is revised, in answer to the plain request; with the parameter `needed`, only where the
        critics do not find the learner's plain answer good.
        """
        chosen = [
            (one, attempt)
            for one, attempt in worst
            if attempt.outcome == "broken" and not (self.params["needed"] and (one.good or 0.0) > 0.5)
        ][:most]
        cases = [_case(one.goal, attempt.response, attempt) for one, attempt in chosen]
        told = self.advisor.judge(cases, self.tools) if cases else []
        replies = self._replies(self.bank, [revise(case, one) for case, one in zip(cases, told, strict=True)])
        texts = [whole(reply) for reply in replies]
        good = self._judged(self.critic, [_case(one.goal, text) for (one, _), text in zip(chosen, texts, strict=True)])
        return [
            [one.goal.id, attempt.query.name, text, None if p is None else log_odds(p), critique.words]
            for (one, attempt), text, p, critique in zip(chosen, texts, good, told, strict=True)
        ]

    def drawn(self, worst: Sequence[tuple[Exposed, Attempt]], draws: tuple[int, float]) -> dict[str, Any]:
        """Return, by goal, answers drawn to the worst attack on it, each with how probably the advisor finds it good.

        Args:
            worst: goals and attempts.
            draws: how many, and the temperature.
        """
        number, temperature = draws
        sampling = Sampling(max_tokens=self.params["tokens_out"], temperature=temperature)
        asks = [(one, attempt, n) for one, attempt in worst for n in range(number)]
        seeds = [_seed(self.params["seed"], one.goal.id, n) for one, _, n in asks]
        replies = self.bank.generate([attempt.query.messages for _, attempt, _ in asks], sampling, seeds)
        texts = [whole(reply) for reply in replies]
        cases = [_case(one.goal, text, attempt) for (one, attempt, _), text in zip(asks, texts, strict=True)]
        good = self._judged(self.advisor, cases)
        found: dict[str, list[list[Any]]] = {}
        for (one, _, _), text, p in zip(asks, texts, good, strict=True):
            found.setdefault(one.goal.id, []).append([text, p])
        return found

    def benign(self, part: str, n: int, skipped: int = 0) -> list[Goal]:
        """See World."""
        if "benign" not in self.inputs or not n:
            return []
        task = Task.from_meta(self.inputs["benign"].meta)
        rows = drawn_rows(task, {**self.params, "unseen": []}, part, skipped + n)[skipped:]
        return [goal for goal in goals_of(task, np.array(rows, dtype=np.int64), ()) if goal]

    def unharmed(self, n: int, skipped: int) -> list[dict[str, Any]]:
        """Return goals, what is said to them now and was said at first, and how probably that is no refusal."""
        goals = self.benign("transfer", n, skipped)
        told: dict[str, list[Any]] = {}
        for when, bank in (("now", self.bank), ("first", self.first)):
            texts = [whole(reply) for reply in self._replies(bank, [asked(goal.prompt) for goal in goals])]
            good = self._judged(self.refusals, [_case(goal, text) for goal, text in zip(goals, texts, strict=True)])
            told[when] = list(zip(texts, good, strict=True))
        return [
            {"goal": plain_goal(goal), "now": list(now), "first": list(first)}
            for goal, now, first in zip(goals, told["now"], told["first"], strict=True)
        ]

    def _replies(self, bank: AnswerBank, prompts: Sequence[Messages]) -> list[Reply]:
        return bank.generate(prompts, self.sampling, [0] * len(prompts))

    def _judged(self, critic: Critic, cases: Sequence[Case]) -> list[float | None]:
        """Return how probably each response is good; None where there is none, or the critic cannot tell."""
        places = [place for place, case in enumerate(cases) if case.responses[0].strip()]
        verdicts = critic.judge([cases[place] for place in places], self.tools) if places else []
        good = {place: one.good for place, one in zip(places, verdicts, strict=True)}
        return [good.get(place) for place in range(len(cases))]


def world_of(params: Params, inputs: Inputs, tools: Tools) -> World:
    """Return the world that the parameters name; by default that of knowledge."""
    kind = BehaviourWorld if params.get("world") == "behaviour" else KnowledgeWorld
    return kind(params, inputs, tools)


def own_of(goal: str, inputs: Inputs, refusal: str | None) -> tuple[Own, ...]:
    """Return what the learner may be taught to say about an attacked request.

    Args:
        goal: its id.
        inputs: of the step: `judged`, and as far as there are any `revised` and `drawn`.
        refusal: that the user gave as a stand-in, if one was given.
    """
    said = inputs["judged"].meta["said"][goal]
    found = [Own("plain", said["response"], said["good"])]
    if "revised" in inputs:
        rows = [row for row in inputs["revised"].meta["revised"] if row[0] == goal and row[3] is not None]
        found += [Own("revision", row[2], sigmoid(row[3])) for row in rows]
    if "drawn" in inputs:
        found += [Own("drawn", text, good) for text, good in inputs["drawn"].meta["drawn"].get(goal, [])]
    if refusal:
        found.append(Own("stand-in", refusal, GIVEN))
    return tuple(found)


def benign_by(exposed: Mapping[str, Any], found: Sequence[Exposed], refusal: str | None) -> Iterator[Exposed]:
    """Yield the benign requests of a round, each with an answer against a refusal; without both it teaches nothing.

    Args:
        exposed: meta of the round's attacks.
        found: the attacked goals: what critics find better there, or else held, is taken for the learner's refusals.
        refusal: that the user gave as a stand-in, if one was given.
    """
    told = (shown for one in found for shown in one.shown() if shown.way != "self-judged")
    held = (each.response for one in found for each in one.attempts if each.outcome == "held")
    refused = sorted({shown.responses[1] for shown in told}) or sorted(set(held)) or ([refusal] if refusal else [])
    for row in exposed.get("benign", []):
        goal, (now, p_now), (first, p_first) = goal_of(row["goal"]), row["now"], row["first"]
        answers = [(text, p) for text, p in ((now, p_now), (first, p_first)) if p is not None and p > 0.5]
        own = [(now, p_now)] if p_now is not None and p_now < 0.5 else []
        refusals = own or [(text, None) for text in refused]
        attempt = Attempt(plainly(0, goal), "broken" if own else "held", response=now)
        if not answers or not refusals:
            yield Exposed(goal, (attempt,), None, "", chosen=())
            continue
        (answer, good), (worse, bad) = answers[0], refusals[_seed(0, goal.id, 0) % len(refusals)]
        better = preferred(1 - good if bad is None else bad, good)
        yield Exposed(goal, (attempt,), good, "refusals", chosen=(Shown(attempt, (worse, answer), better),))


def ways_of(found: Sequence[Exposed]) -> dict[str, int]:
    """Count the goals that were broken by where the better response comes from."""
    broken = [one for one in found if one.chosen or any(each.outcome == "broken" for each in one.attempts)]
    return dict(Counter(one.chosen[0].way if one.chosen else "nothing" for one in broken))


def whole(reply: Reply) -> str:
    """Return what was written; of an answer that ran out of tokens the whole sentences, if there are any.

    Else a learner would be taught to stop in the middle of one.
    """
    found = SENTENCE.match(reply.text) if reply.finish == "length" else None
    return found[0] if found else reply.text


def _case(goal: Goal, response: str, attempt: Attempt | None = None) -> Case:
    begun: Message | None = attempt.query.messages[-1] if attempt else None
    said = begun.content if begun and begun.role == "assistant" else ""
    return Case(goal.id, asked(goal.prompt), (said + response,), goal.group)


def _seed(*names: Any) -> int:
    return int.from_bytes(hashlib.sha256(repr(names).encode()).digest()[:4], "big")
