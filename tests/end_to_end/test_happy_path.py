"""An undisturbed run leaves what it promises, and the same question is never computed twice."""

from __future__ import annotations

import csv
import json
import re
from pathlib import Path

import pytest
import yaml

from faults import SEARCH, Shell, computed_again, events, leftovers, rows
from superalign import WeakToStrong, WeakToStrongResult, load, run
from superalign.config import digest

pytestmark = pytest.mark.slow
VARYING = {"seconds", "jobs"}
OUTSIDE = re.compile(r"""(?:src|href|action|xlink:href)\s*=\s*["']?\s*(?!#|data:)[^"'\s>]|@import|url\((?!#|data:)""")


def lasting(run: Path) -> dict[str, object]:
    """Return the results without what may differ from one run to the next."""
    whole = json.loads((run / "results.json").read_text(encoding="utf-8"))
    return {name: value for name, value in whole.items() if name not in VARYING}


def test_folder_holds_what_it_promises(undisturbed: Shell) -> None:
    folder = undisturbed.folder / "run"
    held = {path.name for path in folder.iterdir()} - {".lock"}
    assert held == {"config.yaml", "run.json", "events.jsonl", "results.json", "results.csv", "report.html"}
    assert [event["event"] for event in events(folder)][:2] == ["run", "planned"]
    assert events(folder)[-1]["event"] == "done"
    result = WeakToStrongResult.model_validate_json((folder / "results.json").read_text(encoding="utf-8"))
    assert result == load(folder)
    config = yaml.safe_load((folder / "config.yaml").read_text(encoding="utf-8"))
    assert result.config == config
    assert result.config_sha256 == digest(config)
    assert {(row.role, row.method, row.seed) for row in result.rows} == {
        (role, method, seed)
        for role, method in [
            ("weak", "naive"),
            ("student", "naive"),
            ("student", "logconf"),
            ("ceiling", "naive"),
            ("control", "naive"),
        ]
        for seed in (0, 1)
    }
    assert not leftovers(folder, undisturbed.home)


def test_table_is_the_rows(undisturbed: Shell) -> None:
    folder = undisturbed.folder / "run"
    with (folder / "results.csv").open(newline="", encoding="utf-8") as file:
        table = list(csv.DictReader(file))
    expected = [
        {name: "" if value is None else str(value) for name, value in row.items() if name != "facts"}
        for row in rows(folder)
    ]
    assert table == expected


def test_report_needs_nothing_else(undisturbed: Shell) -> None:
    report = (undisturbed.folder / "run" / "report.html").read_text(encoding="utf-8")
    assert report.startswith("<!doctype html>")
    assert OUTSIDE.findall(report) == []
    assert "<script" not in report.replace(SEARCH, "", 1).lower()


def test_progress_in_a_pipe_is_plain_lines(undisturbed: Shell) -> None:
    lines = (undisturbed.folder / "err.txt").read_text(encoding="utf-8").splitlines()
    assert lines
    assert all(re.fullmatch(r"\[ *\d+\.\d s\] .+", line) and line.isprintable() for line in lines)
    assert any("features of hf:" in line for line in lines)
    out = (undisturbed.folder / "out.txt").read_text(encoding="utf-8")
    assert "\x1b" not in out
    assert "report: run/report.html" in out


def test_a_second_run_computes_nothing(finished: Shell, study: list[str]) -> None:
    before, artifacts = lasting(finished.folder / "run"), finished.artifacts()
    ended = finished.run(*study, "--out", "run", "--json", "--quiet").exits(0)
    assert ended.err == ""
    assert ended.out == (finished.folder / "run" / "results.json").read_text(encoding="utf-8")
    result = json.loads(ended.out)
    assert result["jobs"]["computed"] == result["jobs"]["failed"] == 0
    assert result["jobs"]["reused"] == result["jobs"]["total"] > 0
    assert lasting(finished.folder / "run") == before
    assert finished.artifacts() == artifacts
    assert not computed_again(finished.folder / "run")


def test_config_of_a_run_runs_again(shell: Shell, undisturbed: Shell) -> None:
    config = undisturbed.folder / "run" / "config.yaml"
    shell.fork("run", config, "--out", "other", "--threads", 1).exits(0)
    assert lasting(shell.folder / "other") == lasting(undisturbed.folder / "run")
    assert (shell.folder / "other" / "config.yaml").read_bytes() == config.read_bytes()


def test_python_gives_the_same_rows(
    shell: Shell, undisturbed: Shell, study: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SUPERALIGN_THREADS", "1")
    given = dict(zip(study[2::2], study[3::2], strict=True))
    asked = WeakToStrong.parse(
        {"weak": given["--weak"], "strong": given["--strong"], "task": given["--task"], "seeds": 2, "sweep": 2}
    )
    result = run(asked, out=shell.folder / "run")
    assert [row.model_dump() for row in result.rows] == rows(undisturbed.folder / "run")
    assert len(result.frame()) == len(result.rows)


def test_default_folder_and_generated_task(shell: Shell, study: list[str]) -> None:
    words = [word if not word.startswith("file:") else "facts,cities=60" for word in study]
    shell.fork(*words).exits(0)
    (folder,) = (shell.folder / "runs").iterdir()
    assert re.fullmatch(r"weak-to-strong-[0-9a-f]{8}", folder.name)
    assert {row["n"] for row in rows(folder)} == {
        json.loads((folder / "results.json").read_text())["task"]["parts"]["test"]
    }
