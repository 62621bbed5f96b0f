"""Paraphrase evolution: a population of framings; those that come nearest to breaking have the offspring."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Generator, Mapping, Sequence
from dataclasses import replace
from typing import Annotated, Any, ClassVar, Literal

import numpy as np
from pydantic import Field

from superalign.attacker import Goal, GoalByGoal, Request, Role, Scene, Search, World, attacks, tried
from superalign.attacks._framings import Framing, crossed, drawn, framed, renewed, reworded, roulette, words
from superalign.attacks._rewriting import rewritten


@attacks.register("paraphrase-evolution")
class ParaphraseEvolution(GoalByGoal):
    """A genetic search over the sentences that stand before the question: AutoDAN's, by the score of attempts alone.

    The elites stay; the other parents are drawn by softmax(score / temperature), cross over at some points between
    sentences, and some of their sentences and words are exchanged, or rewritten by the attacker's model. No framing is
    asked twice. It ends with the generation in which one broke.
    """

    source: ClassVar[str] = "our reading, as a black box, of Liu et al. 2023, AutoDAN, arXiv 2310.04451"

    population: Annotated[int, Field(ge=2)] = 8
    """Framings of a generation (the paper: up to 256)."""
    generations: Annotated[int, Field(ge=1)] = 100
    """Most of them."""
    elites: Annotated[float, Field(ge=0, lt=1)] = 0.1
    """Share of the population that stays; at least one framing."""
    crossover: Annotated[float, Field(ge=0, le=1)] = 0.5
    """Probability that two parents cross over."""
    points: Annotated[int, Field(ge=1)] = 2
    """Of crossover."""
    mutation: Annotated[float, Field(ge=0, le=1)] = 0.1
    """Probability that a word or a sentence is exchanged, or rewritten (the paper: 0.01 in a far larger population)."""
    temperature: Annotated[float, Field(gt=0)] = 1.0
    """Of the draw of parents, in units of the score."""
    by: Literal["synonyms", "attacker"] = "synonyms"
    """What mutates: a table of words, or the attacker's model."""
    momentum: Annotated[float, Field(ge=0, lt=1)] | None = None
    """Draw synonyms by the running mean score of framings that held them; this much of the old mean is kept."""

    @property
    def roles(self) -> frozenset[Role]:
        """See Attack."""
        return frozenset({"attacker"}) if self.by == "attacker" else frozenset()

    def search(self, index: int, goal: Goal, scene: Scene) -> Search:
        """See GoalByGoal."""
        rng = scene.rng(self.name, goal.id)
        population = [drawn(scene.world, rng) for _ in range(self.population)]
        fitness: dict[Framing, float] = {}
        worth: dict[str, float] = {}
        counts: Counter[str] = Counter()
        for generation in range(self.generations):
            fresh = [framing for framing in dict.fromkeys(population) if framing not in fitness]
            if fresh:
                queries = [framed(index, goal, one, "evolved", {"generation": generation}) for one in fresh]
                queries[0] = replace(queries[0], tags={**queries[0].tags, **counts})
                counts.clear()
                attempts = yield from tried(queries)
                if any(attempt.outcome == "broken" for attempt in attempts):
                    return
                came = [-np.inf if one.fitness is None else one.fitness for one in attempts]
                fitness |= zip(fresh, came, strict=True)
                self._learn(worth, fresh, came)
            ranked = sorted(population, key=lambda framing: -fitness[framing])
            elites = list(dict.fromkeys(ranked))[: max(1, round(self.elites * self.population))]
            children = self._children(population, [fitness[one] for one in population], len(elites), rng)
            mutated = yield from self._mutated(children, scene.world, worth, rng, counts)
            population = [*elites, *mutated]

    def _children(
        self, population: Sequence[Framing], fitness: Sequence[float], kept: int, rng: np.random.Generator
    ) -> list[Framing]:
        """Draw parents and cross them over until the population is full again."""
        children: list[Framing] = []
        while len(children) < self.population - kept:
            one, two = (population[roulette(fitness, self.temperature, rng)] for _ in range(2))
            children += crossed(one, two, self.points, rng) if rng.random() < self.crossover else (one, two)
        return children[: self.population - kept]

    def _mutated(
        self,
        children: Sequence[Framing],
        world: World,
        worth: Mapping[str, float],
        rng: np.random.Generator,
        counts: Counter[str],
    ) -> Generator[Sequence[Request], Sequence[Any], list[Framing]]:
        """Exchange sentences and words, or let sentences be rewritten; one that was not stays as it is."""
        if self.by == "synonyms":
            other = [renewed(child, self.mutation, world, rng) for child in children]
            return [reworded(child, self.mutation, rng, worth) for child in other]
        places = [(n, k) for n, child in enumerate(children) for k in range(len(child)) if rng.random() < self.mutation]
        seeds = [int(seed) for seed in rng.integers(2**31, size=len(places))]
        new = yield from rewritten([children[n][k] for n, k in places], [""] * len(places), seeds, counts)
        changed = [list(child) for child in children]
        for (n, k), written in zip(places, new, strict=True):
            changed[n][k] = written or changed[n][k]
        return [tuple(dict.fromkeys(sentences)) for sentences in changed]

    def _learn(self, worth: dict[str, float], framings: Sequence[Framing], scores: Sequence[float]) -> None:
        """Let the worth of each word follow the mean score of the framings that hold it."""
        if self.momentum is None:
            return
        seen: defaultdict[str, list[float]] = defaultdict(list)
        for framing, score in zip(framings, scores, strict=True):
            for word in set(words(framing)) if np.isfinite(score) else ():
                seen[word].append(score)
        for word, found in seen.items():
            mean = float(np.mean(found))
            worth[word] = self.momentum * worth[word] + (1 - self.momentum) * mean if word in worth else mean
