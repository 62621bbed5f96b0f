"""Legal but unusual: three classes, pairs, long and empty texts, a test part too small for any claim."""

from __future__ import annotations

import json
import random
from collections.abc import Callable
from pathlib import Path

import pytest

from faults import Shell
from superalign import WeakToStrongResult, load

pytestmark = pytest.mark.slow
WORDS = ("bright", "dull", "odd")


@pytest.fixture
def study_of(shell: Shell, tiny: Callable[[str], Path]) -> Callable[..., WeakToStrongResult]:
    """Return a function that writes rows to a file, studies it, and returns the result."""

    def run(rows: list[dict[str, object]], *words: str) -> WeakToStrongResult:
        (shell.folder / "rows.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
        models = ["--weak", f"hf:{tiny('bert')}", "--strong", f"hf:{tiny('llama')}"]
        settings = ["--seeds", "2", "--sweep", "0", "--threads", "1", "--quiet"]
        task = words[0] if words and words[0].startswith("file:") else "file:rows.jsonl"
        shell.fork("run", "weak-to-strong", *models, *settings, "--task", task, "--out", "run", *words[1:]).exits(0)
        report = (shell.folder / "run" / "report.html").read_text(encoding="utf-8")
        assert "NaN" not in report
        result: WeakToStrongResult = load(shell.folder / "run")
        return result

    return run


def films(count: int, classes: int = 2) -> list[dict[str, object]]:
    draw = random.Random(1)
    return [
        {"text": f"Film {n} is {WORDS[n % classes if draw.random() < 0.9 else 0]}", "label": f"class {n % classes}"}
        for n in range(count)
    ]


def test_three_classes(study_of: Callable[..., WeakToStrongResult]) -> None:
    result = study_of(films(240, 3))
    assert result.task.classes == ["class 0", "class 1", "class 2"]
    assert {row.role: row.n for row in result.rows}["student"] == result.task.parts["test"]
    ceiling = next(one for one in result.summary if one.role == "ceiling")
    assert ceiling.accuracy.value > 0.6


def test_pairs(study_of: Callable[..., WeakToStrongResult]) -> None:
    rows = [
        {"prompt": f"How is film {n}?", "chosen": f"It is bright, number {n}.", "rejected": f"It is dull, number {n}."}
        for n in range(150)
    ]
    result = study_of(rows)
    assert result.task.pairwise
    assert result.task.classes == ["first", "second"]
    assert result.weak.texts == 300
    assert {one.role: one.accuracy.value for one in result.summary}["ceiling"] > 0.9


def test_long_texts_are_cut_and_counted(study_of: Callable[..., WeakToStrongResult], shell: Shell) -> None:
    rows = films(120)
    for row in rows[:7]:
        row["text"] = f"{row['text']} {'and so on ' * 200}"
    result = study_of(rows)
    assert result.weak.truncated == result.strong.truncated == 7
    assert result.task.items == 120
    report = (shell.folder / "run" / "report.html").read_text(encoding="utf-8")
    assert "7 of 120 texts" in report.replace("\xa0", " ")


def test_long_texts_are_counted_by_fine_tuning_too(study_of: Callable[..., WeakToStrongResult]) -> None:
    rows = films(60)
    rows[0]["text"] = f"{rows[0]['text']} {'and so on ' * 200}"
    result = study_of(rows, "", "--fit", "lora,epochs=1", "--methods", "naive", "--seeds", "1")
    assert result.strong.texts == 60
    assert all(row.facts["truncated"] <= 1 for row in result.rows if row.role != "weak")
    assert result.weak.truncated == 1


@pytest.mark.parametrize("response", ["", "  ", None])
def test_empty_responses_are_left_out_and_named(study_of: Callable[..., WeakToStrongResult], response: object) -> None:
    rows: list[dict[str, object]] = [
        {"prompt": f"Is film {n} good?", "response": ("No.", "Yes.")[n % 2], "label": n // 2 % 2} for n in range(120)
    ]
    rows[3]["response"] = rows[90]["response"] = response
    result = study_of(rows)
    assert [row.where for row in result.task.dropped_rows] == ["rows.jsonl:4", "rows.jsonl:91"]
    assert all("'response'" in row.reason for row in result.task.dropped_rows)
    assert result.task.items == 118


def test_no_pgr_from_a_tiny_test_part(study_of: Callable[..., WeakToStrongResult], shell: Shell) -> None:
    result = study_of(films(60), "", "--shares", "8", "8", "1")
    assert result.task.parts["test"] <= 5
    for one in result.pgr:
        assert one.pooled is None
        assert one.reason
        assert "within noise" in one.reason
    said = shell.fork("show", "run").exits(0).out
    assert "refused" in said
    assert "No PGR is given" in said


def test_one_seed_one_test_item(study_of: Callable[..., WeakToStrongResult]) -> None:
    result = study_of(films(60), "", "--shares", "30", "30", "1", "--seeds", "1")
    assert {row.n for row in result.rows} == {1}
    assert all(one.pooled is None for one in result.pgr)


def test_one_class_is_never_predicted_wrong_by_all(study_of: Callable[..., WeakToStrongResult]) -> None:
    """A rare class: probes may ignore it, figures stay finite."""
    rows = films(150)
    for n, row in enumerate(rows):
        row["label"] = "rare" if n % 15 == 0 else "usual"
    result = study_of(rows)
    assert any("holds 93% of the rows" in warning for warning in result.task.warnings)
