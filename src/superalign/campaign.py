"""A campaign lets an attack go for goals within a budget: the one place where its requests meet models."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from superalign.answers import AnswerBank
from superalign.attacker import (
    Ask,
    Attack,
    Attempt,
    Budget,
    Choose,
    Goal,
    Query,
    Rehearse,
    Request,
    Scene,
    Search,
    Work,
)
from superalign.chat import Reply
from superalign.errors import ConfigError
from superalign.trial import Trial

Banks = Mapping[str, AnswerBank]
Record = Callable[[Sequence[Attempt]], None]


@dataclass
class Spent:
    """What a campaign took.

    Args:
        queries: put to the target.
        rehearsed: how many of those were for examples.
        tokens: read and written by all models.
        asked: answers of the attacker's and the critic's own model.
        failed: how many of those were errors.
        seconds: that it took; answers that were in the store take next to none.
        stopped: searches that a budget ended, by which.
    """

    queries: int = 0
    rehearsed: int = 0
    tokens: int = 0
    asked: int = 0
    failed: int = 0
    seconds: float = 0.0
    stopped: Counter[str] = field(default_factory=Counter)


@dataclass
class _Running:
    search: Search
    room: int
    requests: Sequence[Request]
    answers: list[Any] = field(default_factory=list)


class Campaign:
    """Runs the searches of one attack side by side, so that what they ask is answered in batches.

    Args:
        attack: what is tried.
        goals: to be reached.
        scene: what it may know.
        trial: puts queries to the target.
        banks: the models it may ask, by role: target, attacker, critic.
        budget: what it may spend.
        record: is given the attempts of each round as they come.
    """

    def __init__(
        self,
        attack: Attack,
        goals: Sequence[Goal],
        scene: Scene,
        trial: Trial,
        banks: Banks,
        budget: Budget,
        record: Record | None = None,
    ) -> None:
        check(attack, scene, banks)
        self.attack, self.goals, self.scene, self.trial = attack, goals, scene, trial
        self.banks, self.budget, self.record = banks, budget, record
        self.spent, self.attempts = Spent(), list[Attempt]()
        self.others = dict[str, AnswerBank]()

    def run(self) -> list[Attempt]:
        """Return what came of every query, in the order of asking."""
        start = time.perf_counter()
        live = self._advance(
            _Running(search, self.budget.queries * len(members), ())
            for members, search in self.attack.searches(self.goals, self.scene)
        )
        while live:
            self._answer(live)
            self.spent.seconds = time.perf_counter() - start
            if over := self._over():
                self.spent.stopped[over] += len(live)
                break
            live = self._advance(live)
        for one in live:
            one.search.close()
        return self.attempts

    def _advance(self, running: Iterable[_Running]) -> list[_Running]:
        """Send each search its answers and take its next requests; those that are at their end drop out."""
        live = []
        for one in running:
            if one.room < 0:
                self._stop(one)
                continue
            try:
                one.requests = one.search.send(one.answers) if one.requests else next(one.search)
                while not one.requests:  # it asked for nothing
                    one.requests = one.search.send([])
            except StopIteration:
                continue
            if one.room:
                live.append(one)
            else:  # it wants more, and may ask no more
                self._stop(one)
        return live

    def _stop(self, one: _Running) -> None:
        self.spent.stopped["queries"] += 1
        one.search.close()

    def _answer(self, live: Sequence[_Running]) -> None:
        """Answer the requests of all searches, a kind at a time; queries beyond the budget are not asked."""
        for one in live:
            queries = [request for request in one.requests if isinstance(request, Query)]
            if len(queries) > one.room:
                kept = set(map(id, queries[: one.room]))
                one.requests = [r for r in one.requests if not isinstance(r, Query) or id(r) in kept]
                one.room = -1  # its answers would not fit its requests: it ends here
            else:
                one.room -= len(queries)
        requests = [request for one in live for request in one.requests]
        answers: dict[int, Any] = {}
        self._try(requests, answers)
        self._rehearse(requests, answers)
        self._ask(requests, answers)
        self._weigh(requests, answers)
        for place, request in enumerate(requests):
            if isinstance(request, Work):
                made = self.banks["target"].work([self.attack.name, request.name], request.compute)
                self.spent.tokens += request.tokens(made) if callable(request.tokens) else request.tokens
                answers[place] = made
        place = 0
        for one in live:
            one.answers = [answers[place + offset] for offset in range(len(one.requests))]
            place += len(one.requests)

    def _try(self, requests: Sequence[Request], answers: dict[int, Any]) -> None:
        queries = {place: one for place, one in enumerate(requests) if isinstance(one, Query)}
        if not queries:
            return
        attempts = self._put(self.goals, queries, answers)
        self.attempts += attempts
        if self.record:
            self.record(attempts)

    def _rehearse(self, requests: Sequence[Request], answers: dict[int, Any]) -> None:
        queries = {place: one.query for place, one in enumerate(requests) if isinstance(one, Rehearse)}
        if queries:
            self.spent.rehearsed += len(self._put(self.scene.examples, queries, answers))

    def _put(self, goals: Sequence[Goal], queries: Mapping[int, Query], answers: dict[int, Any]) -> list[Attempt]:
        attempts = self.trial.attempts(goals, list(queries.values()))
        answers.update(zip(queries, attempts, strict=True))
        self.spent.queries += len(attempts)
        self.spent.tokens += sum(attempt.tokens for attempt in attempts)
        return attempts

    def _ask(self, requests: Sequence[Request], answers: dict[int, Any]) -> None:
        asks = {place: one for place, one in enumerate(requests) if isinstance(one, Ask)}
        kinds = {place: (one.role, str(one.model or ""), one.sampling) for place, one in asks.items()}
        for kind in dict.fromkeys(kinds.values()):
            mine = {place: one for place, one in asks.items() if kinds[place] == kind}
            messages, seeds = [one.messages for one in mine.values()], [one.seed for one in mine.values()]
            replies = self._bank(next(iter(mine.values()))).generate(messages, kind[-1], seeds)
            answers.update(zip(mine, replies, strict=True))
            self._count(replies)

    def _bank(self, ask: Ask) -> AnswerBank:
        """Return who answers."""
        if ask.model is None:
            return self.banks[ask.role]
        name = str(ask.model)
        if name not in self.others:
            self.others[name] = AnswerBank(self.scene.store, ask.model)
        return self.others[name]

    def _weigh(self, requests: Sequence[Request], answers: dict[int, Any]) -> None:
        choices = {place: one for place, one in enumerate(requests) if isinstance(one, Choose)}
        for role in dict.fromkeys(one.role for one in choices.values()):
            mine = {place: one for place, one in choices.items() if one.role == role}
            scored = self.banks[role].logprobs(
                [one.messages for one in mine.values()], [one.answers for one in mine.values()]
            )
            answers.update(zip(mine, scored, strict=True))
            self.spent.asked += len(scored)
            self.spent.failed += sum(one.error is not None for one in scored)
            self.spent.tokens += sum(one.tokens_in + int(one.tokens.sum()) for one in scored)

    def _count(self, replies: Sequence[Reply]) -> None:
        self.spent.asked += len(replies)
        self.spent.failed += sum(reply.error is not None for reply in replies)
        self.spent.tokens += sum(reply.tokens_in + reply.tokens_out for reply in replies)

    def _over(self) -> str:
        if self.budget.tokens is not None and self.spent.tokens >= self.budget.tokens:
            return "tokens"
        if self.budget.seconds is not None and self.spent.seconds >= self.budget.seconds:
            return "seconds"
        return ""


def check(attack: Attack, scene: Scene, banks: Banks) -> None:
    """Refuse an attack that cannot be made here.

    Raises:
        ConfigError: it is of another world, needs a model that is not there, or cannot use one that is.
    """
    if scene.world not in attack.worlds:
        what = {"knowledge": "goals of knowledge (pairs of answers)", "behaviour": "goals of behaviour (requests)"}
        raise ConfigError(f"attack {attack} does not go for {what[scene.world]}", fix="superalign ls attacks")
    for role in sorted(attack.roles - set(banks)):
        raise ConfigError(f"attack {attack} needs a model as {role}", fix=f"for example: --{role} embedded:smollm2")
    attack.check(scene.target, scene.attacker)
