from __future__ import annotations

from collections import Counter, defaultdict

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from superalign.errors import ConfigError, DataError
from superalign.task import Comparison, Example, Loaded, split, tasks
from superalign.tasks._world import alike, city_country, continent, neighbour
from superalign.tasks.facts import RELATIONS, Facts

EVERYTHING = Facts(relations=tuple(RELATIONS), cities=300, phrasings=3)


@pytest.fixture(scope="module")
def everything() -> Loaded:
    return EVERYTHING.load()


def object_of(item: Example) -> str:
    return item.id.rsplit("/", 1)[1]


def test_the_default_is_one_true_and_one_false_statement_a_city() -> None:
    task, labels = Facts().load()
    assert len(task.items) == 3200
    assert task.classes == ("false", "true")
    assert labels.dtype == np.int64
    by_entity = defaultdict(list)
    for item, label in zip(task.items, labels, strict=True):
        assert isinstance(item, Example)
        by_entity[item.id.rsplit("/", 1)[0]].append(int(label))
    assert len(by_entity) == 1600
    assert all(sorted(found) == [0, 1] for found in by_entity.values())
    true = {item.prompt for item, label in zip(task.items, labels, strict=True) if label}
    assert {"The city of Tokyo is in Japan.", "The city of Chicago is in the United States."} <= true
    assert len({item.id for item in task.items}) == 3200


def test_every_object_is_as_often_true_as_false(everything: Loaded) -> None:
    counts: Counter[tuple[str, str, int]] = Counter()
    for item, label in zip(everything.task.items, everything.labels, strict=True):
        assert isinstance(item, Example)
        counts[str(item.tags["relation"]), object_of(item), int(label)] += 1
    objects = {(relation, name) for relation, name, _ in counts}
    assert all(counts[(*key, 0)] == counts[(*key, 1)] > 0 for key in objects)


@pytest.mark.parametrize(
    "source", [Facts(), Facts(cities=401), *(Facts(relations=(name,)) for name in RELATIONS)], ids=str
)
def test_every_object_is_as_often_true_as_false_in_each_part(source: Facts) -> None:
    task, labels = source.load()
    for seed in range(5):
        for part in split(task, (5, 6, 5), seed):
            balance: Counter[str] = Counter()
            for index in part:
                item = task.items[index]
                assert isinstance(item, Example)
                balance[object_of(item)] += 1 if labels[index] else -1
            assert set(balance.values()) == {0}


@pytest.mark.parametrize("relations", [(name,) for name in RELATIONS] + [tuple(RELATIONS)], ids="+".join)
def test_entities_that_swap_share_a_group_and_groups_stay_small(relations: tuple[str, ...]) -> None:
    entities = defaultdict(set)
    task, labels = Facts(relations=relations, cities=201).load()
    truth = {}
    for item, label in zip(task.items, labels, strict=True):
        relation, entity, _, _ = item.id.split("/", 3)
        if relation == relations[0]:
            entities[item.group].add(entity)
            truth[item.id] = bool(label)
    assert {len(found) for found in entities.values()} <= {2, 3}
    assert sum(len(found) == 3 for found in entities.values()) <= 1
    for item in task.items:
        relation, entity, wording, told = item.id.split("/", 3)
        if relation == relations[0] and not truth[item.id]:  # its object is the true one of another in its group
            others = entities[item.group] - {entity}
            assert any(truth.get(f"{relation}/{other}/{wording}/{told}") for other in others)


def test_the_place_in_the_list_tells_nothing() -> None:
    labels = Facts().load().labels
    assert abs(labels[::2].mean() - 0.5) < 0.05
    second = Facts(pairs=True).load().labels
    assert abs(second.mean() - 0.5) < 0.05


@pytest.mark.parametrize("name", RELATIONS)
def test_false_statements_are_false(name: str) -> None:
    facts = {fact.entity: fact for fact in RELATIONS[name].facts()}
    task, labels = Facts(relations=(name,), cities=1600).load()
    for item, label in zip(task.items, labels, strict=True):
        assert isinstance(item, Example)
        _, entity, _, told = item.id.split("/", 3)
        fact = facts[entity]
        assert (told == fact.key) == bool(label)
        assert told not in fact.untold


def test_known_ambiguities_are_left_out() -> None:
    facts = {fact.subject: fact for fact in city_country()}
    assert not {"Mexico City", "Singapore", "Hong Kong", "Taipei", "Jerusalem", "Sevastopol", "Hyderabad"} & set(facts)
    assert facts["London"].key == "GB"  # its largest namesake abroad is twenty times smaller ...
    assert "CA" in facts["London"].untold  # ... and never stated
    assert "GE" in facts["Atlanta"].untold
    assert not {"Russia", "Turkey", "Egypt"} & {fact.subject for fact in continent()}


