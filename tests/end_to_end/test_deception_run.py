"""`superalign run deception` as a user runs it: the folder, the same again, what reads it, and mistakes."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from finished_runs import assert_it_can_be_read, assert_resume_computes_nothing, assert_table_is_the_rows

from faults import Shell
from superalign.deception_result import DeceptionResult

FACTS = ["--target", "facts,pairs=true,cities=120"]


@pytest.fixture(scope="session")
def deception_run(tiny: Callable[[str], Path], tmp_path_factory: pytest.TempPathFactory) -> Shell:
    """Return a shell in which the study was run once, to its end, into the folder `runs/run`."""
    folder = tmp_path_factory.mktemp("deception")
    shell = Shell(folder, folder / "home")
    models = ["--weak", f"hf:{tiny('bert')}", "--strong", f"hf:{tiny('llama')}", "--through", f"hf:{tiny('gpt2')}"]
    words = ["run", "deception", *models, *FACTS, "--seeds", "2", "--curve", "0.6", "0.75", "--threads", "1"]
    planned = shell.fork(*words, "--dry-run").exits(0)
    assert all(word in planned.out for word in ("nothing was run", "supervise", "parameters"))
    ended = shell.fork(*words, "--out", "runs/run").exits(0)
    (folder / "out.txt").write_text(ended.out, encoding="utf-8")
    return shell


@pytest.mark.slow
def test_folder_and_summary_hold_the_result(deception_run: Shell) -> None:
    folder = deception_run.folder / "runs/run"
    result = DeceptionResult.model_validate_json((folder / "results.json").read_text(encoding="utf-8"))
    assert {(one.labels, one.conflict) for one in result.summary} == {
        (labels, conflict)
        for labels in ("weak", "truth", "sure", "through")
        for conflict in ("none", "explicit", "implicit")
        if (labels, conflict) != ("truth", "none")
    }
    assert result.other == "facts,cities=54,first_rank=120,pairs=True, longer preferred"
    out = (deception_run.folder / "out.txt").read_text(encoding="utf-8")
    assert all(word in out for word in ("explicit", "implicit", "not testable here", "report: runs/run/report.html"))
    page = (folder / "report.html").read_text(encoding="utf-8")
    assert "Monitors without a ceiling" in page
    assert "<script" not in page.lower()


@pytest.mark.slow
def test_what_reads_a_run_reads_this_one(deception_run: Shell, tmp_path: Path) -> None:
    assert_table_is_the_rows(deception_run)
    folder = deception_run.folder / "runs/run"
    first = json.loads((folder / "results.json").read_text(encoding="utf-8"))["verdict"][0]
    reader = Shell(tmp_path / "reader", tmp_path / "home")
    (tmp_path / "reader").mkdir()
    assert_it_can_be_read(deception_run, reader)
    assert first[:40] in reader.fork("show", "runs/run").exits(0).out


@pytest.mark.slow
def test_resume_computes_nothing_and_refuses_other_settings(deception_run: Shell, shell: Shell) -> None:
    assert_resume_computes_nothing(deception_run, shell)
    shell.fork("resume", "runs/run", "--threshold", "0.8").exits(2).says("threshold: 0.75 -> 0.8")


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--conflcits", "explicit"], "did you mean '--conflicts'?"),
        (["--target", "file:pairs.jsonl"], "needs pairs of another aim"),
        (["--method", "dop"], "did you mean 'dpo'?"),
        (["--threshold", "0.3"], "'threshold' of deception"),
        (
            ["--method", "kto", "--fit", "lora,read=policy", "--weak-fit", "lora,read=policy"],
            "cannot be put in conflict",
        ),
    ],
)
def test_mistakes_are_named(shell: Shell, words: list[str], said: str) -> None:
    shell.fork("run", "deception", *words).exits(2).says(said)
