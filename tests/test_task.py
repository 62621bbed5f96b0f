from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from superalign.task import (
    PARTS,
    Comparison,
    Dropped,
    Example,
    Task,
    Text,
    split,
)

SHARES = st.tuples(*[st.integers(1, 9)] * 3)
GROUPS = st.lists(st.integers(0, 40), min_size=1, max_size=120)


def task_of(groups: list[int], fixed: tuple[str | None, ...] = ()) -> Task:
    items = tuple(Example(str(n), f"text {n}", group=f"g{group}") for n, group in enumerate(groups))
    return Task("t", "1", items, ("no", "yes"), fixed)


def groups_of(task: Task, index: np.ndarray) -> set[str]:
    return {task.items[i].group for i in index}


@given(groups=GROUPS, shares=SHARES, seed=st.integers(0, 1000))
def test_split_is_complete_disjoint_and_keeps_groups_whole(
    groups: list[int], shares: tuple[int, int, int], seed: int
) -> None:
    task = task_of(groups)
    parts = split(task, shares, seed)
    assert sorted(np.concatenate(parts)) == list(range(len(groups)))
    held = [groups_of(task, part) for part in parts]
    assert not held[0] & held[1]
    assert not held[0] & held[2]
    assert not held[1] & held[2]
    assert all((np.diff(part) > 0).all() and part.dtype == np.int64 for part in parts)


@given(groups=GROUPS, shares=SHARES, seeds=st.tuples(st.integers(0, 99), st.integers(0, 99)))
def test_the_test_part_is_the_same_for_every_seed(
    groups: list[int], shares: tuple[int, int, int], seeds: tuple[int, int]
) -> None:
    task = task_of(groups)
    first, second = (split(task, shares, seed) for seed in seeds)
    assert (first.test == second.test).all()
    again = split(task, shares, seeds[0])
    assert all((a == b).all() for a, b in zip(first, again, strict=True))


@given(groups=GROUPS, shares=SHARES, seed=st.integers(0, 99))
def test_shares_hold_to_within_a_group(groups: list[int], shares: tuple[int, int, int], seed: int) -> None:
    task = task_of(groups)
    n = len(set(groups))
    for part, share in zip(split(task, shares, seed), shares, strict=True):
        assert abs(len(groups_of(task, part)) - n * share / sum(shares)) <= 1.0


@given(groups=GROUPS, shares=SHARES, data=st.data())
def test_fixed_parts_are_kept(groups: list[int], shares: tuple[int, int, int], data: st.DataObject) -> None:
    placed = {group: data.draw(st.sampled_from([None, *PARTS])) for group in sorted(set(groups))}
    fixed = tuple(placed[group] for group in groups)
    parts = split(task_of(groups, fixed), shares, seed=0)
    where = {int(i): part for part, index in zip(PARTS, parts, strict=True) for i in index}
    assert all(part is None or where[n] == part for n, part in enumerate(fixed))
    assert len(where) == len(groups)


def test_a_different_seed_deals_the_training_parts_anew() -> None:
    task = task_of(list(range(60)))
    assert (split(task, (1, 1, 1), 0).supervise != split(task, (1, 1, 1), 1).supervise).any()


def test_a_task_survives_the_store() -> None:
    items = (Comparison("1", "q", ("a", "b"), "g", {"population": 3, "topic": "x"}), Comparison("2", "", ("c", "d")))
    task = Task("t", "1", items, ("first", "second"), ("test", None), (Dropped("f:1", "why"),), ("odd",))
    assert Task.from_meta(task.to_meta()) == task
    points = task_of([1, 2, 3])
    assert Task.from_meta(points.to_meta()) == points


def test_texts_of_items() -> None:
    assert Example("1", "q", "a").texts() == (Text("q", "a"),)
    assert Comparison("1", "q", ("a", "b")).texts() == (Text("q", "a"), Text("q", "b"))
    assert Comparison("1", "", ("a", "b")).texts() == (Text("a"), Text("b"))
    assert Task("t", "1", (Example("7", "q"),), ("a", "b")).groups() == ("7",)
