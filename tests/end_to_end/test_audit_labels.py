"""`superalign audit-labels` on a user's own file."""

from __future__ import annotations

import csv
import json
import random
from pathlib import Path

import pytest

from faults import Shell

pytestmark = pytest.mark.slow
GOOD = ("lovely warm friendly", "a joy, bright and kind", "splendid, I smiled", "wonderful and moving")
BAD = ("dull cold hostile", "a bore, grey and cruel", "dreadful, I yawned", "terrible and empty")


def write_reviews(shell: Shell, n: int = 240) -> list[int]:
    """Write reviews.csv, its classes told by words, and return the lines whose label is wrong."""
    drawn = random.Random(0)
    wrong = sorted(drawn.sample(range(n), n // 10))
    with (shell.folder / "reviews.csv").open("w", newline="", encoding="utf-8") as out:
        table = csv.writer(out)
        table.writerow(["text", "label", "shop"])
        for row in range(n):
            kind = row % 2
            words = drawn.choice((BAD, GOOD)[kind])
            table.writerow([f"Visit {row}: {words}", kind ^ (row in wrong), f"shop {row % 7}"])
    return [row + 2 for row in wrong]


@pytest.mark.model
def test_wrong_labels_are_found_and_rows_keep_their_columns(shell: Shell, users_models: Path) -> None:
    (shell.home).mkdir(exist_ok=True)
    (shell.home / "models").symlink_to(users_models)
    wrong = write_reviews(shell)
    ended = shell.run("audit-labels", "reviews.csv", "--model", "embedded:wordllama", "--out", "audit").exits(0)
    assert "report: audit/report.html" in ended.out
    audit = json.loads((shell.folder / "audit/audit.json").read_text())
    rate = audit["noise"]["rate"]
    assert rate["low"] <= 0.1 <= rate["high"] + 0.03
    listed = [int(row["where"].rpartition(":")[2]) for row in audit["rows"][: len(wrong)]]
    assert len(set(listed) & set(wrong)) >= 0.8 * len(wrong)
    kept = [json.loads(line) for line in (shell.folder / "audit/cleaned.jsonl").read_text().splitlines()]
    assert {"text", "label", "shop"} <= kept[0].keys()
    assert len(kept) < 240


def test_mistakes_are_explained(shell: Shell) -> None:
    ended = shell.fork("audit-labels", "nowhere.csv")
    assert ended.code != 0
    assert "nowhere.csv" in ended.err
    assert "Traceback" not in ended.err
    write_reviews(shell, 20)
    ended = shell.fork("audit-labels", "reviews.csv", "--clean", "posterio").exits(2)
    assert "posterior" in ended.err
