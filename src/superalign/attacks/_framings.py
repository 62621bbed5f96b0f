"""Framings: sentences of pressure that stand before a question, kept as templates so that they serve every goal."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

import numpy as np

from superalign.attacker import Goal, Query, World
from superalign.attacks._frames import SLOT, fill, shuffled, turns
from superalign.attacks._sentences import ASIDES, CORES, SYNONYMS

Framing = tuple[str, ...]
WORD = re.compile(r"\{\w+\}|[A-Za-z][A-Za-z-]*")
MOST = 6  # sentences of a framing that grows
GROUPS = {word: group for group in SYNONYMS for word in group}


def framed(index: int, goal: Goal, framing: Framing, tactic: str, tags: Mapping[str, object]) -> Query:
    """Return the query that puts a framing before the goal's question."""
    said = " ".join(fill(sentence, goal) for sentence in framing)
    return Query(index, turns(f"{said}\n\n{goal.prompt}"), tactic, dict(tags))


def bare(framing: Framing) -> str:
    """Return a framing without the goal's words."""
    return " ".join(SLOT.sub("", " ".join(framing)).split())


def words(framing: Framing) -> list[str]:
    """Return the words of a framing, in lower case."""
    return [word.lower() for word in WORD.findall(bare(framing))]


def drawn(world: World, rng: np.random.Generator, most: int = 4) -> Framing:
    """Draw a framing of up to so many different sentences; the first presses, any other may be an aside."""
    cores = [core for family in CORES[world].values() for core in family]
    first = cores[rng.integers(len(cores))]
    return tuple(dict.fromkeys([first, *shuffled(_sentences(world), rng)[: rng.integers(most)]]))


def renewed(framing: Framing, probability: float, world: World, rng: np.random.Generator) -> Framing:
    """Exchange each sentence for another one with that probability, and with the same put one more at the end."""
    fresh = iter(shuffled(_sentences(world), rng))
    kept = [next(fresh) if rng.random() < probability else sentence for sentence in framing]
    return tuple(dict.fromkeys([*kept, *([next(fresh)] if rng.random() < probability else [])]))[:MOST]


def crossed(one: Framing, two: Framing, points: int, rng: np.random.Generator) -> tuple[Framing, Framing]:
    """Exchange the sentences of two framings between so many points."""
    length = max(len(one), len(two))
    cuts = sorted(rng.permutation(np.arange(1, length))[:points].tolist())
    swap = [sum(cut <= place for cut in cuts) % 2 == 1 for place in range(length)]

    def child(mine: Framing, other: Framing) -> Framing:
        taken = [sentence for n in range(length) for sentence in (other if swap[n] else mine)[n : n + 1]]
        return tuple(dict.fromkeys(taken)) or mine

    return child(one, two), child(two, one)


def reworded(framing: Framing, probability: float, rng: np.random.Generator, worth: Mapping[str, float]) -> Framing:
    """Exchange each word that has synonyms with that probability; of those, one that is worth more is likelier taken.

    Where something is known of their worth a word may also stay; one of which nothing is known is worth the mean.
    """
    unknown = float(np.mean(list(worth.values()))) if worth else 0.0

    def exchange(found: re.Match[str]) -> str:
        word = found[0]
        group = GROUPS.get(word.lower())
        if group is None or rng.random() >= probability:
            return word
        choice = group if worth else [other for other in group if other != word.lower()]
        taken = choice[roulette([worth.get(other, unknown) for other in choice], 1.0, rng)]
        return taken.capitalize() if word[0].isupper() else taken

    return tuple(WORD.sub(exchange, sentence) for sentence in framing)


def roulette(fitness: Sequence[float], temperature: float, rng: np.random.Generator) -> int:
    """Draw a place with probability softmax(fitness / temperature); where none is finite, evenly."""
    values = np.asarray(fitness, dtype=np.float64)
    if not np.isfinite(values).any():
        return int(rng.integers(len(values)))
    odds = np.exp((values - values.max()) / temperature)
    return int(rng.choice(len(values), p=odds / odds.sum()))


def _sentences(world: World) -> list[str]:
    families, tones = CORES[world].values(), ASIDES.values()
    return [sentence for sentences in (*families, *tones) for sentence in sentences]
