"""Settings and registries: text forms, nearest names, one plug-in a file."""

from __future__ import annotations

import inspect
from typing import Annotated, ClassVar

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from superalign.config import Component, canonical, digest, parse_spec
from superalign.errors import ConfigError, SuperalignError, did_you_mean
from superalign.listing import registries
from superalign.registry import Registry, chosen
from superalign.runs import build_study, describe
from superalign.studies.weak_to_strong import WeakToStrong

BASE = {"weak": "embedded:vader", "strong": "embedded:minilm"}


class Fruit(Component):
    argument: ClassVar[str | None] = "sort"
    sort: str = "plain"
    weight: float = 1.0
    seeds: tuple[int, ...] = (1, 2)


fruits: Registry[Fruit] = Registry("fruit", "superalign.errors", Fruit)
fruits.register("apple", "apfel")(Fruit)


class Basket(Component):
    argument: ClassVar[str | None] = "content"
    content: str
    fruit: Annotated[Fruit, *chosen(fruits)] = Fruit()
    others: tuple[Annotated[Fruit, *chosen(fruits)], ...] = ()


baskets: Registry[Basket] = Registry("basket", "superalign.errors", Basket)
baskets.register("basket")(Basket)


paths = st.text(st.characters(blacklist_characters="=,", blacklist_categories=("Cs", "Cc")), min_size=1).filter(
    lambda s: s.strip() == s
)


@given(paths, st.floats(0.1, 100), st.lists(st.integers(0, 9), min_size=1).map(tuple))
def test_text_form_and_back(sort, weight, seeds):
    fruit = Fruit(sort=sort, weight=weight, seeds=seeds)
    assert fruits.build(str(fruit)) == fruit
    assert fruits.build(fruit.spec()) == fruit


@pytest.mark.parametrize(
    ("basket", "text"),
    [
        (Basket(content="gift", fruit="apple:red"), "basket:gift,fruit=apple:red"),
        (Basket(content="gift", others=("apple:red", "apple")), "basket:gift,others=apple:red+apple:plain"),
        (Basket(content="gift", fruit="apple:red,weight=2"), "basket:gift,fruit=(apple:red,weight=2.0)"),
        (
            Basket(content="gift", others=("apple:red,weight=2", "apple")),
            "basket:gift,others=(apple:red,weight=2.0)+apple:plain",
        ),
    ],
)
def test_a_part_inside_another_is_written_in_its_own_text_form(basket: Basket, text: str) -> None:
    assert str(basket) == text
    assert baskets.build(text) == basket


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("naive", ("naive", None, {})),
        ("hf:./a,b/c=d", ("hf", "./a,b/c=d", {})),
        ("hf:./m,layer=6, pooling=mean", ("hf", "./m", {"layer": "6", "pooling": "mean"})),
        ("file:C:/x.csv,text=a", ("file", "C:/x.csv", {"text": "a"})),
        ("(apple:red, weight=2)", ("apple", "red", {"weight": "2"})),
        ("basket,fruit=(apple,weight=2),n=1", ("basket", None, {"fruit": "(apple,weight=2)", "n": "1"})),
        ("file:a(1).csv,text=(b", ("file", "a(1).csv", {"text": "(b"})),
        ("(a)+(b),c=1", ("(a)+(b)", None, {"c": "1"})),
    ],
)
def test_parse_spec(text, expected):
    assert parse_spec(text) == expected


@given(st.text())
def test_parse_spec_never_breaks(text):
    name, _, _ = parse_spec(text)
    assert isinstance(name, str)


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        ("aple", "did you mean 'apple'"),
        ("apple,wieght=2", "did you mean 'weight'"),
        ("apple,weight=heavy", "setting 'weight' of apple"),
        ({"weight": 1}, "must be a name or a mapping with the key 'name'"),
        (7, "must be a name"),
    ],
)
def test_mistakes_are_named_with_the_nearest_valid_name(spec, message):
    with pytest.raises(ConfigError) as caught:
        fruits.build(spec)
    assert message in str(caught.value)


@pytest.mark.parametrize(
    ("data", "where"),
    [
        ({"content": "x", "fruit": "apple,wieght=2"}, "shop.yaml, key 'fruit': apple,wieght=2"),
        ({"content": "x", "fruit": {"name": "apple", "wieght": 2}}, "shop.yaml, key 'fruit'"),
        ({"content": "x", "others": ["apple", {"name": "apple", "weight": "x"}]}, "shop.yaml, key 'others'"),
        ({"content": "x", "fruit": "aple"}, "shop.yaml, key 'fruit'"),
        ({"content": "x", "furit": "apple"}, "shop.yaml"),
    ],
)
def test_a_mistake_inside_a_part_is_found_in_the_file(data, where):
    with pytest.raises(ConfigError) as caught:
        Basket.parse(data, "shop.yaml")
    assert caught.value.where == where


