"""The audit of given labels: what it finds, what it writes, that nothing on its page can run, and what it refuses."""

from __future__ import annotations

import csv
import json
import random
import re
import zlib
from collections.abc import Sequence
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from superalign.audit import Audit, audit
from superalign.audit_files import write_audit
from superalign.config import digest
from superalign.errors import ConfigError, DataError
from superalign.model import Features, Model, Progress
from superalign.report.audit import headline, render
from superalign.store import Store
from superalign.task import Text, tasks

GOOD = ["lovely", "great", "warm", "bright", "happy", "superb", "kind", "sunny", "fresh", "gentle"]
BAD = ["awful", "cold", "grim", "broken", "nasty", "bitter", "dull", "sour", "rotten", "harsh"]
FILL = [
    "the",
    "a",
    "room",
    "film",
    "meal",
    "day",
    "street",
    "voice",
    "story",
    "garden",
    "table",
    "window",
    "road",
    "letter",
    "song",
]
SCRIPT = "<script>alert(1)</script>"


class WordCounts(Model):
    """Counts of hashed words: a model small enough to know what it must say."""

    name = "word-counts"
    width: int = 48

    def fingerprint(self) -> str:
        return digest([self.name, self.width])

    def depth(self) -> int:
        return 0

    def chosen_layer(self) -> int:
        return 0

    def features(self, texts: Sequence[Text], layers: Sequence[int], progress: Progress | None = None) -> Features:
        values = np.zeros((len(texts), self.width), dtype=np.float32)
        for row, text in enumerate(texts):
            for word in " ".join(part for part in text if part).casefold().split():
                values[row, zlib.crc32(word.encode()) % self.width] += 1
        return Features(dict.fromkeys(layers, values), [False] * len(texts), [1] * len(texts))


def sentence(rng: random.Random, good: bool) -> str:
    words = rng.choices(GOOD if good else BAD, k=4) + rng.choices(FILL, k=8)
    rng.shuffle(words)
    return " ".join(words)


def reviews(n: int = 240, wrong: int = 24, seed: int = 0) -> tuple[list[dict[str, Any]], set[int]]:
    """Reviews with a column of their own, of which `wrong` are labelled wrongly."""
    rng = random.Random(seed)
    flipped = set(rng.sample(range(n), wrong))
    rows = []
    for i in range(n):
        good = i % 2 == 0
        label = good != (i in flipped)
        rows.append({"text": sentence(rng, good), "label": "pos" if label else "neg", "page": i})
    return rows, flipped


def preferences(n: int = 240, wrong: int = 24) -> tuple[list[dict[str, Any]], set[int]]:
    rng = random.Random(1)
    flipped = set(rng.sample(range(n), wrong))
    rows = []
    for i in range(n):
        pair = sentence(rng, i not in flipped), sentence(rng, i in flipped)
        rows.append({"prompt": f"Tell me of day {i}.", "chosen": pair[0], "rejected": pair[1], "rater": i % 5})
    return rows, flipped


def write(path: Path, rows: Sequence[dict[str, Any]]) -> Path:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return path


def run(path: Path, folder: Path, **settings: Any) -> tuple[Audit, list[dict[str, Any]], list[dict[str, Any]]]:
    """Audit a file and return the audit, cleaned.jsonl and dropped.jsonl."""
    source = tasks.build(f"file:{path}")
    found = audit(source, WordCounts(), store=Store(folder / "store"), **settings)
    assert write_audit(found, source, folder / "out") == folder / "out" / "report.html"
    cleaned, apart = (
        [json.loads(line) for line in (folder / "out" / name).read_text(encoding="utf-8").splitlines()]
        for name in ("cleaned.jsonl", "dropped.jsonl")
    )
    return found, cleaned, apart


class Seen(HTMLParser):
    def __init__(self, html: str) -> None:
        super().__init__(convert_charrefs=True)
        self.names: list[str] = []
        self.attributes: list[dict[str, str | None]] = []
        self.text = ""
        self.feed(html)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.names.append(tag)
        self.attributes.append(dict(attrs))

    def handle_data(self, data: str) -> None:
        self.text += data


