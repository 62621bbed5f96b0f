"""Which columns are taken for what, and how a row's values become an item and its label."""

from __future__ import annotations

import csv
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest

from superalign.errors import ConfigError, DataError
from superalign.task import Comparison, Example, Item, Loaded, tasks
from superalign.tasks._convert import Converter
from superalign.tasks._recognise import recognise
from superalign.tasks.file import File

Write = Callable[..., Path]
N = 40


def user(text: str) -> dict[str, str]:
    return {"role": "user", "content": text}


def assistant(text: str) -> dict[str, str]:
    return {"role": "assistant", "content": text}


def load(write: Write, row: Callable[[int], Mapping[str, Any]], **columns: Any) -> Loaded:
    return File(path=write("rows.jsonl", [row(n) for n in range(N)]), **columns).load()


def first(loaded: Loaded) -> Example:
    item = loaded.task.items[0]
    assert isinstance(item, Example)
    return item


def convert(row: Mapping[str, Any]) -> tuple[Item, int | str]:
    """Return the item of a row whose columns are recognised, and its label as found."""
    layout = recognise([row], File(path=Path("rows.jsonl")), "rows.jsonl")
    (draft,) = Converter(layout, seed=0).drafts(row, "rows.jsonl:1", None, "")
    return draft.item, draft.label


@pytest.mark.parametrize(
    ("row", "prompt", "response"),
    [
        ({"text": "T", "label": 0}, "T", None),
        ({"Text": "T", "Label": 0}, "T", None),
        ({"statement": "T", "label": 0}, "T", None),
        ({"sentence": "T", "target": 0}, "T", None),
        ({"content": "T", "class": 0}, "T", None),
        ({"question": "T", "answer": False}, "T", None),
        ({"question": "T", "label": 0, "rationale": "because"}, "T", None),
        ({"prompt": "T", "completion": "R", "label": 0}, "T", "R"),
        ({"question": "T", "answer": "R", "is_correct": 0}, "T", "R"),
        ({"instruction": "T", "output": "R", "label": 0}, "T", "R"),
        ({"passage": "P", "question": "T", "title": "X", "label": 0}, "P\nT", None),
        ({"premise": "P", "hypothesis": "T", "label": 0}, "P\nT", None),
        ({"messages": [user("T")], "label": 0}, "T", None),
        ({"messages": [user("T"), assistant("R")], "label": 0}, "T", "R"),
        ({"prompt": [user("T")], "completion": [assistant("R")], "label": 0}, "T", "R"),
        ({"prompt": "T", "messages": [user("T"), assistant("R")], "label": 0}, "T", "R"),
        (
            {"prompt": [user("a"), assistant("b"), user("c")], "completion": [assistant("R")], "label": 0},
            "Human: a\n\nAssistant: b\n\nHuman: c",
            "R",
        ),
        (
            {"messages": [user("a"), assistant("b"), user("c"), assistant("R")], "label": 0},
            "Human: a\n\nAssistant: b\n\nHuman: c",
            "R",
        ),
        ({"messages": [{"from": "human", "value": "T"}, {"from": "gpt", "value": "R"}], "label": 0}, "T", "R"),
    ],
)
def test_texts_are_recognised(row: dict[str, Any], prompt: str, response: str | None) -> None:
    item, label = convert(row)
    assert isinstance(item, Example)
    assert (item.prompt, item.response) == (prompt, response)
    assert label in (0, "false")