def test_no_border_is_told_from_both_sides() -> None:
    pairs = [frozenset((fact.entity.partition(":")[2], fact.key)) for fact in neighbour()]
    assert len(pairs) == len(set(pairs)) > 100


def test_no_subject_gives_its_object_away(everything: Loaded) -> None:
    for name, relation in RELATIONS.items():
        if name != "neighbour":
            assert not [fact for fact in relation.facts() if alike(fact.subject, fact.object)], name
    assert alike("Mexico City", "Mexico")
    assert alike("Tunis", "Tunisia")
    assert not alike("Toulouse", "France")


def test_a_capital_is_grouped_with_its_country() -> None:
    task, _ = Facts(relations=("city-country", "capital"), cities=200).load()
    groups = {item.prompt: item.group for item in task.items}
    assert groups["The city of Paris is in France."] == groups["The capital of France is Paris."]
    parts = split(task, (1, 1, 1), seed=3)
    where = {task.items[i].prompt: part for part, index in enumerate(parts) for i in index}
    assert where["The city of Paris is in France."] == where["The capital of France is Paris."]


def test_phrasings_repeat_the_same_statement_in_one_group(everything: Loaded) -> None:
    by_statement = defaultdict(list)
    for item in everything.task.items:
        relation, entity, _, told = item.id.split("/", 3)
        by_statement[relation, entity, told].append(item)
    for items in by_statement.values():
        assert len({item.prompt for item in items}) == 3
        assert len({item.group for item in items}) == 1
        assert sorted(int(item.tags["phrasing"]) for item in items) == [0, 1, 2]
    assert all(item.prompt[0].isupper() or item.prompt[0] == "+" for item in everything.task.items)


def test_tags_say_how_hard_it_is() -> None:
    task, _ = Facts(first_rank=2000, cities=50).load()
    ranks = [int(item.tags["rank"]) for item in task.items]
    sizes = [int(item.tags["population"]) for item in task.items]
    assert min(ranks) == 2001
    assert max(ranks) == 2050
    assert sizes == sorted(sizes, reverse=True)


def test_pairs_hold_the_true_statement_where_gold_says() -> None:
    points, labels = Facts(cities=100).load()
    true = {item.prompt for item, label in zip(points.items, labels, strict=True) if label}
    task, preferred = Facts(cities=100, pairs=True).load()
    assert task.pairwise
    for item, label in zip(task.items, preferred, strict=True):
        assert isinstance(item, Comparison)
        assert item.responses[label] in true
        assert item.responses[1 - label] not in true


@settings(max_examples=10, deadline=None)
@given(seed=st.integers(0, 1 << 30), cities=st.integers(30, 200))
def test_dealing_is_a_permutation_for_any_seed(seed: int, cities: int) -> None:
    source = Facts(seed=seed, cities=cities)
    task, labels = source.load()
    assert source.load().task == task
    objects = [object_of(item) for item in task.items if isinstance(item, Example)]
    true = Counter(told for told, label in zip(objects, labels, strict=True) if label)
    assert true == Counter(told for told, label in zip(objects, labels, strict=True) if not label)


def test_the_text_form_and_the_fingerprint() -> None:
    source = tasks.build("facts,relations=city-country+capital,phrasings=0+2,cities=40")
    assert isinstance(source, Facts)
    assert source.relations == ("city-country", "capital")
    assert source.phrasings == (0, 2)
    again = tasks.build(str(source))
    assert again == source
    assert tasks.build(source.spec()) == source
    assert source.fingerprint() == again.fingerprint() != Facts().fingerprint()
    assert {int(item.tags["phrasing"]) for item in source.load().task.items} == {0, 2}


@pytest.mark.parametrize(
    ("spec", "hint"),
    [
        ("facts,relations=capitol", "did you mean 'capital'"),
        ("facts,citys=3", "did you mean 'cities'"),
        ("facts,relations=capital+capital", "different relations"),
        ("facts,phrasings=0+0", "different indices"),
        ("facts,phrasings=x", "phrasings"),
    ],
)
def test_wrong_settings_are_named(spec: str, hint: str) -> None:
    with pytest.raises(ConfigError, match=hint):
        tasks.build(spec)


def test_too_little_is_refused() -> None:
    with pytest.raises(ConfigError, match="has 3 phrasings"):
        Facts(relations=("capital",), phrasings=4).load()
    with pytest.raises(DataError, match="groups of related rows"):
        Facts(cities=11).load()
    with pytest.raises(DataError, match="no false objects"):
        Facts(cities=3).load()
