"""`superalign run error-lab` as a user runs it: the folder, the same again, the plan, and what reads it."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from finished_runs import assert_it_can_be_read, assert_resume_computes_nothing, assert_table_is_the_rows

from faults import Shell
from superalign.structure_result import ErrorLabResult

pytestmark = pytest.mark.slow
STRUCTURES = ["weak", "random", "simulable,k=4", "trivial"]


@pytest.fixture(scope="session")
def lab_run(tiny: Callable[[str], Path], study: list[str], tmp_path_factory: pytest.TempPathFactory) -> Shell:
    """Return a shell in which the study was run once, to its end, into the folder `runs/run`."""
    folder = tmp_path_factory.mktemp("error-lab")
    shell = Shell(folder, folder / "home")
    models = ["--weak", f"hf:{tiny('bert')}", "--strong", f"hf:{tiny('llama')}"]
    words = ["run", "error-lab", *models, "--task", study[study.index("--task") + 1], "--seeds", "2"]
    words += ["--methods", "naive", "--structures", *STRUCTURES]
    planned = shell.fork(*words, "--dry-run").exits(0)
    (folder / "plan.txt").write_text(planned.out, encoding="utf-8")
    ended = shell.fork(*words, "--threads", "1", "--out", "runs/run").exits(0)
    (folder / "out.txt").write_text(ended.out, encoding="utf-8")
    return shell


def test_folder_and_summary_hold_the_result(lab_run: Shell) -> None:
    folder = lab_run.folder / "runs/run"
    result = ErrorLabResult.model_validate_json((folder / "results.json").read_text(encoding="utf-8"))
    assert [(row.structure, row.seed) for row in result.rows] == [
        (structure, seed) for structure in (*STRUCTURES, "") for seed in (0, 1)
    ]
    assert len({tuple(one.errors) for one in result.structures}) == 1
    out = (lab_run.folder / "out.txt").read_text(encoding="utf-8")
    assert all(structure in out for structure in STRUCTURES)
    assert all(claim.finding in out for claim in result.claims)
    assert "<script" not in (folder / "report.html").read_text(encoding="utf-8").lower()


def test_the_plan_counts_the_jobs_that_the_run_had(lab_run: Shell) -> None:
    plan = (lab_run.folder / "plan.txt").read_text(encoding="utf-8")
    run = json.loads((lab_run.folder / "runs/run/results.json").read_text(encoding="utf-8"))
    assert plan.startswith(f"error-lab: {run['jobs']['total']} jobs, 0 of them in the store; nothing was run")


def test_table_is_the_rows(lab_run: Shell) -> None:
    assert_table_is_the_rows(lab_run)


def test_show_report_and_list_read_the_run(lab_run: Shell, shell: Shell) -> None:
    assert_it_can_be_read(lab_run, shell)


def test_resume_computes_nothing(lab_run: Shell, shell: Shell) -> None:
    assert_resume_computes_nothing(lab_run, shell)


def test_structures_are_listed_and_mistakes_explained(shell: Shell) -> None:
    assert "ceiling-unsure" in shell.fork("ls", "structures").exits(0).out
    shell.fork("run", "error-lab", "--structures", "longst").exits(2).says("did you mean 'longest'")
