"""What must hold for a finished run of every study, in the folder `runs/run` of its shell."""

from __future__ import annotations

import csv
import json
import shutil

from faults import Shell, computed_again, events


def assert_table_is_the_rows(ran: Shell) -> None:
    """Assert that results.csv holds what the rows of results.json do."""
    folder = ran.folder / "runs/run"
    with (folder / "results.csv").open(newline="", encoding="utf-8") as file:
        table = list(csv.DictReader(file))
    rows = json.loads((folder / "results.json").read_text(encoding="utf-8"))["rows"]
    assert table == [
        {name: "" if value is None else str(value) for name, value in row.items() if name != "facts"} for row in rows
    ]


def assert_it_can_be_read(ran: Shell, shell: Shell) -> None:
    """Assert that `show`, `report` and `ls runs` read the run, in a shell with nothing in it."""
    folder = ran.folder / "runs/run"
    shutil.copytree(ran.folder / "runs", shell.folder / "runs")
    text = (folder / "results.json").read_text(encoding="utf-8")
    assert shell.fork("show", "runs/run", "--json").exits(0).out == text
    first = json.loads(text)["verdict"][1]
    assert first[:20] in shell.fork("show", "runs/run").exits(0).out
    shell.fork("report", "runs/run", "--out", "again.html").exits(0)
    assert (shell.folder / "again.html").read_bytes() == (folder / "report.html").read_bytes()
    (listed,) = json.loads(shell.fork("ls", "runs", "--json").exits(0).out)["runs"]
    assert listed["state"] == "finished"
    assert listed["finding"].startswith(first)


def assert_resume_computes_nothing(ran: Shell, shell: Shell) -> None:
    """Copy the run and its store into a shell with nothing in it, and assert that `resume` finds all of it there."""
    shutil.copytree(ran.home, shell.home)
    shutil.copytree(ran.folder / "runs", shell.folder / "runs")
    run = shell.folder / "runs/run"
    result = json.loads(shell.fork("resume", "runs/run", "--threads", "1", "--json", "--quiet").exits(0).out)
    assert result["jobs"]["computed"] == 0
    assert not computed_again(run)
    assert events(run)[-1]["event"] == "done"
