"""What an audit leaves in a folder: audit.json, audit.csv, cleaned.jsonl, dropped.jsonl, report.html."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from superalign.audit import Audit
from superalign.store import write_atomic
from superalign.task import Loaded, Original, TaskSource

RECORD, TABLE, CLEANED, APART, PAGE = "audit.json", "audit.csv", "cleaned.jsonl", "dropped.jsonl", "report.html"
COLUMNS = ["rank", "where", "given", "likely", "chance_wrong", "probability", "against", "neighbours", "kept"]
FORMULA = ("=", "+", "-", "@", "\t", "\r")


def write_audit(audit: Audit, source: TaskSource, folder: Path, loaded: Loaded | None = None) -> Path:
    """Write an audit of `source` into `folder` and return the report's path; files of an older audit are replaced.

    cleaned.jsonl holds the rows kept, with their original columns when the source is a file; a label is never changed.
    dropped.jsonl holds every other row, why it is there, and the likely label.

    Args:
        audit: what was found.
        source: the data it was found in.
        folder: where to.
        loaded: what `source.load()` returned, when it was called before.

    Raises:
        StoreError: the disk is full or the folder cannot be written.
    """
    from superalign.report.audit import render

    cleaned, apart = _sorted_rows(audit, source.originals(loaded or source.load()))
    write_atomic(folder / RECORD, audit.model_dump_json(indent=1) + "\n")
    write_atomic(folder / TABLE, _table(audit))
    write_atomic(folder / CLEANED, cleaned)
    write_atomic(folder / APART, apart)
    write_atomic(folder / PAGE, render(audit))
    return folder / PAGE


def _table(audit: Audit) -> str:
    out = io.StringIO()
    table = csv.writer(out, lineterminator="\n")
    table.writerow([*COLUMNS, "reasons", "text"])
    for rank, row in enumerate(audit.rows, 1):
        figures = (f"{row.chance_wrong:.4f}", f"{row.probability:.4f}", row.against, row.neighbours, int(row.kept))
        texts = [_cell(text) for text in (row.where, row.given, row.likely)]
        table.writerow([rank, *texts, *figures, _cell("; ".join(row.reasons)), _cell(row.text)])
    return out.getvalue()


def _cell(text: str) -> str:
    """Keep a spreadsheet from taking a text for a formula."""
    return f"'{text}" if text.startswith(FORMULA) else text


def _sorted_rows(audit: Audit, originals: Iterable[Original]) -> tuple[str, str]:
    """Return cleaned.jsonl and dropped.jsonl."""
    by_id = {row.where: row for row in audit.rows}
    reasons: dict[str, str] = {}
    for left in audit.task.left_out:
        reasons.setdefault(left.where, left.reason)
    cleaned, apart, listed = io.StringIO(), io.StringIO(), set()
    for original in originals:
        rows = [by_id[name] for name in original.items if name in by_id]
        if rows and all(row.kept for row in rows):
            cleaned.write(_line(original.values))
            continue
        told: dict[str, Any] = {"where": original.where, "row": original.values}
        wrong = [row for row in rows if not row.kept]
        if wrong:
            first = max(wrong, key=lambda row: row.chance_wrong)
            told |= {"given": first.given, "likely": first.likely, "chance_wrong": round(first.chance_wrong, 4)}
            told["reason"] = "; ".join(first.reasons) or f"set apart by filter '{audit.cleaning}'"
        else:
            told["reason"] = reasons.get(original.where, "not read: over the limit, or a repeated row")
        listed.add(original.where)
        apart.write(_line(told))
    for where, reason in reasons.items():  # rows too broken to be read
        if where not in listed:
            apart.write(_line({"where": where, "reason": reason}))
    return cleaned.getvalue(), apart.getvalue()


def _line(value: Mapping[str, Any]) -> str:
    return json.dumps(value, ensure_ascii=False, default=str).encode(errors="backslashreplace").decode() + "\n"
