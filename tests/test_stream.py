"""The append-only file of attempts: gone on with after a kill, never with a torn line, never with foreign rows."""

from __future__ import annotations

import json
from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from superalign.stream import Stream

ROWS = [{"n": n, "text": f"line {n}\n\x1b[31m\u2028"} for n in range(6)]


def lines(path: Path) -> list[dict]:
    return [json.loads(line) for line in path.read_bytes().splitlines()]


def test_rows_are_lines_in_order(tmp_path: Path) -> None:
    stream = Stream(tmp_path / "deep" / "s.jsonl")
    stream.append(ROWS[:2])
    stream.append([])
    stream.append(ROWS[2:])
    assert lines(stream.path) == ROWS == stream.rows()


@given(cut=st.integers(0, 400), size=st.integers(1, 4))
def test_killed_anywhere_and_made_again_is_the_same_file(tmp_path_factory, cut: int, size: int) -> None:
    folder = tmp_path_factory.mktemp("stream")
    whole = Stream(folder / "whole.jsonl")
    whole.append(ROWS)
    content = whole.path.read_bytes()
    torn = folder / "torn.jsonl"
    torn.write_bytes(content[:cut])
    again = Stream(torn)
    for start in range(0, len(ROWS), size):
        again.append(ROWS[start : start + size])
    assert torn.read_bytes() == content


def test_what_was_written_is_not_written_again(tmp_path: Path) -> None:
    first = Stream(tmp_path / "s.jsonl")
    first.append(ROWS[:4])
    before = (tmp_path / "s.jsonl").stat().st_mtime_ns
    again = Stream(tmp_path / "s.jsonl")
    again.append(ROWS[:3])
    assert (tmp_path / "s.jsonl").stat().st_mtime_ns == before
    again.append(ROWS[3:])
    assert lines(again.path) == ROWS


def test_foreign_rows_are_replaced_from_where_they_differ(tmp_path: Path) -> None:
    Stream(tmp_path / "s.jsonl").append([ROWS[0], {"other": 1}, {"other": 2}])
    again = Stream(tmp_path / "s.jsonl")
    again.append(ROWS[:1])
    again.append(ROWS[1:3])
    assert lines(again.path) == ROWS[:3]
