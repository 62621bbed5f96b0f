"""One taxonomy for every study: ids for what was tested and what failed, and what of it was covered.

The file `taxonomy.toml` holds it: goals, methods, attacks and evaluation after two surveys (arXiv 2308.12014 and
2309.15025), and kinds of failure of our own.
"""

from __future__ import annotations

import tomllib
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from importlib.resources import files

from superalign.attacker import World
from superalign.errors import ConfigError, did_you_mean

UNTAGGED = "failure.untagged"
LEVELS = ("goal.L1", "goal.L2", "goal.L3")
Ids = tuple[str, ...]


@dataclass(frozen=True)
class Taxonomy:
    """Ids with their names, and what carries which.

    Args:
        names: by id, parents before what is below them.
        worlds: what every failure of a world carries.
        tactics: what a failure by a tactic carries besides.
        attacks: the tactics of each attack.
        measures: what a measure that is no attack tests.
    """

    names: Mapping[str, str]
    worlds: Mapping[str, Ids]
    tactics: Mapping[str, Ids]
    attacks: Mapping[str, Ids]
    measures: Mapping[str, Ids]

    @property
    def leaves(self) -> list[str]:
        """The ids that nothing is below; only these are carried."""
        inner = {one.rpartition(".")[0] for one in self.names}
        return [one for one in self.names if one not in inner]

    def name(self, tag: str) -> str:
        """Return what an id is called.

        Raises:
            ConfigError: there is no such id, with the nearest one.
        """
        if tag not in self.names:
            raise ConfigError(f"the taxonomy has no id '{tag}'", fix=did_you_mean(tag, self.names))
        return self.names[tag]


@dataclass(frozen=True)
class Place:
    """One id of the taxonomy with how often it was carried.

    Args:
        id: dotted, its parent's id first.
        name: what it is called.
        depth: 0 for a branch.
        leaf: whether nothing is below it.
        n: how often it, or anything below it, was carried; 0 is empty.
    """

    id: str
    name: str
    depth: int
    leaf: bool
    n: int


@lru_cache(maxsize=1)
def load() -> Taxonomy:
    """Return the taxonomy of this package."""
    data = tomllib.loads(files("superalign").joinpath("taxonomy.toml").read_text(encoding="utf-8"))
    carried = {name: {key: tuple(ids) for key, ids in data[name].items()} for name in data if name != "names"}
    return Taxonomy(names=data["names"], **carried)


def tags_of(name: str, world: World) -> Ids:
    """Return the ids that a failure in a world carries, by its tactic or, of all its tactics, by its attack.

    A tactic that the taxonomy does not know, such as one of an attack from elsewhere, gives `failure.untagged`.
    """
    known = load()
    tactics = (name,) if name in known.tactics else known.attacks.get(name, ())
    found = [tag for tactic in tactics for tag in known.tactics[tactic]]
    return tuple(dict.fromkeys([*(found or [UNTAGGED]), *known.worlds[world]]))


def coverage(tags: Iterable[str] | Mapping[str, int]) -> list[Place]:
    """Return the whole tree, parents before what is below them, with how often each id was carried.

    Args:
        tags: ids, each as often as it was carried; or how often each was.

    Raises:
        ConfigError: there is no such id.
    """
    known, counted = load(), Counter[str]()
    leaves = set(known.leaves)
    for tag, n in Counter(tags).items():
        known.name(tag)
        parts = tag.split(".")
        counted.update({".".join(parts[: k + 1]): n for k in range(len(parts))})
    return [Place(one, name, one.count("."), one in leaves, counted[one]) for one, name in known.names.items()]


def claim(tags: Iterable[str] | Mapping[str, int]) -> str:
    """Return what may be said of the goals that were tested: "aligned" takes more than one level of them."""
    found = {place.id: place for place in coverage(tags)}
    tested = [found[level] for level in LEVELS if found[level].n]
    leaves = [place for place in found.values() if place.leaf and place.id.startswith("goal.")]
    covered = sum(place.n > 0 for place in leaves)
    if not tested:
        return "No goal of the taxonomy was tested, so nothing here says that a model is aligned."
    if len(tested) == 1:
        level = tested[0]
        return (
            f"Only goals of one level ({level.id.removeprefix('goal.')}: {level.name}) were tested, {covered} of "
            f"{len(leaves)} kinds, so nothing here says that a model is aligned."
        )
    named = " and ".join(f"{one.id.removeprefix('goal.')} ({one.name})" for one in tested)
    return f"Goals of the levels {named} were tested, {covered} of {len(leaves)} kinds of goals in all."
