"""Data that is broken, binary, huge or degenerate: refused before any training, or gone around with file and line."""

from __future__ import annotations

import json
import os
import random
from collections.abc import Callable, Iterable
from pathlib import Path

import pytest

from faults import Shell, events

BROKEN = '{"text": "broken'
PICKLED = b"\x80\x04\x95\x06\x00\x00\x00\x00\x00\x00\x00]\x94K\x01a."  # of [1], protocol 4


def good(number: int) -> str:
    """Return a row that can be used, as JSON."""
    word = ("dull", "fine")[number % 2]
    return json.dumps({"text": f"Film {number} is {word}.", "label": ("bad", "good")[number % 2]})


def lines(count: int, bad: Iterable[int] = (), line: str = BROKEN) -> bytes:
    """Return JSON lines of which some are replaced by a bad one."""
    broken = set(bad)
    return "".join(f"{line if number in broken else good(number)}\n" for number in range(1, count + 1)).encode()


def table(rows: Iterable[tuple[str, object]], header: str = "text,label\n") -> bytes:
    """Return rows as CSV."""
    return (header + "".join(f"{text},{label}\n" for text, label in rows)).encode()


FILMS = [(f"Film {number} is {('dull', 'fine')[number % 2]}", ("bad", "good")[number % 2]) for number in range(120)]
REFUSED: dict[str, tuple[str, bytes, *tuple[str, ...]]] = {
    "empty": ("films.csv", b"", "the file is empty", "films.csv"),
    "only blank lines": ("films.jsonl", b"\n\n\n", "there is no row", "films.jsonl"),
    "only a header": ("films.csv", b"text,label\n", "there is no row", "films.csv"),
    "binary": ("films.jsonl", random.Random(2).randbytes(9000), "this is not a jsonl file", "binary data"),
    "pickle": ("films.jsonl", PICKLED, "this is not a jsonl file", "a pickle"),
    "UTF-16": ("films.csv", table(FILMS).decode().encode("utf-16"), "UTF-16", "convert it to UTF-8 text"),
    "spreadsheet": ("films.xlsx", b"PK\x03\x04", "'films.xlsx' has no known data format", ".csv"),
    "Latin-1": (
        "films.csv",
        table((f"{text} caf\u00e9", label) for text, label in FILMS).decode().encode("latin-1"),
        "120 of 120 rows",
        "convert the file to UTF-8 text",
    ),
    "half broken": ("films.jsonl", lines(120, range(1, 121, 2)), "60 of 120 rows (50.0%)", "films.jsonl:1: invalid"),
    "a little broken": ("films.jsonl", lines(120, range(20, 27)), "7 of 120 rows (5.8%)", "films.jsonl:20: "),
    "cut off in a column": ("films.csv", table((text, "") for text, _ in FILMS), "120 of 120 rows", "'label'"),
    "no header": ("films.csv", table(FILMS, header=""), "no column is recognised", "Film 0 is dull"),
    "one class": ("films.csv", table((text, "good") for text, _ in FILMS), "only one class", "'good' 120"),
    "six rows": ("films.csv", table(FILMS[:6]), "only 6 rows can be used; at least 12 are needed", "three parts"),
    "few of a class": (
        "films.csv",
        table((text, "bad" if place < 3 else "good") for place, (text, _) in enumerate(FILMS)),
        "two classes with at least 6 rows each are needed; 1 has so many",
        "'good' 117, 'bad' 3",
    ),
    "identical rows": ("films.csv", table([FILMS[0]] * 120), "all 120 rows have the same text", "'Film 0 is dull'"),
    "two rows, repeated": (
        "films.csv",
        table(FILMS[:2] * 60),
        "only 2 rows can be used",
        "repeated rows left out",
        "118",
    ),
    "same text, any label": ("films.csv", table(("Film", label) for _, label in FILMS), "all 120 rows have the same"),
    "each text with both labels": (
        "films.csv",
        table((text, label) for text, _ in FILMS for label in ("bad", "good")),
        "no row can be used",
        "same text as another but a different label: 240",
    ),
    "one group": (
        "films.csv",
        table(((f"{text},one", label) for text, label in FILMS), header="text,group,label\n"),
        "the 120 rows form 1 group of related rows; at least 12 groups are needed",
    ),
    "labels that are measurements": (
        "films.csv",
        table((text, place / 7 + 0.1) for place, (text, _) in enumerate(FILMS)),
        "120 different labels in 120 rows",
        "label=COLUMN",
    ),
    "one line": ("films.jsonl", b'{"text": "' + b"x" * 11_000_000 + b'"}', "1 of 1 rows", "longer than 10 MB"),
}


@pytest.fixture
def command(tiny: Callable[[str], Path]) -> list[str]:
    """Return the words of a study whose task is still to be named."""
    return ["run", "weak-to-strong", "--weak", f"hf:{tiny('bert')}", "--strong", f"hf:{tiny('bert')}", "--seeds", "2"]


