"""`--sink` from the command line: the run is the same with and without, and each tool shows it."""

from __future__ import annotations

import dataclasses
import json
import os
import re
import signal
import sys
from collections.abc import Mapping
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest

import sink_readers
from faults import Ended, Shell, events, rows, wait_for
from sink_readers import Shown
from superalign.cli import main

NAMES = ("mlflow", "tensorboard", "trackio", "wandb")
NOWHERE = {"HTTPS_PROXY": "http://127.0.0.1:9", "HTTP_PROXY": "http://127.0.0.1:9"}


@dataclasses.dataclass(frozen=True)
class Tooled(Shell):
    """A shell in which each tool keeps its things in the working folder, and reaches nothing."""

    def environment(self, settings: Mapping[str, str]) -> dict[str, str]:
        """See Shell.environment."""
        tools = {name: str(self.folder / "tools") for name in ("WANDB_DATA_DIR", "WANDB_CACHE_DIR", "WANDB_CONFIG_DIR")}
        return super().environment(
            {**NOWHERE, **tools, "TRACKIO_DIR": str(self.folder / "trackio"), "WANDB_API_KEY": "", **settings}
        )


def needed(*names: str) -> None:
    """Skip the test unless the packages are installed."""
    for name in names:
        if find_spec(name) is None:
            pytest.skip(f"{name} is not installed: pip install 'superalign[{name}]'")


def notices(run: Path) -> list[str]:
    """Return what the run's events say of its sinks."""
    texts = [event["text"] for event in events(run) if event["event"] == "notice"]
    return [text for text in texts if text.startswith("sink ")]


def figures(run: Path) -> dict[str, Any]:
    """Return the summary of a run's results by role and method."""
    result = json.loads((run / "results.json").read_text(encoding="utf-8"))
    return {f"{one['role']}/{one['method']}": one for one in result["summary"]}


@pytest.fixture(scope="module")
def fed(study: list[str], tmp_path_factory: pytest.TempPathFactory) -> Tooled:
    """Return a shell in which the probe study on facts ran once, into every sink that is installed."""
    folder = tmp_path_factory.mktemp("fed")
    shell = Tooled(folder, folder / "home")
    settings = {"wandb": "wandb,mode=offline,project=p", "mlflow": "mlflow,uri=sqlite:///runs.db"}
    sinks = [word for name in NAMES if find_spec(name) for word in ("--sink", settings.get(name, name))]
    words = [*study, "--task", "facts,cities=150", "--sweep", "0", "--out", "run", "--json"]
    ended = shell.run(*words, *sinks).exits(0)
    assert json.loads(ended.out)["study"] == "weak-to-strong"
    lines = [line for line in ended.err.splitlines() if line and not line.startswith("[")]
    assert not lines, "a tool said something"
    return shell


def shown(name: str, folder: Path) -> Shown:
    """Read what one tool holds of the run."""
    if name == "tensorboard":
        return sink_readers.tensorboard(folder / "run" / "tensorboard")
    if name == "wandb":
        return sink_readers.wandb(folder / "run")
    if name == "mlflow":
        return sink_readers.mlflow(f"sqlite:///{folder}/runs.db", "superalign")
    return sink_readers.trackio(folder / "trackio", "superalign")


@pytest.mark.slow
@pytest.mark.parametrize("name", NAMES)
def test_a_tool_shows_the_run(name: str, fed: Tooled, monkeypatch: pytest.MonkeyPatch) -> None:
    needed(name)
    monkeypatch.chdir(fed.folder)
    found = shown(name, fed.folder)
    assert not notices(fed.folder / "run")
    assert (found.name, found.state, found.reports) == ("run", "finished", 1)
    assert "weak-to-strong" in found.config
    steps = [step for step, _ in found.series["jobs/share_done"]]
    assert steps == list(range(1, len(steps) + 1))
    assert found.series["jobs/share_done"][-1][1] == 1
    summary = figures(fed.folder / "run")
    assert {"weak/naive", "student/naive", "ceiling/naive", "control/naive"} <= set(summary)
    for one in summary.values():
        method = re.sub(r"[^0-9A-Za-z_.-]+", "_", one["method"])
        for figure, value in (("", "value"), ("_low", "low"), ("_high", "high")):
            expected = one["accuracy"][value]
            assert found.figures[f"accuracy{figure}/{one['role']}/{method}"] == pytest.approx(expected, rel=1e-6)
        assert found.figures[f"ece/{one['role']}/{method}"] == pytest.approx(one["ece"], rel=1e-6)


