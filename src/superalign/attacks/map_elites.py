"""MAP-Elites: a search for framings of every kind, each kind as near to breaking as can be found."""

from __future__ import annotations

from collections import Counter
from collections.abc import Generator, Iterable, Sequence
from dataclasses import dataclass, field, replace
from typing import Annotated, Any, ClassVar, Literal

import numpy as np
from pydantic import Field

from superalign.archive import Archive, Cell
from superalign.attacker import Attack, Attempt, Goal, Request, Role, Scene, Search, World, attacks, tried
from superalign.attacks._breeding import GRID, drawn_cell, drawn_elite, in_turn, manner, recombined, too_like
from superalign.attacks._descriptors import verified
from superalign.attacks._framings import Framing, framed
from superalign.attacks._rewriting import rewritten
from superalign.model import ModelChoice
from superalign.registry import default


@dataclass(frozen=True)
class Child:
    """A framing that was made for a cell from a parent, which the first ones do not have."""

    framing: Framing
    wanted: Cell
    parent: Attempt | None


@dataclass
class State:
    """A search as it stands: its archive, the framing of each query, and what was counted since the last one."""

    archive: Archive
    world: World
    rng: np.random.Generator
    framings: dict[str, Framing] = field(default_factory=dict)
    counts: Counter[str] = field(default_factory=Counter)

    def framing(self, attempt: Attempt | None) -> Framing:
        """Return the framing of an attempt; of none, no sentences."""
        return self.framings[attempt.query.name] if attempt else ()


@attacks.register("map-elites")
class MapElites(Attack):
    """An archive of framings, one cell for each family of pressure and style; every cell keeps its fittest.

    A child is made for a cell that is drawn with p ~ exp(-f / T) of the cells' best scores, scaled to 0..1 (empty cells
    as the worst), from a parent of any cell. It is put into the cell that an independent classifier finds it to be
    of, whatever it was made for: the nearest prototype by a model's features, and rules for the style. One that is too
    like its parent is dropped. Children take the goals in turn. The tags `cell`, `wanted` and `parent` of queries hold
    the archive: `superalign.archive.history` computes coverage, QD-score and evenness over time from attempts alone.
    """

    source: ClassVar[str] = "Mouret and Clune 2015, MAP-Elites; Samvelyan et al. 2024, Rainbow teaming; own descriptors"

    per_cell: Annotated[int, Field(ge=1)] = 3
    """Most framings kept in a cell, m."""
    temperature: Annotated[float, Field(gt=0)] = 0.1
    """Of the draw of cells, T."""
    similarity: Annotated[float, Field(gt=0, le=1)] = 0.6
    """BLEU of child and parent, without the goal's words, above which the child is dropped."""
    batch: Annotated[int, Field(ge=1)] = 8
    """Children made of one state of the archive and asked together."""
    iterations: Annotated[int, Field(ge=1)] = 1000
    """Most batches."""
    by: Literal["templates", "attacker"] = "templates"
    """What mutates: recombination of templates, or the attacker's model."""
    verifier: ModelChoice = default("embedded:wordllama")
    """Whose features tell the family of a framing."""

    @property
    def roles(self) -> frozenset[Role]:
        """See Attack."""
        return frozenset({"attacker"}) if self.by == "attacker" else frozenset()

    def searches(self, goals: Sequence[Goal], scene: Scene) -> Iterable[tuple[Sequence[int], Search]]:
        """Return one search for all goals."""
        return [(range(len(goals)), self._search(goals, scene))] if goals else []

    def _search(self, goals: Sequence[Goal], scene: Scene) -> Search:
        rng, turn = scene.rng(self.name), in_turn(len(goals), scene.rng(self.name, "goals"))
        state = State(Archive(len(GRID), self.per_cell), scene.world, rng)
        asked: set[tuple[int, Framing]] = set()
        for iteration in range(self.iterations):
            children = yield from self._children(state)
            queries = []
            for child, cell in zip(children, verified([one.framing for one in children], self.verifier), strict=True):
                goal = next(turn)
                if (goal, child.framing) in asked:
                    state.counts["asked_before"] += 1
                    continue
                asked.add((goal, child.framing))
                tags = {"cell": list(cell), "wanted": list(child.wanted), "iteration": iteration, **state.counts}
                tags |= {"parent": child.parent.query.name} if child.parent else {}
                state.counts.clear()
                queries.append(framed(goal, goals[goal], child.framing, cell[0], tags))
                state.framings[queries[-1].name] = child.framing
            for attempt in (yield from tried(queries)) if queries else ():
                state.archive.add(attempt)

    def _children(self, state: State) -> Generator[Sequence[Request], Sequence[Any], list[Child]]:
        """Make a batch of children; those that are too like their parents are left out and counted."""
        made = [self._child(state) for _ in range(self.batch)]
        if self.by == "attacker":
            old = [child for child in made if child.parent]
            texts = [" ".join(state.framing(child.parent)) for child in old]
            seeds = [int(seed) for seed in state.rng.integers(2**31, size=len(old))]
            new = yield from rewritten(texts, [manner(child.wanted) for child in old], seeds, state.counts)
            made = [child for child in made if not child.parent]
            made += [replace(child, framing=(text,)) for child, text in zip(old, new, strict=True) if text]
        kept = [one for one in made if not too_like(state.framing(one.parent), one.framing, self.similarity)]
        if dropped := len(made) - len(kept):
            state.counts["too_like"] += dropped
        return kept

    def _child(self, state: State) -> Child:
        """Make a child of templates."""
        cell, parent = drawn_cell(state.archive, self.temperature, state.rng), drawn_elite(state.archive, state.rng)
        same = parent is not None and parent.query.tags["cell"][0] == cell[0]
        return Child(recombined(state.framing(parent), same, cell, state.world, state.rng), cell, parent)