def test_a_missing_argument_is_shown_in_its_place():
    with pytest.raises(ConfigError) as caught:
        Basket.parse({})
    assert (caught.value.what, caught.value.fix) == ("basket needs the setting 'content'", "write basket:CONTENT")


@pytest.mark.parametrize(
    ("kind", "written", "meant"),
    [
        ("models", "minilm", "embedded:minilm"),
        ("models", "smolm2,layer=3", "embedded:smollm2"),
        ("models", "hff", "hf"),
        ("tasks", "films.csv", "file:films.csv"),
        ("tasks", "./films.jsonl", "file:./films.jsonl"),
        ("tasks", "fatcs", "facts"),
    ],
)
def test_an_argument_without_its_component_is_understood(kind, written, meant):
    with pytest.raises(ConfigError) as caught:
        registries()[kind].build(written)
    assert caught.value.fix == f"did you mean '{meant}'?"


def test_a_folder_is_offered_to_the_component_that_reads_it(tmp_path, tiny):
    for kind, folder in (("tasks", tmp_path), ("models", tiny("bert"))):
        with pytest.raises(ConfigError) as caught:
            registries()[kind].build(str(folder))
        assert caught.value.fix == f"did you mean 'hf:{folder}'?"


def test_an_alias_builds_the_same():
    assert fruits.build("apfel,weight=2") == fruits.build("apple,weight=2")


def test_a_name_is_given_once():
    class Other(Fruit):
        pass

    with pytest.raises(ValueError, match="already"):
        fruits.register("apple")(Other)


def test_components_are_frozen():
    with pytest.raises(Exception, match="frozen"):
        Fruit().weight = 3


def test_nan_cannot_be_hashed_and_key_order_does_not_matter():
    assert digest({"a": 1, "b": 2}) == digest({"b": 2, "a": 1})
    with pytest.raises(ValueError, match="JSON"):
        canonical(float("nan"))


def test_far_names_list_what_there_is():
    assert did_you_mean("zzz", ["naive", "logconf"]) == "one of: logconf, naive"


ALL = [(kind, name) for kind, registry in registries().items() for name in registry.names()]


@pytest.mark.parametrize(("kind", "name"), ALL, ids=lambda value: str(value))
class TestEveryPlugIn:
    def test_is_documented(self, kind, name):
        cls = registries()[kind].get(name)
        assert inspect.getdoc(cls)
        for field, info in cls.model_fields.items():
            assert info.description, f"{kind} {name}: field '{field}' has no docstring"

    def test_its_defaults_survive_the_trip_through_yaml(self, kind, name):
        cls = registries()[kind].get(name)
        if any(field.is_required() for field in cls.model_fields.values()):
            needed = {
                "embedded": "minilm",
                "hf": "some/folder",
                "openai": "name,url=http://localhost:8000/v1",
                "llamacpp": "model.gguf",
                "file": "data.csv",
                "goals": "goals.csv",
                "human": "queue.jsonl",
                "public": "boolq",
                "pairs": "facts",
                "taught": "on=facts",
            }[name]
            component = registries()[kind].build(f"{name},{needed}" if name == "taught" else f"{name}:{needed}")
        else:
            component = cls()
        assert registries()[kind].build(yaml.safe_load(yaml.safe_dump(component.spec()))) == component


def test_study_config_and_back():
    study = WeakToStrong(methods=("naive", "logconf,alpha=0.75"), task="facts,cities=200", fit="probe,l2=0.1+1")
    again = build_study(yaml.safe_load(yaml.safe_dump(describe(study))))
    assert again == study
    assert study.fit.l2 == (0.1, 1.0)
    assert study.methods[1].alpha == 0.75


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"sedes": 3}, "did you mean 'seeds'"),
        ({"seeds": 0}, "greater than or equal to 1"),
        ({"methods": ["naive", "logconff"]}, "did you mean 'logconf'"),
        ({"methods": ["naive", "naive"]}, "given twice"),
        ({"methods": []}, "at least 1"),
        ({"shares": [1, 0, 1]}, "every part needs a share"),
        ({"task": "fcats"}, "did you mean 'facts'"),
        ({"weak": "embeded:minilm"}, "did you mean 'embedded'"),
        ({"weak": "embedded:minilmm"}, "did you mean 'minilm'"),
        ({"fit": "prob"}, "did you mean 'probe'"),
    ],
)
def test_mistakes_in_a_study(settings, message):
    with pytest.raises(SuperalignError) as caught:
        build_study({"study": "weak-to-strong", **settings})
    assert message in str(caught.value)