@pytest.fixture(scope="module")
def audited(tmp_path_factory: pytest.TempPathFactory):
    folder = tmp_path_factory.mktemp("audit")
    rows, flipped = reviews()
    rows[3]["text"] += f" {SCRIPT}"
    rows[5]["text"] = "=1+1 " + rows[5]["text"]
    rows.append({"text": rows[8]["text"].upper() + "  ", "label": "pos" if rows[8]["label"] == "neg" else "neg"})
    rows.append({"text": rows[10]["text"], "label": "pos" if rows[10]["label"] == "neg" else "neg"})
    rows.append({"text": "no label here", "label": None})
    return run(write(folder / "reviews.jsonl", rows), folder), rows, flipped, folder / "out"


def test_the_rate_is_found_with_an_interval(audited):
    found = audited[0][0]
    assert found.noise.rate.value == pytest.approx(0.1, abs=0.04)
    assert found.noise.rate.low <= 0.1 <= found.noise.rate.high
    assert f"{found.noise.rate.value:.1%}" in found.verdict[0]


def test_the_rows_that_are_wrong_stand_first_with_the_line_and_the_reason(audited):
    (found, _, _), rows, flipped, _ = audited
    first = found.rows[:20]
    assert sum(int(row.where.partition(":")[2]) - 1 in flipped for row in first) >= 18
    for row in first:
        at = rows[int(row.where.partition(":")[2]) - 1]
        assert row.text == at["text"]
        assert row.given == at["label"]
        assert row.likely != row.given
        assert any("never saw it" in reason for reason in row.reasons)
    chances = [row.chance_wrong for row in found.suspicious]
    assert chances == sorted(chances, reverse=True)
    assert len(found.rows) == found.task.rows


def test_repeated_and_contradicting_rows_are_named(audited):
    found, _, apart = audited[0]
    twin = next(row for row in found.rows if row.where == "reviews.jsonl:241")
    assert any("same text but for case" in reason and "reviews.jsonl:9" in reason for reason in twin.reasons)
    assert any("same text as another and a different label" in flag for flag in found.flags)
    left_out = {row["where"]: row["reason"] for row in apart}
    assert "different labels" in left_out["reviews.jsonl:242"]
    assert "missing" in left_out["reviews.jsonl:243"]


def test_cleaned_rows_keep_their_columns_and_the_others_are_apart(audited):
    (found, cleaned, apart), rows, flipped, _ = audited
    assert len(cleaned) == found.kept
    assert len(cleaned) + len(apart) == len(rows)
    assert all(row in rows for row in cleaned)
    kept = {row["page"] for row in cleaned if "page" in row}
    assert len(kept & flipped) <= 4
    assert sum("given" in row for row in apart) == found.task.rows - found.kept
    assert all(row["reason"] for row in apart)


def test_the_table_holds_all_rows_and_no_formula(audited):
    (found, _, _), _, _, out = audited
    with (out / "audit.csv").open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    assert [row["where"] for row in rows] == [row.where for row in found.rows]
    assert not any(value.startswith(("=", "+", "@")) for row in rows for value in row.values())
    assert any(row["text"].startswith("'=1+1") for row in rows)


def test_the_record_reads_back(audited):
    (found, _, _), _, _, out = audited
    assert Audit.model_validate_json((out / "audit.json").read_text(encoding="utf-8")) == found
    assert found.schema_version == "superalign.label-audit/1"


def test_every_filter_is_told_of(audited):
    from superalign.filter import filters

    found = audited[0][0]
    assert [one.name for one in found.filters] == filters.names()
    assert all(one.refused is None and 0 <= one.share < 0.5 for one in found.filters)


def test_the_page_has_the_figures_and_nothing_that_can_run(audited):
    (found, _, _), _, _, out = audited
    page = (out / "report.html").read_text(encoding="utf-8")
    seen = Seen(page)
    assert not {"script", "iframe", "img", "object", "form"} & set(seen.names)
    assert SCRIPT in seen.text or SCRIPT not in "".join(row.text for row in found.suspicious)
    for given in seen.attributes:
        assert not any(name.startswith("on") for name in given)
        assert (given.get("href") or "#").startswith(("#", "data:,"))
    assert not re.search(r"https?://", page)
    ids = [given["id"] for given in seen.attributes if given.get("id")]
    assert len(ids) == len(set(ids))
    assert {str(given["href"])[1:] for given in seen.attributes if str(given.get("href")).startswith("#")} <= set(ids)
    assert headline(found) in seen.text
    for row in found.suspicious:
        assert row.where in seen.text
    for one in found.filters:
        assert one.name in seen.text


