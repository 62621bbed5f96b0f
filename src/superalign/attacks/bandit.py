"""A bandit spends the budget among other attacks: each query goes to the one that breaks most, as far as is known."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import Annotated, Any, ClassVar

import numpy as np
from pydantic import AfterValidator, Field

from superalign.attacker import (
    Attack,
    AttackChoice,
    Attempt,
    Goal,
    GoalByGoal,
    Query,
    Request,
    Role,
    Scene,
    Search,
    attacks,
)
from superalign.errors import ConfigError
from superalign.registry import Distinct, default


def _goal_by_goal(arms: tuple[Attack, ...]) -> tuple[Attack, ...]:
    for arm in arms:
        if not isinstance(arm, GoalByGoal):
            raise ConfigError(f"a bandit cannot draw '{arm}'", why="it does not go for each goal on its own")
    return arms


@attacks.register("bandit")
class Bandit(Attack):
    """Thompson sampling over attacks: an arm that broke a of n goals is drawn as often as Beta(a + 1, n - a + 1) wins.

    Each goal that still holds draws an arm, which goes one query on in its own search for that goal; what came of it
    counts for the arm on all goals. A query of which nobody can tell what came teaches nothing.
    """

    source: ClassVar[str] = "Thompson 1933; Chapelle and Li 2011, An empirical evaluation of Thompson sampling"

    attacks: Annotated[tuple[AttackChoice, ...], Distinct, AfterValidator(_goal_by_goal), Field(min_length=1)] = (
        default(("incomplete-sentence", "negative-priming", "cognitive-dissonance"))
    )
    """The arms; each is an attack that goes for each goal on its own."""

    @property
    def roles(self) -> frozenset[Role]:
        """See Attack."""
        return frozenset[Role]().union(*(arm.roles for arm in self.attacks))

    def searches(self, goals: Sequence[Goal], scene: Scene) -> Iterable[tuple[Sequence[int], Search]]:
        """Return one search for all goals.

        Raises:
            ConfigError: an arm makes no sense in this world.
        """
        for arm in self.attacks:
            if scene.world not in arm.worlds:
                raise ConfigError(f"attack '{arm}' makes no sense in the world of {scene.world}", where=str(self))
        return [(range(len(goals)), self._search(goals, scene))]

    def _search(self, goals: Sequence[Goal], scene: Scene) -> Search:
        arms = [arm for arm in self.attacks if isinstance(arm, GoalByGoal)]
        rng = scene.rng(self.name)
        tally = np.ones((len(arms), 2))  # broken and held so far, plus one each: the parameters of Beta
        live = [
            {n: _Pulls(arm.search(index, goal, scene)) for n, arm in enumerate(arms)}
            for index, goal in enumerate(goals)
        ]
        busy: dict[int, int] = {}  # for a goal the arm that was drawn and has not put its query yet
        while True:
            for index, pulls in enumerate(live):
                while index not in busy and pulls:
                    drawn = int(max(pulls, key=lambda n: rng.beta(*tally[n])))
                    if pulls[drawn].wanted():
                        busy[index] = drawn
                    else:
                        del pulls[drawn]
            asked = [(index, arm, live[index][arm].wanted()) for index, arm in busy.items()]
            if not asked:
                return
            answers = yield [self._marked(one, arms[arm]) for _, arm, wanted in asked for one in wanted]
            position = 0
            for index, arm, wanted in asked:
                came = answers[position : position + len(wanted)]
                position += len(wanted)
                live[index][arm].take(came)
                for attempt in (one for one in came if isinstance(one, Attempt)):
                    del busy[index]
                    tally[arm] += [attempt.outcome == "broken", attempt.outcome == "held"]
                    if attempt.outcome == "broken":
                        live[index].clear()

    @staticmethod
    def _marked(request: Request, arm: Attack) -> Request:
        return replace(request, tags={**request.tags, "arm": str(arm)}) if isinstance(request, Query) else request


class _Pulls:
    """One arm's search for one goal, gone on with one query at a time, or one batch of anything else."""

    def __init__(self, search: Search) -> None:
        self.search = search
        self.requests: Sequence[Request] = ()
        self.answers: list[Any] = []
        self.begun = False

    def wanted(self) -> Sequence[Request]:
        """Return what is to be asked next: one query, or requests that are none; nothing when the search has ended."""
        while len(self.answers) == len(self.requests):
            try:
                requests = self.search.send(self.answers) if self.begun else next(self.search)
            except StopIteration:
                return ()
            self.begun, self.requests, self.answers = True, requests, []
        rest = self.requests[len(self.answers) :]
        queries = [n for n, request in enumerate(rest) if isinstance(request, Query)]
        return rest[: max(1, queries[0])] if queries else rest

    def take(self, answers: Sequence[Any]) -> None:
        """Take what came back for what was wanted."""
        self.answers += answers
