"""`superalign run label-noise` as a user runs it: the folder, the same again, and what reads it."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml
from finished_runs import assert_it_can_be_read, assert_resume_computes_nothing, assert_table_is_the_rows

from faults import Shell
from superalign.noise_result import LabelNoiseResult

pytestmark = pytest.mark.slow
SETTINGS = ["--seeds", "2", "--rates", "0.4", "0", "0.2", "--methods", "naive", "gce", "--filters", "agreement"]


@pytest.fixture(scope="session")
def noise_run(tiny: Callable[[str], Path], study: list[str], tmp_path_factory: pytest.TempPathFactory) -> Shell:
    """Return a shell in which the study was run once, to its end, into the folder `runs/run`."""
    folder = tmp_path_factory.mktemp("label-noise")
    shell = Shell(folder, folder / "home")
    task = study[study.index("--task") + 1]
    words = ["run", "label-noise", "--model", f"hf:{tiny('llama')}", "--task", task, *SETTINGS, "--threads", "1"]
    ended = shell.fork(*words, "--out", "runs/run").exits(0)
    (folder / "out.txt").write_text(ended.out, encoding="utf-8")
    return shell


def test_folder_and_summary_hold_the_result(noise_run: Shell) -> None:
    folder = noise_run.folder / "runs/run"
    assert {"config.yaml", "run.json", "events.jsonl", "results.json", "results.csv", "report.html"} <= {
        path.name for path in folder.iterdir()
    }
    result = LabelNoiseResult.model_validate_json((folder / "results.json").read_text(encoding="utf-8"))
    methods = ["naive", "gce", "naive after agreement", "gce after agreement"]
    assert [(row.method, row.rate, row.seed) for row in result.rows] == [
        (method, rate, seed) for method in methods for rate in (0.0, 0.2, 0.4) for seed in (0, 1)
    ]
    assert result.config == yaml.safe_load((folder / "config.yaml").read_text(encoding="utf-8"))
    out = (noise_run.folder / "out.txt").read_text(encoding="utf-8")
    assert all(method in out for method in methods)
    assert "report: runs/run/report.html" in out
    page = (folder / "report.html").read_text(encoding="utf-8")
    assert "Accuracy against the noise rate, labels after agreement" in page
    assert "<script" not in page.lower()


def test_table_is_the_rows(noise_run: Shell) -> None:
    assert_table_is_the_rows(noise_run)


def test_show_report_and_list_read_the_run(noise_run: Shell, shell: Shell) -> None:
    assert_it_can_be_read(noise_run, shell)


def test_resume_computes_nothing_and_refuses_other_settings(noise_run: Shell, shell: Shell) -> None:
    assert_resume_computes_nothing(noise_run, shell)
    ended = shell.fork("resume", "runs/run", "--noise", "class-dependent").exits(2)
    ended.says("noise: symmetric -> class-dependent", "start a new run with another --out")
    shell.fork("resume", "runs/run", "--rates", "0", "0.3").exits(2).says("rates: 0.0 0.2 0.4 -> 0.0 0.3")


def test_a_damaged_result_is_computed_again_from_the_store(noise_run: Shell, shell: Shell) -> None:
    shutil.copytree(noise_run.home, shell.home)
    shutil.copytree(noise_run.folder / "runs", shell.folder / "runs")
    results = shell.folder / "runs/run/results.json"
    before = json.loads(results.read_text(encoding="utf-8"))
    results.write_text("{", encoding="utf-8")
    shell.fork("show", "runs/run").exits(2).says("damaged", "superalign resume runs/run")
    shell.fork("resume", "runs/run", "--threads", "1").exits(0)
    after = json.loads(results.read_text(encoding="utf-8"))
    assert after["rows"] == before["rows"]


def test_mistakes_are_explained(shell: Shell) -> None:
    shell.fork("run", "label-nois").exits(2).says("did you mean 'label-noise'")
    shell.fork("run", "label-noise", "--rates", "0.2", "1.5").exits(2).says("rates")
    shell.fork("run", "label-noise", "--noise", "symetric").exits(2).says("did you mean 'symmetric'")
    shell.fork("run", "label-noise", "--rate", "0.2").exits(2).says("did you mean '--rates'")
