"""A file becomes a task: parts, quarantine, limits, degenerate data."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, reject, settings
from hypothesis import strategies as st

from superalign.errors import DataError
from superalign.task import PARTS, Comparison, Task, split, tasks
from superalign.tasks import _rows
from superalign.tasks.file import File

Write = Callable[..., Path]
Rows = list[dict[str, Any]]
SAME_FOLDER = settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
BAD: list[tuple[dict[str, Any] | str, str]] = [
    ({"label": 1}, "'text' is missing"),
    ({"text": None, "label": 1}, "'text' is missing"),
    ({"text": " \n", "label": 1}, "'text' is empty"),
    ({"text": 7, "label": 1}, "'text' is not a text but int"),
    ({"text": "lone \ud83d", "label": 1}, "'text' is not valid UTF-8"),
    ({"text": "no label"}, "'label' is missing"),
    ({"text": "NaN", "label": float("nan")}, "'label' is missing"),
    ({"text": "half", "label": 0.5}, "'label' is not a class: 0.5"),
    ({"text": "word", "label": "maybe"}, "'label' is 'maybe' where the other labels are numbers"),
    ({"text": "list", "label": [0, 1]}, "'label' is not a class: [0, 1]"),
    ("{broken", "invalid JSON: Expecting property name enclosed in double quotes: line 1 column 2 (char 1)"),
    ("[1]", "not a JSON object but list"),
]


def good(n: int, start: int = 0) -> Rows:
    return [{"text": f"text {i}", "label": i % 2} for i in range(start, start + n)]


@SAME_FOLDER
@given(places=st.lists(st.tuples(st.integers(0, 300), st.sampled_from(BAD)), max_size=14))
def test_bad_rows_are_quarantined_with_line_and_reason(
    places: list[tuple[int, tuple[dict[str, Any] | str, str]]], tmp_path: Path
) -> None:
    rows: list[dict[str, Any] | str] = [*good(300)]
    for place, (row, _) in sorted(places, key=lambda p: -p[0]):
        rows.insert(place, row)
    reasons = {id(row): reason for row, reason in BAD}
    expected = {f"a.jsonl:{n}": reasons[id(row)] for n, row in enumerate(rows, 1) if id(row) in reasons}
    path = tmp_path / "a.jsonl"
    path.write_text("\n".join(row if isinstance(row, str) else json.dumps(row) for row in rows))
    task, labels = File(path=path).load()
    assert {row.where: row.reason for row in task.dropped} == expected
    assert [item.prompt for item in task.items] == [row["text"] for row in good(300)]
    assert labels.tolist() == [0, 1] * 150


def test_five_percent_of_bad_rows_stop_the_run(jsonl: Write) -> None:
    path = jsonl("a.jsonl", good(96) + [{"text": ""}] * 4)
    assert len(File(path=path).load().task.dropped) == 4
    path = jsonl("a.jsonl", good(95) + [{"text": ""}] * 5)
    with pytest.raises(DataError) as caught:
        File(path=path).load()
    assert "5 of 100 rows (5.0%) cannot be used" in str(caught.value)
    assert "a.jsonl:96: 'text' is empty; a.jsonl:97: 'text' is empty; a.jsonl:98: 'text' is empty" in str(caught.value)
    assert len(File(path=path, max_bad=0.1).load().task.dropped) == 5


def test_hopeless_data_is_not_read_to_its_end(jsonl: Write, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_rows, "HOPELESS", 20)
    path = jsonl("a.jsonl", good(10) + [{"text": ""}] * 500)
    with pytest.raises(DataError, match=r"20 of 30 rows \(66.7%\)"):
        File(path=path).load()


def test_rows_outside_the_classes_are_quarantined(jsonl: Write) -> None:
    rows = [{"text": f"t{n}", "label": "abc"[n % 2] if n else "c"} for n in range(60)]
    task, _ = File(path=jsonl("a.jsonl", rows), classes=("a", "b")).load()
    assert [(row.where, row.reason) for row in task.dropped] == [
        ("a.jsonl:1", "'label' is 'c', not one of the classes")
    ]
    free = File(path=jsonl("a.jsonl", rows)).load().task
    assert free.classes == ("a", "b", "c")
    assert free.warnings == ("rare classes: 'c' (1)",)


def test_hostile_strings_are_plain_data(jsonl: Write) -> None:
    texts = [
        "<script>alert(1)</script>",
        "\x1b[31mred",
        "../../etc",
        "'; DROP TABLE",
        "a\x00b",
        "{s}",
        "%s",
        "x\u202ey",
    ]
    hostile = [f"{text} {n}" for n in range(4) for text in texts]
    rows = [{"text": t, "label": n // 2 % 2, "group": t, "id": t, "topic": t} for n, t in enumerate(hostile)]
    task, _ = File(path=jsonl("a.jsonl", rows)).load()
    assert [item.prompt for item in task.items] == hostile
    assert all(item.group.isprintable() and item.id.isprintable() for item in task.items)
    assert len(set(task.groups())) == len(hostile)
    assert Task.from_meta(json.loads(json.dumps(task.to_meta()))) == task


def test_repeated_and_contradicting_rows(jsonl: Write) -> None:
    rows = [*good(30), {"text": "text 0", "label": 0}, {"text": "text 1", "label": 0}, {"text": "text 0", "label": 0}]
    task, _ = File(path=jsonl("a.jsonl", rows)).load()
    assert [(row.where, row.reason) for row in task.dropped] == [
        ("a.jsonl:2", "same text as a.jsonl:32, different labels"),
        ("a.jsonl:31", "same text as a.jsonl:1"),
        ("a.jsonl:32", "same text as a.jsonl:2, different labels"),
        ("a.jsonl:33", "same text as a.jsonl:1"),
    ]
    assert task.warnings == (
        "repeated rows left out (one of each kept): 2",
        "rows left out for having the same text as another but a different label: 2",
    )
    assert not {"text 1"} & {item.prompt for item in task.items}


def test_repeated_and_contradicting_pairs(jsonl: Write) -> None:
    rows = [{"prompt": f"p{n}", "chosen": "a", "rejected": "b"} for n in range(20)]
    rows += [{"prompt": "p0", "chosen": "a", "rejected": "b"}, {"prompt": "p1", "chosen": "b", "rejected": "a"}]
    rows += [{"prompt": "p2", "chosen": "a", "rejected": "a"}]
    path = jsonl("a.jsonl", rows)
    task, _ = File(path=path, max_bad=0.1).load()
    assert Counter(row.reason.split(" a.jsonl")[0] for row in task.dropped) == {
        "the two responses are identical": 1,
        "same text as": 3,
    }
    assert len(task.items) == 19


def test_pairs_that_share_a_response_share_a_group(jsonl: Write) -> None:
    chain = [{"better": f"step {n}", "worse": f"step {n + 1}"} for n in range(5)]
    alone = [{"better": f"good {n}", "worse": f"bad {n}"} for n in range(20)]
    task, _ = File(path=jsonl("a.jsonl", [*chain, *alone])).load()
    groups = task.groups()
    assert len(set(groups[:5])) == 1
    assert len(set(groups)) == 21


@pytest.mark.parametrize(
    ("rows", "said"),
    [
        ([], "there is no row|empty"),
        ([{"text": f"t{n}", "label": 1} for n in range(50)], "only one class"),
        ([{"text": f"t{n}", "label": int(n == 0)} for n in range(50)], "two classes with at least 6 .*'0' 49, '1' 1"),
        (good(11), "only 11 rows can be used; at least 12"),
        ([{**row, "group": "g"} for row in good(50)], "50 rows form 1 group of related rows"),
        (
            [{**row, "part": ["supervise", "transfer"][n % 2]} for n, row in enumerate(good(50))],
            "left for the test part",
        ),
        (
            [
                {**row, "part": "supervise" if n % 2 else ["transfer", "test"][n // 2 % 2]}
                for n, row in enumerate(good(80))
            ],
            "part has only one class",
        ),
    ],
)
def test_degenerate_data_is_refused(jsonl: Write, rows: Rows, said: str) -> None:
    with pytest.raises(DataError, match=f"(?s){said}"):
        File(path=jsonl("a.jsonl", rows)).load()


def test_a_large_majority_is_remarked(jsonl: Write) -> None:
    rows = [{"text": f"t{n}", "label": int(n % 10 == 0)} for n in range(100)]
    assert File(path=jsonl("a.jsonl", rows)).load().task.warnings == (
        "class '0' holds 90% of the rows: to answer it always is that accurate",
    )
    even = File(path=jsonl("a.jsonl", rows), balance=True).load()
    assert even.labels.tolist().count(0) == even.labels.tolist().count(1) == 10
    assert even.task.warnings == ("balance left out 80 rows of the larger classes",)


def test_three_files_are_the_three_parts(jsonl: Write) -> None:
    train, transfer, test = (
        jsonl(f"{name}.jsonl", good(40, start)) for name, start in zip("abc", (0, 40, 80), strict=True)
    )
    task, _ = File(path=train, transfer=transfer, test=test).load()
    assert Counter(task.fixed_parts) == {"supervise": 40, "transfer": 40, "test": 40}
    assert [item.id for item in task.items[38:42]] == ["a.jsonl:39", "a.jsonl:40", "b.jsonl:1", "b.jsonl:2"]
    only_test, _ = File(path=train, test=test).load()
    assert Counter(only_test.fixed_parts) == {None: 40, "test": 40}
    assert [len(part) for part in split(only_test, (1, 1, 1), 0)] == [20, 20, 40]
    only_transfer, _ = File(path=train, transfer=transfer).load()
    parts = split(only_transfer, (1, 1, 1), 0)
    assert parts.transfer.tolist() == list(range(40, 80))
    assert len(parts.test) > 0 < len(parts.supervise)


def test_a_column_says_the_part(jsonl: Write) -> None:
    rows = [{**row, "part": [*PARTS, "train", "", None][n // 2 % 6]} for n, row in enumerate(good(120))]
    task, _ = File(path=jsonl("a.jsonl", rows)).load()
    assert Counter(task.fixed_parts) == {"supervise": 20, "transfer": 20, "test": 20, None: 60}
    bad = [{**row, "part": "dev"} for row in good(50)]
    with pytest.raises(DataError, match="'part' is 'dev', not one of supervise, transfer, test, train"):
        File(path=jsonl("a.jsonl", bad)).load()


def test_what_is_in_test_is_in_no_other_part(jsonl: Write) -> None:
    train = [*good(40), {"text": "TEXT  81", "label": 1}, {"text": "text 82", "label": 1}]
    paths = [jsonl("a.jsonl", train), jsonl("b.jsonl", good(41, 39)), jsonl("c.jsonl", good(40, 80))]
    task, _ = File(path=paths[0], transfer=paths[1], test=paths[2]).load()
    assert [(row.where, row.reason) for row in task.dropped] == [
        ("a.jsonl:40", "the same text is in the transfer part (b.jsonl:1)"),
        ("a.jsonl:41", "its group is also in the test part"),
        ("a.jsonl:42", "the same text is in the test part (c.jsonl:3)"),
    ]
    assert task.warnings == ("rows left out for having a text or group that is also in another part: 3",)


@SAME_FOLDER
@given(
    rows=st.lists(
        st.tuples(st.integers(0, 300), st.integers(0, 100), st.booleans(), st.sampled_from([*PARTS, None])),
        min_size=60,
        max_size=120,
    ),
    seed=st.integers(0, 9),
)
def test_no_text_and_no_group_crosses_parts(
    rows: list[tuple[int, int, bool, str | None]], seed: int, tmp_path: Path
) -> None:
    path = tmp_path / "a.jsonl"
    keys = ("text", "group", "label", "part")
    table = [dict(zip(keys, (f"text {text}", *rest), strict=True)) for text, *rest in rows]
    path.write_text("\n".join(map(json.dumps, table)))
    try:
        task, labels = File(path=path).load()
    except DataError:
        reject()  # too little is left; that it is said is tested above
    assert len(labels) == len(task.items)
    assert len(task.items) + len(task.dropped) == len(rows)
    parts = split(task, (1, 1, 1), seed)
    for kind in ("prompt", "group"):
        held = [{getattr(task.items[i], kind) for i in part} for part in parts]
        assert sum(map(len, held)) == len(set().union(*held))


def test_a_limit_keeps_whole_groups(jsonl: Write) -> None:
    path = jsonl("a.jsonl", [{**row, "group": n // 3} for n, row in enumerate(good(600))])
    task, _ = File(path=path, limit=100).load()
    sizes = Counter(task.groups())
    assert 90 < len(task.items) <= 100
    assert set(sizes.values()) == {3}
    assert File(path=path, limit=100).load().task == task
    assert File(path=path, limit=100, seed=1).load().task != task
    assert len(File(path=path, limit=10_000).load().task.items) == 600
    numbers = [int(item.prompt.removeprefix("text ")) for item in task.items]
    assert numbers == sorted(numbers)
    assert max(numbers) > 300
    scattered = jsonl("b.jsonl", [{**row, "group": n % 200} for n, row in enumerate(good(600))])
    for seed in range(8):
        assert set(Counter(File(path=scattered, limit=98, seed=seed).load().task.groups()).values()) == {3}


def test_the_fingerprint_follows_content_and_settings(jsonl: Write, tmp_path: Path) -> None:
    path = jsonl("a.jsonl", good(40))
    source = tasks.build(f"file:{path}")
    moved = tmp_path / "elsewhere" / "a.jsonl"
    moved.parent.mkdir()
    moved.write_bytes(path.read_bytes())
    prints = {
        source.fingerprint(),
        File(path=moved).fingerprint(),
        tasks.build(str(source)).fingerprint(),
        tasks.build(source.spec()).fingerprint(),
    }
    assert len(prints) == 1
    assert File(path=path, seed=1).fingerprint() not in prints
    assert File(path=path, test=jsonl("b.jsonl", good(20, 40))).fingerprint() not in prints
    jsonl("a.jsonl", good(41))
    assert source.fingerprint() not in prints


def test_the_same_file_twice_is_refused(jsonl: Write) -> None:
    path = jsonl("a.jsonl", good(40))
    with pytest.raises(DataError, match=r"'a\.jsonl' is given for two parts"):
        File(path=path, test=path).load()


def test_a_further_file_must_have_the_columns(jsonl: Write) -> None:
    other = jsonl("b.jsonl", [{"text": f"t{n}", "labels": n % 2} for n in range(20)])
    with pytest.raises(DataError, match=r"no column 'label'\n.*b.jsonl\n.*did you mean 'labels'"):
        File(path=jsonl("a.jsonl", good(40)), test=other).load()


def test_files_of_one_name_are_told_apart(jsonl: Write, tmp_path: Path) -> None:
    (tmp_path / "test").mkdir()
    other = jsonl("test/a.jsonl", good(40, 40))
    task, _ = File(path=jsonl("a.jsonl", good(40)), test=other).load()
    assert task.items[-1].id == "test/a.jsonl:40"
    assert len({item.id for item in task.items}) == 80


def test_many_classes_and_pairs_keep_their_kind(jsonl: Write) -> None:
    rows = [{"text": f"t{n}", "label": f"intent {n % 7}"} for n in range(140)]
    task, labels = File(path=jsonl("a.jsonl", rows)).load()
    assert task.classes == tuple(f"intent {n}" for n in range(7))
    assert labels.max() == 6
    pairs, _ = File(path=jsonl("b.jsonl", [{"chosen": f"a{n}", "rejected": f"b{n}"} for n in range(20)])).load()
    assert pairs.pairwise
    assert isinstance(pairs.items[0], Comparison)