@pytest.mark.parametrize(
    ("row", "expected"),
    [
        ({"prompt": "Q", "chosen": "good", "rejected": "bad"}, ("Q", "good", "bad")),
        ({"prompt": "Q", "chosen": [assistant("good")], "rejected": [assistant("bad")]}, ("Q", "good", "bad")),
        ({"prompt": [user("Q")], "chosen": [assistant("good")], "rejected": [assistant("bad")]}, ("Q", "good", "bad")),
        (
            {
                "prompt": [user("a"), assistant("b"), user("c")],
                "chosen": [assistant("good")],
                "rejected": [assistant("bad")],
                "margin": 0.5,
            },
            ("Human: a\n\nAssistant: b\n\nHuman: c", "good", "bad"),
        ),
        (
            {
                "chosen": [user("a"), assistant("b"), user("c"), assistant("good")],
                "rejected": [user("a"), assistant("b"), user("c"), assistant("bad")],
            },
            ("Human: a\n\nAssistant: b\n\nHuman: c", "good", "bad"),
        ),
        ({"chosen": [user("Q"), assistant("good")], "rejected": [user("Q"), assistant("bad")]}, ("Q", "good", "bad")),
        (
            {"prompt": "Q", "chosen": [user("Q"), assistant("good")], "rejected": [user("Q"), assistant("bad")]},
            ("Q", "good", "bad"),
        ),
        (
            {
                "chosen": "\n\nHuman: Why so?\n\nAssistant: good",
                "rejected": "\n\nHuman: Why so?\n\nAssistant: bad",
            },
            ("Why so?", "good", "bad"),
        ),
        (
            {
                "chosen": "\n\nHuman: a\n\nAssistant: b\n\nHuman: c\n\nAssistant: good",
                "rejected": "\n\nHuman: a\n\nAssistant: b\n\nHuman: c\n\nAssistant: bad",
            },
            ("Human: a\n\nAssistant: b\n\nHuman: c", "good", "bad"),
        ),
        ({"prompt": "Q: ", "chosen": "Q: good", "rejected": "Q: bad"}, ("Q:", "good", "bad")),
        ({"chosen": "one\ngood", "rejected": "one\nbad"}, ("one", "good", "bad")),
        ({"chosen": "The sky is blue.", "rejected": "The sky is red."}, ("", "The sky is blue.", "The sky is red.")),
        ({"better": "good", "worse": "bad"}, ("", "good", "bad")),
        ({"question": "Q", "matching": " (A)", "not_matching": " (B)"}, ("Q", " (A)", " (B)")),
        ({"question": "Q", "best": "good", "incorrect": ["bad", "bad"]}, ("Q", "good", "bad")),
        ({"instruction": "I", "input": "Q", "response1": "bad", "response2": "good", "annotators": [2, 2, 1]},
         ("I\nQ", "good", "bad")),
        ({"instruction": "I", "input": "", "response1": "good", "response2": "bad", "annotators": [1, 0, 2, 1]},
         ("I", "good", "bad")),
        ({"prompt": "Q", "response_a": "good", "response_b": "bad", "winner": "model_a"}, ("Q", "good", "bad")),
        ({"prompt": "Q", "response_0": "bad", "response_1": "good", "better_response_id": 1}, ("Q", "good", "bad")),
    ],
)  # fmt: skip
def test_pairs_are_recognised(row: dict[str, Any], expected: tuple[str, str, str]) -> None:
    item, label = convert(row)
    assert isinstance(item, Comparison)
    assert isinstance(label, int)
    assert (item.prompt, item.responses[label], item.responses[1 - label]) == expected


def test_the_order_of_a_pair_is_drawn(jsonl: Write) -> None:
    rows = [{"prompt": f"{n}", "chosen": f"good {n}", "rejected": f"bad {n}"} for n in range(400)]
    task, labels = File(path=jsonl("rows.jsonl", rows)).load()
    assert 0.4 < labels.mean() < 0.6
    swapped = [{"prompt": r["prompt"], "chosen": r["rejected"], "rejected": r["chosen"]} for r in rows]
    other, flipped = File(path=jsonl("swapped.jsonl", swapped)).load()
    responses = [item.responses for item in task.items if isinstance(item, Comparison)]
    assert responses == [item.responses for item in other.items if isinstance(item, Comparison)]
    assert (labels == 1 - flipped).all()  # where a response stands does not depend on which is preferred


@pytest.mark.parametrize(
    "row",
    [
        {"input": "Q", "choices": ["w", "x", "R", "y"], "target": "C"},
        {"input": "Q", "choices": ["w", "x", "R", "y"], "target": "R"},
        {"input": "Q", "choices": ["w", "x", "R", "y"], "target": ["(C)"]},
        {"question": "Q", "choices": ["w", "x", "R", "y"], "answer": 2},
        {"question": "Q", "options": ["w", "x", "R", "y"], "label": "2"},
        {"question": "Q", "choices": {"text": ["w", "x", "R"], "label": ["1", "2", "3"]}, "answerKey": "3"},
    ],
)
def test_choices_become_the_right_one_and_a_wrong_one(jsonl: Write, row: dict[str, Any]) -> None:
    question = next(iter(row))
    loaded = load(jsonl, lambda n: {**row, question: f"Q{n}"})
    assert loaded.task.classes == ("wrong", "right")
    assert len(loaded.task.items) == 2 * N
    by_group: dict[str, list[tuple[str | None, int]]] = {}
    for item, label in zip(loaded.task.items, loaded.labels, strict=True):
        assert isinstance(item, Example)
        by_group.setdefault(item.group, []).append((item.response, int(label)))
    assert all(sorted(label for _, label in pair) == [0, 1] for pair in by_group.values())
    assert {response for pair in by_group.values() for response, label in pair if label} == {"R"}
    wrong = {response for pair in by_group.values() for response, label in pair if not label}
    assert len(wrong) > 1
    assert "R" not in wrong
    choices = [int(item.id.rpartition("/")[2]) for item in loaded.task.items]
    assert all(
        a < b for a, b in zip(choices[::2], choices[1::2], strict=True)
    )  # their order does not tell which is right


