"""A run's folder: refused when it holds something else or is damaged, never shared by two processes."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from faults import Shell, computed_again, events, rows, wait_for

pytestmark = pytest.mark.slow
CHANGES = {
    "seeds": (["--seeds", "3"], "seeds: 2 -> 3"),
    "methods": (["--methods", "naive", "logconf,alpha=0.75"], "methods: naive logconf -> naive logconf,alpha=0.75"),
    "shares": (["--shares", "1", "1", "1"], "shares: 5 6 5 -> 1 1 1"),
    "fit": (["--fit", "probe,validation=0.4"], "fit: probe -> probe,validation=0.4"),
    "task": (["--task", "facts,cities=60"], "-> facts,cities=60"),
}


def content(folder: Path) -> dict[str, bytes]:
    """Return what a run's folder holds."""
    return {file.name: file.read_bytes() for file in folder.iterdir() if file.is_file()}


@pytest.mark.parametrize("name", CHANGES)
def test_changed_settings_are_refused_with_the_difference(finished: Shell, study: list[str], name: str) -> None:
    words, difference = CHANGES[name]
    before = content(finished.folder / "run")
    for command in (["resume", "run", *words], [*study, *words, "--out", "run"]):
        ended = finished.fork(*command).exits(2)
        ended.says("error: these settings change the results", "where: run", difference, "another --out")
    assert content(finished.folder / "run") == before


def test_resume_with_the_same_setting(finished: Shell) -> None:
    before = rows(finished.folder / "run")
    ended = finished.fork("resume", "run", "--seeds", 2, "--json").exits(0)
    assert json.loads(ended.out)["rows"] == rows(finished.folder / "run") == before


@pytest.mark.parametrize(
    ("words", "named"),
    [(["--sedes", "3"], "did you mean '--seeds'?"), (["--out", "other"], "resume takes no --out")],
)
def test_mistakes_on_resume(finished: Shell, words: list[str], named: str) -> None:
    finished.fork("resume", "run", *words).exits(2).says(named)


def test_changed_data_is_refused(shell: Shell, undisturbed: Shell, study: list[str]) -> None:
    table = Path(study[study.index("--task") + 1].removeprefix("file:"))
    shutil.copy(table, shell.folder / "films.csv")
    shutil.copytree(undisturbed.home, shell.home)
    words = [*study, "--task", "file:films.csv", "--out", "run", "--quiet"]
    shell.fork(*words).exits(0)
    with (shell.folder / "films.csv").open("a") as file:
        file.write("One more film is dull,bad,3\n")
    for command in (words, ["resume", "run"]):
        ended = shell.fork(*command).exits(2)
        ended.says("error: what 'task' points at has changed since this run began", "where: run", "another --out")


@pytest.mark.parametrize(
    "damage", [b"", b"\xff\xfe\x00", b"study: [\n", b"- a\n", b"study: weak-to-strong\nsedes: 3\n"]
)
def test_damaged_config(finished: Shell, study: list[str], damage: bytes) -> None:
    (finished.folder / "run" / "config.yaml").write_bytes(damage)
    for command in (["resume", "run"], ["show", "run"]):
        finished.fork(*command).exits(2).says("error: ", "run/config.yaml")
    assert finished.fork(*study, "--out", "run").exits(2).err
    listed = json.loads(finished.fork("ls", "runs", "--folder", ".", "--json").exits(0).out)["runs"]
    assert [run["run"] for run in listed] == ["run"]
    assert listed[0]["state"] != "finished"
    assert (finished.folder / "run" / "config.yaml").read_bytes() == damage


@pytest.mark.parametrize("damage", [b"", b"\xff\xfe\x00", b"{}", b'{"rows": []}', b"[1, 2]"])
def test_damaged_results_are_written_again(finished: Shell, damage: bytes) -> None:
    before = rows(finished.folder / "run")
    (finished.folder / "run" / "results.json").write_bytes(damage)
    ended = finished.fork("show", "run").exits(2)
    ended.says("error: results.json is damaged", "run/results.json", "superalign resume run")
    if damage == b"{}":
        finished.fork("resume", "run", "--quiet").exits(0)
        assert rows(finished.folder / "run") == before


@pytest.mark.parametrize("damage", [b"", b"\xff\xfe", b"{}", b"[]", b'{"fingerprints": 3}'])
def test_damaged_identity(finished: Shell, damage: bytes) -> None:
    (finished.folder / "run" / "run.json").write_bytes(damage)
    finished.fork("resume", "run").exits(2).says("error: run.json is damaged", "run/run.json", "another --out")


def test_a_file_where_the_folder_should_be(finished: Shell, study: list[str]) -> None:
    (finished.folder / "notes.txt").write_text("mine")
    finished.fork(*study, "--out", "notes.txt").exits(2).says("error: 'notes.txt' is a file, not a folder")
    finished.fork(*study, "--out", "notes.txt/run").exits(3).says("error: cannot write", "Not a directory")
    assert (finished.folder / "notes.txt").read_text() == "mine"


def test_a_folder_with_a_config_of_something_else(finished: Shell, study: list[str]) -> None:
    other = "date: 2024-05-01\nname: {first: me}\n"
    (finished.folder / "other").mkdir()
    (finished.folder / "other" / "config.yaml").write_text(other)
    finished.fork(*study, "--out", "other").exits(2).says("error: these settings change the results", "2024-05-01")
    assert (finished.folder / "other" / "config.yaml").read_text() == other


def test_results_of_an_unfinished_run(finished: Shell) -> None:
    (finished.folder / "run" / "results.json").unlink()
    for command in ("show", "report"):
        finished.fork(command, "run").exits(2).says("error: no results in 'run'", "superalign resume run")
    listed = json.loads(finished.fork("ls", "runs", "--folder", ".", "--json").exits(0).out)["runs"]
    assert [(run["run"], run["state"]) for run in listed] == [("run", "unfinished")]


def test_show_and_report(finished: Shell) -> None:
    result = (finished.folder / "run" / "results.json").read_text(encoding="utf-8")
    assert finished.fork("show", "run", "--json").exits(0).out == result
    shown = finished.fork("show", "run").exits(0).out
    assert "logconf" in shown
    assert "\x1b" not in shown
    report = (finished.folder / "run" / "report.html").read_bytes()
    assert finished.fork("report", "run", "--out", "new/report.html").exits(0).out == "new/report.html\n"
    assert (finished.folder / "new" / "report.html").read_bytes() == report
    for folder in (".", "new"):
        assert finished.fork("report", "run", "--out", folder).exits(0).out.endswith("report.html\n")
    assert (finished.folder / "report.html").read_bytes() == report


def test_two_processes_at_once(shell: Shell, undisturbed: Shell, study: list[str]) -> None:
    first = shell.start(*study, "--out", "run")
    wait_for(first, "features of hf:")
    second = shell.fork(*study, "--out", "run").exits(2)
    second.says("error: 'run' is being written by another process")
    shell.fork(*study, "--out", "other", "--quiet").exits(0)  # the same store at the same time
    _, said = first.communicate(timeout=120)
    assert first.returncode == 0, said
    assert rows(shell.folder / "run") == rows(shell.folder / "other") == rows(undisturbed.folder / "run")
    assert events(shell.folder / "run")[-1]["event"] == "done"
    assert not computed_again(shell.folder / "run")