@pytest.mark.slow
def test_training_losses_in_a_pool(shell: Shell, study: list[str]) -> None:
    needed("tensorboard")
    words = ["--fit", "lora,epochs=3,batch=8", "--task", "facts,cities=90", "--methods", "naive", "--sweep", "0"]
    words += ["--seeds", "1", "--executor", "pool,workers=2", "--out", "run", "--quiet"]
    shell.run(*study, *words, "--sink", "tensorboard").exits(0)
    found = shown("tensorboard", shell.folder)
    losses = {tag: points for tag, points in found.series.items() if tag.endswith("/loss")}
    assert len(losses) == 3  # student, ceiling, control
    for role in ("student", "ceiling", "control"):
        (facts,) = (row["facts"] for row in rows(shell.folder / "run") if row["role"] == role)
        (points,) = (points for tag, points in losses.items() if tag.startswith(f"{role}_naive_lora"))
        assert [step for step, _ in points] == [*range(10, facts["steps"], 10), facts["steps"]]
        assert points[0][1] == pytest.approx(facts["first_loss"], rel=1e-5)
    rates = [points for tag, points in found.series.items() if tag.endswith("/tokens_per_second")]
    assert len(rates) >= 3
    assert all(value > 0 for points in rates for _, value in points)


def test_sinks_change_no_result_and_a_finished_run_can_be_shown_later(finished: Shell, study: list[str]) -> None:
    needed("tensorboard")
    before = (finished.folder / "run" / "config.yaml").read_bytes(), rows(finished.folder / "run")
    finished.fork("resume", "run", "--quiet", "--sink", "tensorboard,folder=boards").exits(0)
    assert ((finished.folder / "run" / "config.yaml").read_bytes(), rows(finished.folder / "run")) == before
    assert not any(event["event"] == "started" for event in events(finished.folder / "run")[-3:])
    board = sink_readers.tensorboard(finished.folder / "boards" / "run")
    assert board.state == "finished"
    assert "accuracy/student/naive" in board.figures


def test_a_missing_package_is_told_before_any_work(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setitem(sys.modules, "wandb", None)
    assert main(["run", "weak-to-strong", "--out", "run", "--sink", "wandb"]) == 2
    said = capsys.readouterr().err
    assert "this needs 'wandb', which is not installed" in said
    assert "pip install 'superalign[wandb]'" in said
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    ("sink", "hint"),
    [("tensorbord", "did you mean 'tensorboard'?"), ("wandb,mod=offline", "did you mean 'mode'?")],
)
def test_a_misspelt_sink(shell: Shell, sink: str, hint: str) -> None:
    shell.fork("run", "weak-to-strong", "--out", "run", "--sink", sink).exits(2).says(hint)
    assert not (shell.folder / "run").exists()


def test_sinks_that_break_are_reported_once_and_harm_nothing(finished: Shell) -> None:
    needed("tensorboard", "wandb")
    tools = Tooled(finished.folder, finished.home)
    broken = ["--sink", "tensorboard,folder=/dev/null/board", "--sink", "wandb,mode=online"]
    ended = tools.fork("resume", "run", *broken).exits(0)
    board, login = sorted(notices(finished.folder / "run"))
    assert board.startswith("sink tensorboard: NotADirectoryError: ")
    assert login == ("sink wandb: nobody is logged in to wandb; wandb login, or wandb,mode=offline; it is switched off")
    assert ended.err.count("is switched off") == 2


@pytest.mark.slow
def test_ctrl_c_closes_the_sinks(shell: Shell, study: list[str]) -> None:
    needed("tensorboard", "wandb")
    tools = Tooled(shell.folder, shell.home)
    process = tools.start(*study, "--out", "run", "--sink", "tensorboard", "--sink", "wandb,mode=offline")
    wait_for(process, "features of hf:")
    os.killpg(process.pid, signal.SIGINT)
    out, err = process.communicate(timeout=30)
    ended = Ended(process.returncode, out, err).exits(130)
    assert [line for line in ended.err.splitlines() if line.strip() and not line.startswith("[")] == [
        "stopped; nothing that finished is lost: the same command goes on from here"
    ]
    assert shown("tensorboard", shell.folder).state == "stopped"
    tools.fork("resume", "run", "--quiet", "--sink", "tensorboard").exits(0)
    assert shown("tensorboard", shell.folder).state == "finished"
