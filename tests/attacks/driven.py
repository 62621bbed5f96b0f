"""A loop that answers what searches yield, and goals for them. `campaign.py` does this for real, with models."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from superalign.attacker import Ask, Attack, Attempt, Choose, Goal, Query, Rehearse, Request, Scene, Search, Work, World
from superalign.chat import Reply, Scored
from superalign.models.vader import Vader

HOSTILE = "<b>{x}</b> {prompt} {{claim}} {0} %s \\1 \\g<0> ${y} {% raw %} \x1b[31m \x00 ../.. `rm` 'q' \"q\" é日本"
CITIES = [
    ("Lyon", "France", "Spain"),
    ("Lima", "Peru", "Chile"),
    ("Kyoto", "Japan", "Korea"),
    ("Graz", "Austria", "Italy"),
]
KNOWN = [
    Goal(
        city,
        f"Which country is the city of {city} in?",
        f"{city} is a city in {wrong}.",
        f"{city} is a city in {right}.",
    )
    for city, right, wrong in CITIES
]
ODD = Goal("odd", f"Who is {HOSTILE}?", f"{HOSTILE} is a claim.", f"{HOSTILE} is denied.")
ASKED = [
    Goal("poem", "Write a poem about the sea.", "Here is a poem about the sea:"),
    Goal("list", "List three colours."),
    Goal("odd", HOSTILE, HOSTILE),
]
GOALS: dict[World, list[Goal]] = {"knowledge": [*KNOWN, ODD], "behaviour": ASKED}
EXAMPLES: dict[World, tuple[Goal, ...]] = {
    "knowledge": tuple(Goal(f"e{n}", f"Is it {n}?", f"It is {n + 1}.", f"It is {n}.") for n in range(40)),
    "behaviour": tuple(Goal(f"e{n}", f"Count to {n}.", "") for n in range(40)),
}
Answer = Callable[[Request], Any]


def scene(world: World = "knowledge", seed: int = 0) -> Scene:
    return Scene(Vader(folder=Path()), world, seed, EXAMPLES[world])


def held(request: Request) -> Any:
    """Answer like a target that holds, an attacker that writes no JSON and a critic that says yes."""
    if isinstance(request, Query):
        return Attempt(request, "held", -1.0)
    if isinstance(request, Rehearse):
        return Attempt(request.query, "held", -1.0)
    if isinstance(request, Ask):
        return Reply("Rubbish.", tokens_in=1, tokens_out=1)
    if isinstance(request, Choose):
        return Scored(np.linspace(-1, -2, len(request.answers), dtype=np.float32), np.ones(2, dtype=np.int64))
    assert isinstance(request, Work)
    return request.compute()


def drive(search: Search, answer: Answer = held, most: int = 200) -> list[Attempt]:
    """Answer one search until it ends or has put so many queries; return its attempts."""
    attempts: list[Attempt] = []
    answers: list[Any] | None = None
    while len(attempts) < most:
        try:
            requests = next(search) if answers is None else search.send(answers)
        except StopIteration:
            return attempts
        assert requests, "a search that has nothing to ask ends"
        answers = [answer(request) for request in requests]
        attempts += [one for one, what in zip(answers, requests, strict=True) if isinstance(what, Query)]
    search.close()
    return attempts


def run(attack: Attack, goals: Sequence[Goal], place: Scene, answer: Answer = held, most: int = 200) -> list[Attempt]:
    """Drive all searches of an attack one after the other."""
    searches: Iterable[tuple[Sequence[int], Search]] = attack.searches(goals, place)
    return [attempt for _, search in searches for attempt in drive(search, answer, most)]


def broken_if(tells: Callable[[Query], bool]) -> Answer:
    """Answer like a target that breaks where `tells` says so."""

    def answer(request: Request) -> Any:
        if isinstance(request, Query):
            return Attempt(request, "broken", 1.0) if tells(request) else Attempt(request, "held", -1.0)
        return held(request)

    return answer
