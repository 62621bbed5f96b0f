"""The archive: what a cell keeps, and coverage, QD-score and evenness against sums written out."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from superalign.archive import Archive, history
from superalign.attacker import Attempt, Query

cells = st.tuples(st.sampled_from("ab"), st.sampled_from("xyz"))
scores = st.one_of(st.none(), st.floats(-1e6, 1e6))


def attempt(cell: tuple[str, str], score: float | None) -> Attempt:
    query = Query(0, (), "t", {"cell": list(cell)})
    return Attempt(query, "undetermined" if score is None else "broken" if score > 0 else "held", score)


@given(st.lists(st.tuples(cells, scores)), st.integers(1, 3))
def test_a_cell_keeps_the_fittest_and_no_more(tried, per_cell):
    archive = Archive(6, per_cell)
    kept = [archive.add(attempt(cell, score)) for cell, score in tried]
    for cell in {cell for cell, score in tried if score is not None}:
        best = sorted((s for c, s in tried if c == cell and s is not None), reverse=True)[:per_cell]
        assert [one.score for one in archive.cells[cell]] == best
        assert archive.best(cell) == best[0]
    assert set(archive.cells) == {cell for cell, score in tried if score is not None}
    assert not any(was for was, (_, score) in zip(kept, tried, strict=True) if score is None)
    assert 0 <= archive.quality <= 6


def test_figures_over_time():
    tried = [attempt(("a", "x"), 0.0), attempt(("a", "y"), None), attempt(("b", "x"), 2.0), attempt(("a", "x"), 1.0)]
    plain = Attempt(Query(0, (), "t"), "broken", 9.0)
    good = 1 / (1 + math.exp(-2))
    thirds = -(2 / 3 * math.log(2 / 3) + 1 / 3 * math.log(1 / 3)) / math.log(2)
    assert history([*tried, plain], 4) == [
        (0.25, 0.5, None),
        (0.25, 0.5, None),
        (0.5, pytest.approx(0.5 + good), pytest.approx(1.0)),
        (0.5, pytest.approx(1 / (1 + math.exp(-1)) + good), pytest.approx(thirds)),
        (0.5, pytest.approx(1 / (1 + math.exp(-1)) + good), pytest.approx(thirds)),
    ]


def test_of_equals_the_first_stays():
    archive = Archive(4)
    first, second = attempt(("a", "x"), 1.0), attempt(("a", "x"), 1.0)
    assert archive.add(first)
    assert not archive.add(second)
    assert archive.cells["a", "x"][0] is first