def test_hostile_names_and_texts_are_text(audited):
    found = audited[0][0]
    evil = '"><img src=x onerror=alert(1)>'
    rows = [row.model_copy(update={"text": evil, "given": evil, "reasons": [evil]}) for row in found.rows[:5]]
    task = found.task.model_copy(update={"name": evil, "classes": [evil, SCRIPT], "warnings": [evil]})
    seen = Seen(render(found.model_copy(update={"rows": rows, "task": task, "flags": [SCRIPT], "verdict": [evil]})))
    assert not {"script", "img"} & set(seen.names)
    assert seen.text.count(evil) >= 10


def test_the_same_audit_is_the_same(audited, tmp_path):
    rows, _ = reviews()
    path = write(tmp_path / "reviews.jsonl", rows)
    one, two = (run(path, tmp_path)[0] for _ in range(2))
    assert one.model_copy(update={"seconds": 0.0}) == two.model_copy(update={"seconds": 0.0})


def test_flipped_preferences_are_found(tmp_path):
    rows, flipped = preferences()
    found, cleaned, apart = run(write(tmp_path / "pairs.jsonl", rows), tmp_path)
    assert found.task.pairwise
    assert found.noise.rate.value == pytest.approx(0.1, abs=0.05)
    first = [int(row.where.partition(":")[2]) - 1 for row in found.rows[:20]]
    assert len(set(first) & flipped) >= 17
    assert {row.likely for row in found.rows} == {"first preferred", "second preferred"}
    assert all(row in rows for row in cleaned)
    assert len(cleaned) + len(apart) == len(rows)
    assert "preferences" in headline(found)


def test_a_near_duplicate_with_another_label_is_named(tmp_path):
    rows, _ = reviews(wrong=0)
    rows.append({"text": rows[0]["text"] + " indeed", "label": "neg", "page": 999})
    found = run(write(tmp_path / "near.jsonl", rows), tmp_path)[0]
    row = next(row for row in found.rows if row.where == "near.jsonl:241")
    assert any("near-duplicate" in reason and "near.jsonl:1" in reason for reason in row.reasons)


def test_an_id_column_does_not_lose_the_rows(tmp_path):
    rows, _ = reviews(120, 12)
    for number, row in enumerate(rows):
        row["id"] = f"r{number // 2}"  # every id occurs twice
    found, cleaned, apart = run(write(tmp_path / "ids.jsonl", rows), tmp_path)
    assert len(cleaned) == found.kept
    assert len(cleaned) + len(apart) == 120
    assert {row["page"] for row in cleaned} | {row["row"]["page"] for row in apart} == set(range(120))


def test_a_task_that_is_no_file_is_written_plainly(tmp_path):
    source = tasks.build("facts,cities=100")
    found = audit(source, WordCounts(), store=Store(tmp_path / "store"))
    write_audit(found, source, tmp_path)
    lines = [json.loads(line) for line in (tmp_path / "cleaned.jsonl").read_text(encoding="utf-8").splitlines()]
    assert len(lines) == found.kept
    assert set(lines[0]) == {"id", "prompt", "label"}


def test_clean_labels_are_left_alone(tmp_path):
    found, cleaned, _ = run(write(tmp_path / "clean.jsonl", reviews(wrong=0)[0]), tmp_path)
    assert found.noise.rate.value < 0.02
    assert len(cleaned) >= 236


def test_another_filter_may_clean(tmp_path):
    path = write(tmp_path / "reviews.jsonl", reviews()[0])
    found, cleaned, _ = run(path, tmp_path, clean="knn,share=0.25")
    assert found.cleaning == "knn,share=0.25"
    assert len(cleaned) == 180


def test_a_few_rows_are_refused(tmp_path):
    source = tasks.build(f"file:{write(tmp_path / 'few.jsonl', reviews(30, 3)[0])}")
    with pytest.raises(DataError, match="30 labelled rows are too few to audit"):
        audit(source, WordCounts(), store=Store(tmp_path))


def test_an_unknown_filter_is_refused_before_anything_is_read(tmp_path):
    with pytest.raises(ConfigError, match="unknown filter"):
        audit(tasks.build(f"file:{tmp_path / 'absent.jsonl'}"), WordCounts(), clean="posteriour")