def test_several_columns_make_one_text_grouped_by_the_first(jsonl: Write) -> None:
    loaded = load(jsonl, lambda n: {"passage": f"P{n // 2}", "question": f"Q{n}", "label": n % 2})
    assert len(set(loaded.task.groups())) == N // 2
    named = load(jsonl, lambda n: {"a": f"A{n}", "b": "B", "c": n % 2}, text="a+b", label="c")
    assert first(named).prompt == "A0\nB"


@pytest.mark.parametrize("name", ["group", "qid", "question_id", "city", "entity"])
def test_groups_and_ids_are_recognised(jsonl: Write, name: str) -> None:
    loaded = load(jsonl, lambda n: {"text": f"t{n}", "label": n % 2, name: n // 2, "id": f"row{n}"})
    assert len(set(loaded.task.groups())) == N // 2
    assert [item.id for item in loaded.task.items] == [f"row{n}" for n in range(N)]


def test_ids_are_unique_and_stable(jsonl: Write) -> None:
    loaded = load(jsonl, lambda n: {"text": f"t{n}", "label": n % 2, "id": f"a#{n % 2 + 2}" if n % 3 else "a"})
    ids = [item.id for item in loaded.task.items]
    assert len(set(ids)) == N
    assert [item.id for item in load(jsonl, lambda n: {"text": f"t{n}", "label": n % 2}).task.items][:2] == [
        "rows.jsonl:1",
        "rows.jsonl:2",
    ]


def test_blocks_of_rows_are_groups(jsonl: Write) -> None:
    loaded = load(jsonl, lambda n: {"text": f"t{n}", "label": n % 2}, block=2)
    groups = loaded.task.groups()
    assert len(set(groups)) == N // 2
    assert all(groups[n] == groups[n + 1] for n in range(0, N, 2))


def test_tags_are_kept(jsonl: Write) -> None:
    def row(n: int) -> dict[str, Any]:
        other = {"population": n // 2, "topic": "x", "notes": "free", "hops": n // 2}
        return {"text": f"t{n}", "label": n % 2, "valence": n % 2 * 2 - 1.0, **other}

    assert first(load(jsonl, row)).tags == {"population": 0, "topic": "x", "valence_strength": 1.0}
    named = load(jsonl, row, difficulty="hops+valence")
    assert first(named).tags == {"hops": 0, "valence": -1.0, "population": 0, "topic": "x"}
    assert any("'valence' gives the label away; it is kept" in warning for warning in named.task.warnings)


def test_a_tag_that_holds_the_label_is_left_out(jsonl: Write) -> None:
    loaded = load(jsonl, lambda n: {"text": f"t{n}", "label": n % 2, "type": "ab"[n % 2], "rank": n + 100 * (n % 2)})
    assert first(loaded).tags == {}
    assert loaded.task.warnings == (
        "tag 'rank' gives the label away and was left out",
        "tag 'type' gives the label away and was left out",
    )


@pytest.mark.parametrize(
    ("values", "classes", "labels"),
    [
        ([0, 1], ("0", "1"), [0, 1]),
        (["1", "0"], ("0", "1"), [1, 0]),
        ([1.0, 0.0], ("0", "1"), [1, 0]),
        ([True, False], ("false", "true"), [1, 0]),
        (["True", "false"], ("false", "true"), [1, 0]),
        (["YES", "no"], ("no", "yes"), [1, 0]),
        (["spam", " ham "], ("ham", "spam"), [1, 0]),
        ([-1, 1], ("-1", "1"), [0, 1]),
        ([10, 9, 2], ("2", "9", "10"), [2, 1, 0]),
        ([["b"], ["a"]], ("a", "b"), [1, 0]),
    ],
)
def test_labels_of_many_spellings(jsonl: Write, values: list[Any], classes: tuple[str, ...], labels: list[int]) -> None:
    loaded = load(jsonl, lambda n: {"text": f"t{n}", "label": values[n % len(values)]})
    assert loaded.task.classes == classes
    assert loaded.labels[: len(values)].tolist() == labels


def test_classes_are_named_and_ordered(jsonl: Write) -> None:
    words = load(jsonl, lambda n: {"text": f"t{n}", "label": ["ham", "spam"][n % 2]}, classes="spam+ham")
    assert words.task.classes == ("spam", "ham")
    assert words.labels[:2].tolist() == [1, 0]
    numbers = load(jsonl, lambda n: {"text": f"t{n}", "label": n % 2}, classes="ham+spam")
    assert numbers.task.classes == ("ham", "spam")
    assert numbers.labels[:2].tolist() == [0, 1]


@pytest.mark.parametrize(
    ("row", "said"),
    [
        ({"a": "x", "label": 0}, "no column is recognised as the text\n.*columns found: a, label\n.*text=COLUMN"),
        ({"text": "x", "a": 0}, "no column is recognised as the label\n.*columns found: text, a\n.*label=COLUMN"),
        ({"sentence": "x", "review": "y", "label": 0}, r"several columns could be the text: sentence, review"),
        ({"text": "x", "target": 0, "class": 0}, "several columns could be the label: target, class"),
    ],
)
def test_what_cannot_be_told_is_asked(jsonl: Write, row: dict[str, Any], said: str) -> None:
    with pytest.raises(DataError, match=f"(?s){said}"):
        load(jsonl, lambda n: row)


def test_free_text_and_measurements_are_no_classes(jsonl: Write) -> None:
    with pytest.raises(DataError, match="recognised as the label"):
        load(jsonl, lambda n: {"question": f"q{n}", "answer": f"because {n}"})
    with pytest.raises(DataError, match="holds 40 different labels in 40 rows"):
        load(jsonl, lambda n: {"text": f"t{n}", "label": f"because {n}"})
    with pytest.raises(DataError, match=r"'label' is not a class: 0\.5"):
        load(jsonl, lambda n: {"text": f"t{n}", "label": n + 0.5})


@pytest.mark.parametrize("setting", ["text", "label", "group", "id", "part", "response", "difficulty"])
def test_a_misspelt_column_has_a_nearest_name(jsonl: Write, setting: str) -> None:
    columns = {"prompt": "t"} if setting == "response" else {}
    with pytest.raises(DataError, match=r"(?s)no column 'statment'.*did you mean 'statement'"):
        load(jsonl, lambda n: {"statement": f"t{n}", "label": n % 2, "t": "x"}, **{setting: "statment"}, **columns)


@pytest.mark.parametrize(
    ("parameters", "said"),
    [
        ("text=a,prompt=b", "'text' stands alone"),
        ("responses=a", "takes two columns, not 1"),
        ("chosen=a,choices=b", "different kinds of task"),
        ("classes=a", "two or more different names"),
        ("group=a,block=2", "'block' and 'group'"),
        ("lable=a", "did you mean 'label'"),
        ("limit=0", "limit"),
        ("max_bad=2", "max_bad"),
    ],
)
def test_settings_that_contradict_are_named(parameters: str, said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        tasks.build(f"file:a.csv,{parameters}")


def test_csv_columns_are_recognised_too(tmp_path: Path) -> None:
    with (tmp_path / "a.csv").open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(("Question ID", "Question", "Label", "Population"))
        writer.writerows((n // 2, f"is it {n}?", ["no", "yes"][n % 2], 100 * (n // 2)) for n in range(N))
    task, labels = File(path=tmp_path / "a.csv").load()
    assert task.classes == ("no", "yes")
    assert task.items[3] == Example("a.csv:5", "is it 3?", None, "1", {"Population": 100})
    assert labels.tolist() == [0, 1] * (N // 2)


@pytest.mark.parametrize("turned", [False, True])
def test_what_each_annotator_said_is_a_tag_in_the_order_of_the_comparison(turned: bool) -> None:
    texts = ("bad", "good") if turned else ("good", "bad")
    said = [2, 2, 0, 1] if turned else [1, 1, 0, 2]
    row = {"instruction": "I", "input": "Q", "response1": texts[0], "response2": texts[1], "annotators": said}
    item, label = convert(row)
    assert isinstance(item, Comparison)
    names = ("first", "second")
    good = names[item.responses.index("good")]
    bad = names[item.responses.index("bad")]
    assert [item.tags[f"annotator_{place}"] for place in (1, 2, 3, 4)] == [good, good, "tie", bad]
    assert names[int(label)] == good


def test_a_single_judgement_is_no_tag() -> None:
    item, _ = convert({"prompt": "Q", "response_a": "good", "response_b": "bad", "winner": "model_a"})
    assert not item.tags
