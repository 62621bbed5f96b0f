"""Parts by difficulty: nothing that tests is as easy as what is learnt from, and related items stay together."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from superalign import WeakToStrong, run
from superalign.easy_to_hard import ASIDE, divided
from superalign.errors import ConfigError, DataError
from superalign.store import Store
from superalign.task import Comparison, Example, Tag, Task, split

SHARES = (5, 6, 5)


def task_of(values: list[Tag | None], per_group: int = 1, fixed: tuple[str | None, ...] = ()) -> Task:
    tags = [{} if value is None else {"rating": value, "kind": "x"} for value in values]
    items = tuple(Example(str(i), f"t{i}", group=f"g{i // per_group}", tags=tag) for i, tag in enumerate(tags))
    return Task("t", "1", items, ("no", "yes"), fixed)


@given(
    values=st.lists(st.integers(-9, 9) | st.floats(-5, 5), min_size=2, max_size=60),
    per_group=st.integers(1, 4),
    low=st.booleans(),
    shares=st.tuples(*[st.integers(1, 9)] * 3),
    seed=st.integers(0, 9),
)
def test_what_tests_is_harder_than_all_that_is_learnt_from(
    values: list[float], per_group: int, low: bool, shares: tuple[int, int, int], seed: int
) -> None:
    task = task_of(list(values), per_group)
    mean = {g: np.mean([v for v, own in zip(values, task.groups(), strict=True) if own == g]) for g in task.groups()}
    if len({float(one) for one in mean.values()}) < 2:
        with pytest.raises(DataError, match="is the same in every group"):
            divided(task, "rating", low, shares)
        return
    found = divided(task, "rating", low, shares)
    parts = split(found, shares, seed)
    assert sorted(np.concatenate(parts)) == list(range(len(values)))
    hardness = np.array([mean[group] for group in task.groups()]) * (-1 if low else 1)
    learnt = np.concatenate([parts.supervise, parts.transfer])
    assert len(learnt)
    assert len(parts.test)
    assert hardness[parts.test].min() > hardness[learnt].max()
    held = [{found.items[i].group for i in part} for part in parts]
    assert not held[0] & held[1]


def test_the_shares_are_quantiles() -> None:
    parts = split(divided(task_of(list(np.random.default_rng(0).permutation(160))), "rating", False, SHARES), SHARES, 0)
    assert [len(part) for part in parts] == [50, 60, 50]
    assert (split(divided(task_of(list(range(160))), "rating", False, SHARES), SHARES, 0).test >= 110).all()
    assert (split(divided(task_of(list(range(160))), "rating", True, SHARES), SHARES, 0).test < 50).all()


def test_levels_are_cut_where_the_share_is_nearest() -> None:
    levels = [1] * 40 + [2] * 20 + [3] * 25 + [4] * 15
    found = divided(task_of(list(levels)), "rating", False, (1, 1, 1))  # 15, 40 or 60 of 100: 40 is nearest to 33
    assert sum(part == "test" for part in found.fixed_parts) == 40
    assert found.warnings[-1].endswith("mean 'rating' of 3 or more; the others have 2 or less")


def test_items_without_the_number_are_in_no_part() -> None:
    found = divided(task_of([*range(30), None, "high", None]), "rating", False, SHARES)
    assert found.fixed_parts[-3:] == (ASIDE,) * 3
    assert sum(map(len, split(found, SHARES, 0))) == 30
    assert "in no part: 3" in found.warnings[-1]


def test_mistakes_are_named() -> None:
    with pytest.raises(DataError, match=r"(?s)no item of 't' has a number as 'ratin'.*did you mean 'rating'"):
        divided(task_of([1, 2]), "ratin", False, SHARES)
    with pytest.raises(DataError, match="has a number as 'kind'"):
        divided(task_of([1, 2]), "kind", False, SHARES)
    with pytest.raises(DataError, match="difficulty=COLUMN"):
        divided(task_of([None, None]), "rating", False, SHARES)
    with pytest.raises(DataError, match=r"(?s)are fixed by its source.*split=train"):
        divided(task_of([1, 2], fixed=(None, "test")), "rating", False, SHARES)
    with pytest.raises(ConfigError, match="'middle' is hard"):
        WeakToStrong(easy_to_hard="rating:middle")


def test_in_the_study(tiny, tmp_path) -> None:
    models = {"weak": f"hf:{tiny('bert')}", "strong": f"hf:{tiny('llama')}"}
    asked = WeakToStrong(
        **models, task="facts,cities=80,pairs=true", seeds=1, sweep=0, methods=("naive",), easy_to_hard="population:low"
    )
    result = run(asked, out=tmp_path / "run", store=Store(tmp_path / "store"))
    assert any("mean 'population'" in warning for warning in result.task.warnings)
    assert "the hardest groups by population:low are the test part" in (tmp_path / "run/report.html").read_text()
    task, _ = asked.task.load()
    assert isinstance(task.items[0], Comparison)
    assert result.task.parts["test"] == pytest.approx(80 * 5 / 16, abs=3)
    assert result.config["easy_to_hard"] == "population:low"
    plain = asked.model_copy(update={"easy_to_hard": None})
    assert plain.plan().items.key == plain.plan().items.key != asked.plan().items.key
