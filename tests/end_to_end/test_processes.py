"""The command line in two processes that train together, started by torch's own launcher."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from faults import Ended, Shell, children, events, leftovers, rows

pytestmark = pytest.mark.slow
LAUNCHER = ("-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2", "-m", "superalign")
FIT = "lora,epochs=2,batch=8,stop=oracle-early-stop"


def start(shell: Shell, *words: object) -> subprocess.Popen[str]:
    """Start a command in two processes, in a group of their own."""
    return subprocess.Popen(
        [sys.executable, *LAUNCHER, *map(str, words)],
        cwd=shell.folder,
        env=shell.environment({"SUPERALIGN_THREADS": "1"}),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        encoding="utf-8",
        start_new_session=True,
    )


def end_of(process: subprocess.Popen[str]) -> Ended:
    """Wait for the launcher."""
    out, err = process.communicate(timeout=200)
    return Ended(process.returncode, out, err)


@pytest.fixture
def words(study: list[str], tmp_path: Path) -> list[str]:
    """Return a command that fine-tunes on the study's first rows, in float32 on every machine."""
    place = study.index("--task") + 1
    lines = Path(study[place].removeprefix("file:")).read_text(encoding="utf-8").splitlines(keepends=True)[:121]
    (tmp_path / "few.csv").write_text("".join(lines), encoding="utf-8")
    few = [*study[:place], f"file:{tmp_path / 'few.csv'}", *study[place + 1 :]]
    few[few.index("--strong") + 1] += ",dtype=fp32"
    return [*few, "--fit", FIT, "--methods", "naive", "logconf", "--seeds", "1", "--sweep", "0"]


def accuracies(run: Path) -> list[float]:
    """Return the accuracy of every row of a finished run."""
    return [row["accuracy"] for row in rows(run)]


def test_two_processes_answer_what_one_answers(words: list[str], shell: Shell) -> None:
    calm = Shell(shell.folder, shell.folder / "calm-home")
    calm.fork(*words, "--out", "calm", "--quiet").exits(0)
    ended = end_of(start(shell, *words, "--out", "run")).exits(0)
    assert ended.err.count("jobs, 0 of them already in the store") == 1  # one process speaks
    assert ended.out.count("report: ") == 1
    heard = [event["event"] for event in events(shell.folder / "run")]
    assert heard.count("run") == heard.count("done") == 1
    assert heard.count("started") == heard.count("finished") > 5
    taught = [json.loads(record.read_text()) for record in (shell.home / "store").glob("??/*/record.json")]
    counts = [facts.get("processes") for one in taught for facts in one["meta"].get("facts", []) if "steps" in facts]
    assert len(counts) >= 3
    assert set(counts) == {2}
    np.testing.assert_allclose(accuracies(shell.folder / "run"), accuracies(shell.folder / "calm"), atol=0.06)
    assert not leftovers(shell.folder / "run", shell.home)
    assert all(event["event"] != "notice" for event in events(shell.folder / "run"))


def test_a_mistake_is_told_once_and_ends_both(words: list[str], shell: Shell) -> None:
    ended = end_of(start(shell, *words, "--fit", "lora,target=q_prj", "--out", "run", "--quiet"))
    assert ended.code != 0
    assert ended.err.count("error: the model has no linear layer 'q_prj'") == 1
    assert "did you mean 'q_proj'" in ended.err


def test_when_the_helper_is_killed_all_end_and_the_command_goes_on(words: list[str], shell: Shell) -> None:
    process = start(shell, *words, "--out", "run")
    wait_for_training(shell.folder / "run", process)
    both = children(process.pid, "superalign")
    (helper,) = (pid for pid in both if b"RANK=1" in Path(f"/proc/{pid}/environ").read_bytes().split(b"\0"))
    os.kill(helper, signal.SIGKILL)
    assert end_of(process).code != 0
    shell.fork(*words, "--out", "run", "--quiet").exits(0)
    assert accuracies(shell.folder / "run")
    assert not leftovers(shell.folder / "run", shell.home)


def wait_for_training(run: Path, process: subprocess.Popen[str]) -> None:
    """Wait until a fine-tuning has started."""
    end = time.monotonic() + 120
    while not any(event["event"] == "started" and "lora" in event["title"] for event in so_far(run)):
        assert process.poll() is None
        assert time.monotonic() < end
        time.sleep(0.05)


def so_far(run: Path) -> list[dict[str, Any]]:
    """Return the events so far, without a last line that is being written."""
    file = run / "events.jsonl"
    lines = file.read_text(encoding="utf-8").splitlines(keepends=True) if file.exists() else []
    return [json.loads(line) for line in lines if line.endswith("\n")]
