"""Greedy coordinate gradient: a string after what is asked that makes the target begin with given words."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import partial
from typing import Annotated, Any, ClassVar, Literal, NamedTuple

import numpy as np
from pydantic import Field

from superalign.attacker import Attack, Goal, Query, Scene, Search, Work, attacks, tried
from superalign.attacks._gcg import Descent, Origin, Rule, common_tokens
from superalign.attacks._glass import Glass
from superalign.attacks._place import Place, place_of
from superalign.errors import DataError
from superalign.model import ModelChoice

OUTSIDE_A_STEP = {
    "steps",
    "every",
    "early_stop",
    "batch_tokens",
    "also",
}  # settings that do not decide what a step finds


class Found(NamedTuple):
    """A string and its loss."""

    loss: float
    string: tuple[int, ...]


@attacks.register("gcg")
class Gcg(Attack):
    """Swaps tokens of a string at the end of the user's turn until the target is likely to say the goal's claim.

    Each step takes the loss's slope in every token of the string, proposes swaps among the steepest, and moves to the
    best of those that the model reads as they are meant.
    """

    source: ClassVar[str] = "Zou et al. 2023, arXiv 2307.15043; momentum: Zhang and Wei 2024, arXiv 2405.01229"
    white_box: ClassVar[bool] = True

    steps: Annotated[int, Field(ge=1)] = 250
    """Swaps made at most."""
    every: Annotated[int, Field(ge=1)] = 25
    """The target is asked after so many steps, with the best string since it was last asked, and at the end."""
    width: Annotated[int, Field(ge=1)] = 512
    """Strings proposed a step; those that the model would read otherwise are left out."""
    topk: Annotated[int, Field(ge=1)] = 256
    """Tokens of each position among which swaps are drawn. Where `width` holds all single swaps, all are tried."""
    replaced: Annotated[int, Field(ge=1)] = 1
    """Positions that a proposed string differs in, at most."""
    init: Annotated[str, Field(min_length=1, pattern=r"\S")] = "x x x x x x x x x x x x x x x x x x x x"
    """What the string begins as; its number of tokens stays."""
    buffer: Annotated[int, Field(ge=0)] = 0
    """0 always moves to the best proposal. More keeps the best strings, which steps go on from in turn: our reading.
    With 1 the loss never rises."""
    momentum: Annotated[float, Field(ge=0, lt=1)] = 0.0
    """Share of the former slopes in the one that is followed."""
    tokens: Literal["ascii", "any"] = "ascii"
    """What the string is made of: printable ASCII, or anything but special tokens."""
    universal: bool = False
    """One string for all goals."""
    progressive: bool = True
    """A universal string begins with the first goal; the next counts when all that do are said."""
    also: tuple[ModelChoice, ...] = ()
    """Further models of the target's vocabulary that the string shall work on; only the target is asked."""
    early_stop: bool = True
    """End when the target's likeliest answer begins with the claim. Whether that is a success is judged elsewhere."""
    batch_tokens: Annotated[int, Field(ge=1)] | None = None
    """Tokens computed at once. Default: what is fastest on a CPU, and 16,384 on a GPU."""

    def searches(self, goals: Sequence[Goal], scene: Scene) -> Iterable[tuple[Sequence[int], Search]]:
        """Return a search a goal, or one for all; goals that cannot be searched for are refused before any begins.

        Raises:
            ModelError: a model cannot be looked into, or it differs from the target in its vocabulary.
            DataError: a goal has no claim, or is too long for the model.
        """
        glasses = [Glass(model, self.batch_tokens) for model in (scene.target, *self.also)]
        allowed = common_tokens(glasses, self.tokens == "ascii")
        rule = Rule(self.width, self.topk, self.replaced, self.momentum)
        models = [model.fingerprint() for model in (scene.target, *self.also)]
        shared: list[Sequence[int]] = (
            [range(len(goals))] if self.universal and goals else [[i] for i in range(len(goals))]
        )
        found = []
        for indices in shared:
            places = [[_placed(glass, goals[index], self.init) for index in indices] for glass in glasses]
            said = [[goals[index].prompt, goals[index].claim] for index in indices]
            name = ["gcg", self.model_dump(mode="json", exclude=OUTSIDE_A_STEP), models, said, scene.seed]
            descent = Descent(glasses, places, allowed, rule)
            found.append((indices, self._search(descent, indices, name, scene)))
        return found

    def _search(self, descent: Descent, indices: Sequence[int], name: list[Any], scene: Scene) -> Search:
        places = descent.places[0]
        pool, since = [Found(np.inf, places[0].start)], list[Found]()
        trail, goals, broken = list[Origin](), 1 if self.progressive else len(indices), set[int]()
        for step in range(self.steps):
            start = pool[step % len(pool)]
            trail.append(Origin(start.string, goals))
            rng = scene.rng("gcg", *map(str, name[3]), step)
            compute = partial(descent.step, list(trail), rng)
            read = (self.width + 1) * sum(place.size for row in descent.places for place in row[:goals])
            (made,) = yield [Work([*name, step, start.string], compute, read)]
            new = Found(made["loss"], tuple(made["ids"]))
            known = {one.string: one for one in (*pool, Found(made["before"], start.string), new)}
            pool = sorted(known.values())[: self.buffer] if self.buffer else [new]
            since.append(new)
            ends = step + 1 == self.steps or (self.early_stop and made["said"] and goals == len(indices))
            if ends or (step + 1) % self.every == 0:
                best, since = (new if made["said"] else min(since)), []
                queries = [
                    self._query(place, index, step + 1, best) for place, index in zip(places, indices, strict=True)
                ]
                left = [query for query in queries if query.goal not in broken]
                broken |= {one.query.goal for one in (yield from tried(left)) if one.outcome == "broken"}
                if ends or len(broken) == len(indices):
                    return
            if made["said"] and goals < len(indices):
                goals, since = goals + 1, []
                pool = [Found(np.inf, new.string)]

    def _query(self, place: Place, index: int, step: int, found: Found) -> Query:
        messages = place.messages(found.string)
        if messages is None:
            raise DataError(
                f"a string that step {step} found is read otherwise now", why="the store holds another's step"
            )
        return Query(index, messages, "gcg", {"step": step, "loss": found.loss})


def _placed(glass: Glass, goal: Goal, init: str) -> Place:
    place = place_of(glass.voice.spelling, goal, init, glass.name)
    if place.size > glass.voice.limit:
        why = f"with string and claim it has {place.size} tokens, and {glass.name} reads {glass.voice.limit}"
        raise DataError(f"goal '{goal.id}' is too long", why=why, fix="set max_tokens of the model, or leave it out")
    return place
