"""How MAP-Elites makes a child: sentences of the wanted family and tone, and what it keeps of its parent."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import product

import numpy as np

from superalign.archive import Archive, Cell
from superalign.attacker import Attempt, World
from superalign.attacks._descriptors import PROTOTYPES, STYLES
from superalign.attacks._frames import shuffled
from superalign.attacks._framings import Framing, bare, reworded, roulette
from superalign.attacks._sentences import ASIDES, CORES, FAMILIES
from superalign.diversity import self_bleu

GRID: tuple[Cell, ...] = tuple(product(FAMILIES, STYLES))
REWORDED = 0.2  # probability that a word of a child is exchanged


def drawn_cell(archive: Archive, temperature: float, rng: np.random.Generator) -> Cell:
    """Draw a cell with p ~ exp(-f / T) of the cells' best fitness, scaled to 0..1; empty cells are at 0."""
    best = [archive.best(cell) for cell in GRID]
    known = [fitness for fitness in best if fitness is not None]
    low, high = min(known, default=0.0), max(known, default=1.0)
    scaled = [0.0 if one is None or high == low else (one - low) / (high - low) for one in best]
    return GRID[roulette([-one for one in scaled], temperature, rng)]


def drawn_elite(archive: Archive, rng: np.random.Generator) -> Attempt | None:
    """Draw a filled cell, then one of its attempts; None when there is none."""
    if not archive.cells:
        return None
    held = archive.cells[sorted(archive.cells)[rng.integers(len(archive.cells))]]
    return held[rng.integers(len(held))]


def recombined(parent: Framing, same_family: bool, cell: Cell, world: World, rng: np.random.Generator) -> Framing:
    """Return a framing for a cell, of sentences of its family and asides in its tone.

    A short one may take its sentence from a parent of the same family; a long one keeps a sentence of any parent.
    """
    family, style = cell
    length, tone = style.split(", ")
    known = [aside for asides in ASIDES.values() for aside in asides]
    pressing = shuffled([one for one in parent if one not in known and one[-1] not in "!?"], rng)
    fresh, asides = shuffled(CORES[world][family], rng), shuffled(ASIDES[tone], rng)
    if length == "short":
        own = pressing[:1] if same_family and rng.random() < 0.5 else fresh[:1]
        chosen = [*(own or fresh[:1]), *asides[: rng.integers(2) if tone == "plain" else 1]]
    else:
        chosen = [*pressing[:1], *fresh[:2], *asides[:2]]
    return reworded(tuple(dict.fromkeys(shuffled(chosen, rng))), REWORDED, rng, {})


def manner(cell: Cell) -> str:
    """Say in words what a rewriting for a cell is to be like."""
    family, style = cell
    length, tone = style.split(", ")
    size = {"short": "one sentence", "long": "four sentences"}[length]
    voice = {"plain": "a calm tone", "asking": "questions", "heated": "exclamations"}[tone]
    return f", in {size} with {voice}; use {PROTOTYPES[family]}"


def too_like(parent: Framing, child: Framing, similarity: float) -> bool:
    """Tell whether child and parent, without the goal's words, have a BLEU above the bound, averaged both ways."""
    return (self_bleu([bare(parent), bare(child)]) or 0.0) > similarity


def in_turn(n: int, rng: np.random.Generator) -> Iterator[int]:
    """Yield 0 to n - 1 without end, every round in another order."""
    while True:
        yield from rng.permutation(n).tolist()
