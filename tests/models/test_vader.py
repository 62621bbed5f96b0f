"""VADER's scores as its authors document them, from the pinned rules only."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from superalign.errors import ModelError
from superalign.models.vader import SCORES, Vader
from superalign.task import Text

# The worked examples of the authors' README.
DOCUMENTED = {
    "VADER is smart, handsome, and funny.": (0.0, 0.254, 0.746, 0.8316),
    "VADER is VERY SMART, handsome, and FUNNY!!!": (0.0, 0.233, 0.767, 0.9342),
    "At least it isn't a horrible book.": (0.0, 0.678, 0.322, 0.431),
    "Today SUX!": (0.779, 0.221, 0.0, -0.5461),
}


@pytest.mark.model
def test_scores_are_the_documented_ones(embedded_home: Path) -> None:
    found = Vader(folder=embedded_home / "models" / "vader").features([Text(text) for text in DOCUMENTED], [0])
    assert SCORES == ("neg", "neu", "pos", "compound")
    for row, expected in zip(found.layers[0].tolist(), DOCUMENTED.values(), strict=True):
        assert row == pytest.approx(expected, abs=1e-6)
    assert list(found.tokens) == [6, 7, 7, 2]


@pytest.mark.model
def test_answer_is_read_after_its_prompt_and_empty_text_is_neutral(embedded_home: Path) -> None:
    model = Vader(folder=embedded_home / "models" / "vader")
    rows = model.features([Text("How was it?", "Today SUX!"), Text("How was it?\nToday SUX!"), Text("")], [0]).layers[0]
    assert rows[0].tolist() == rows[1].tolist()
    assert rows[2].tolist() == [0, 0, 0, 0]


@pytest.mark.model
def test_changed_rules_are_not_run(embedded_home: Path, tmp_path: Path) -> None:
    folder = Path(shutil.copytree(embedded_home / "models" / "vader", tmp_path / "vader"))
    ran = tmp_path / "ran"
    with (folder / "vaderSentiment.py").open("a") as rules:
        rules.write(f"\nopen({str(ran)!r}, 'w')\n")
    with pytest.raises(ModelError, match="not what its pin says"):
        Vader(folder=folder).features([Text("x")], [0])
    assert not ran.exists()