@pytest.mark.parametrize("kind", REFUSED)
def test_refused_before_any_training(shell: Shell, command: list[str], kind: str) -> None:
    name, content, *named = REFUSED[kind]
    (shell.folder / name).write_bytes(content)
    shell.fork(*command, "--task", f"file:{name}", "--out", "run").exits(2).says("error: ", *named)
    begun = events(shell.folder / "run") if (shell.folder / "run").exists() else []
    assert {event["title"] for event in begun if event["event"] == "started"} <= {"read the task"}


@pytest.mark.parametrize(
    ("task", "named"),
    [
        ("file:films.csv,label=lable", ["there is no column 'lable'", "did you mean 'label'?", "films.csv"]),
        ("file:films.csv,text=txt", ["there is no column 'txt'", "did you mean 'text'?"]),
        ("file:films.csv,lable=label", ["unknown setting 'lable' for file", "did you mean 'label'?"]),
        ("file:films.csv,test=films.csv", ["'films.csv' is given for two parts"]),
        ("file:films", ["there is no file 'films'", "did you mean 'films.csv'?"]),
        ("file:.", ["'.' is a folder", "films.csv"]),
        ("file:nowhere/films.csv", ["there is no file 'nowhere/films.csv'", "there is no folder 'nowhere'"]),
        ("hf:./nowhere", ["error: there is no folder './nowhere'\n"]),
        ("hf:./fims", ["there is no folder './fims'", "did you mean 'films'?"]),
        ("hf:films.csv", ["'films.csv' is a file", "fix: file:films.csv"]),
        ("hf:flims.csv", ["there is no file 'flims.csv'", "did you mean 'films.csv'?"]),
        ("films.csv", ["unknown task 'films.csv'", "did you mean 'file:films.csv'?"]),
        ("films", ["unknown task 'films'", "did you mean 'hf:films'?"]),
    ],
)
def test_wrong_names(shell: Shell, command: list[str], task: str, named: list[str]) -> None:
    (shell.folder / "films.csv").write_bytes(table(FILMS))
    if "hf:./f" in task or task == "films":
        (shell.folder / "films").mkdir()
    ended = shell.fork(*command, "--task", task).exits(2).says("error: ", *named)
    assert "hub" not in ended.err.lower()


@pytest.mark.parametrize(
    ("shares", "named"),
    [
        (("1", "100", "100"), "no item is left for the supervise part"),
        (("2", "100", "100"), "only 1 groups to learn from"),
        (("100", "100", "1"), "no item is left for the test part"),
    ],
)
def test_parts_that_are_too_small(shell: Shell, command: list[str], shares: tuple[str, ...], named: str) -> None:
    (shell.folder / "films.csv").write_bytes(table(FILMS[:90]))
    words = [*command, "--task", "file:films.csv", "--sweep", 0, "--shares", *shares, "--out", "run"]
    shell.fork(*words).exits(2).says(named, "other shares")
    assert not any("finished" in event["event"] and "probe" in event["title"] for event in events(shell.folder / "run"))


def test_a_few_bad_rows_are_named_and_gone_around(shell: Shell, command: list[str]) -> None:
    odd = b'{"text": "\xff", "label": "good"}\n{"text": 3, "label": "good"}\n'
    (shell.folder / "films.jsonl").write_bytes(lines(200, [7, 50]) + odd)
    ended = shell.fork(*command, "--task", "file:films.jsonl", "--sweep", 0, "--threads", 1, "--out", "run").exits(0)
    assert "could not be used and were quarantined" in ended.out
    facts = json.loads((shell.folder / "run" / "results.json").read_text())["task"]
    assert (facts["items"], facts["dropped"]) == (198, 4)
    dropped = {row["where"]: row["reason"] for row in facts["dropped_rows"]}
    assert list(dropped) == [f"films.jsonl:{number}" for number in (7, 50, 201, 202)]
    assert "invalid JSON" in dropped["films.jsonl:7"]
    assert "UTF-8" in dropped["films.jsonl:201"]
    report = (shell.folder / "run" / "report.html").read_text(encoding="utf-8")
    assert all(where in report for where in dropped)


def test_huge_line_among_good_ones(shell: Shell, command: list[str]) -> None:
    huge = json.dumps({"text": "x" * 11_000_000, "label": "good"})
    (shell.folder / "films.jsonl").write_bytes(lines(120, [10], huge))
    shell.fork(*command, "--task", "file:films.jsonl", "--sweep", 0, "--threads", 1, "--out", "run").exits(0)
    facts = json.loads((shell.folder / "run" / "results.json").read_text())["task"]
    assert facts["dropped_rows"] == [{"where": "films.jsonl:10", "reason": "the line is longer than 10 MB"}]


def test_a_file_that_is_never_read_to_its_end(shell: Shell, command: list[str]) -> None:
    os.mkfifo(shell.folder / "films.csv")
    shell.fork(*command, "--task", "file:films.csv").exits(2).says("'films.csv' is not a regular file")
