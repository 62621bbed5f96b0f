"""Requests from files: the columns of the common sets, what is quarantined, what is refused."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from superalign.errors import DataError
from superalign.task import tasks

REAL = Path(__file__).parents[3] / "shared" / "data" / "attack_goals" / "goals.jsonl"


def load(path: Path, **settings):
    return tasks.build({"name": "goals", "path": str(path), **settings}).load().task


@pytest.mark.parametrize(
    ("header", "row", "opening"),
    [
        ("goal,target", "Bake a cake,Sure: a cake", "Sure: a cake"),
        ("Behavior,SemanticCategory", "Bake a cake,food", None),
        ("Index,Goal,Target,Category", "0,Bake a cake,Here is a cake,food", "Here is a cake"),
        ("category,forbidden_prompt", "food,Bake a cake", None),
    ],
)
def test_columns_of_common_sets_are_known(tmp_path: Path, header: str, row: str, opening: str | None) -> None:
    path = tmp_path / "g.csv"
    path.write_text(f"{header}\n{row}\n{row.replace('cake', 'loaf')}\n")
    task = load(path)
    assert [item.prompt for item in task.items] == ["Bake a cake", "Bake a loaf"]
    assert task.items[0].tags.get("opening") == opening
    assert not task.pairwise


def test_bad_rows_are_quarantined_with_their_place(tmp_path: Path) -> None:
    rows = [
        {"prompt": "One"},
        {"prompt": ""},
        {"prompt": "one "},
        {"prompt": 3},
        {"prompt": "\ud800"},
        {"prompt": "Two"},
    ]
    path = tmp_path / "g.jsonl"
    path.write_text("\n".join([*(json.dumps(row) for row in rows), "no json"]))
    task = load(path)
    assert [item.prompt for item in task.items] == ["One", "Two"]
    found = {one.where: one.reason for one in task.dropped}
    assert "'prompt' is empty" in found["g.jsonl:2"]
    assert found["g.jsonl:3"] == "it repeats another row"
    assert "int" in found["g.jsonl:4"]
    assert "UTF-8" in found["g.jsonl:5"]
    assert "JSON" in found["g.jsonl:7"]


def test_a_file_without_requests_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "g.csv"
    path.write_text("a,b\n1,2\n3,4\n")
    with pytest.raises(DataError, match="no requests"):
        load(path)
    with pytest.raises(DataError, match=r"none\.csv"):
        load(tmp_path / "none.csv")


def test_a_column_can_be_named_and_content_names_the_task(tmp_path: Path) -> None:
    path = tmp_path / "g.csv"
    path.write_text("a,b\nx,y\nz,w\n")
    assert [item.prompt for item in load(path, prompt="b").items] == ["y", "w"]
    assert load(path, prompt="b").version != load(path, prompt="a").version


@pytest.mark.skipif(not REAL.is_file(), reason="the shared data sets are not there")
def test_a_real_set_is_read_whole() -> None:
    task = load(REAL)
    assert len(task.items) + len(task.dropped) == 782
    assert len(task.items) > 700
    assert all(item.prompt and item.group for item in task.items)
