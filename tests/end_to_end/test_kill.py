"""Kill -9 at any moment and run the same command again: the same rows, and no finished job computed twice."""

from __future__ import annotations

import contextlib
import json
import os
import random
import signal
import time
from pathlib import Path

import pytest
import yaml
from faults import Crash, Shell, computed_again, events, leftovers, rows

pytestmark = pytest.mark.slow
KILLED = -signal.SIGKILL
PATIENCE = 60  # commands until one is not killed


def assert_as_if_nothing_happened(shell: Shell, undisturbed: Shell) -> None:
    """Assert that a run's rows are those of the undisturbed one, that no job ran twice, and that nothing is left."""
    assert rows(shell.folder / "run") == rows(undisturbed.folder / "run")
    assert not computed_again(shell.folder / "run")
    assert not leftovers(shell.folder / "run", shell.home)


def assert_whole(run: Path) -> None:
    """Assert that whatever file a killed run's folder holds can be read."""
    for name, read in (("config.yaml", yaml.safe_load), ("run.json", json.loads), ("results.json", json.loads)):
        if (run / name).exists():
            assert isinstance(read((run / name).read_text(encoding="utf-8")), dict)
    if (run / "events.jsonl").exists():
        events(run)


@pytest.mark.parametrize("seed", [0, 1])
def test_killed_again_and_again_while_writing_the_store(
    shell: Shell, undisturbed: Shell, study: list[str], seed: int
) -> None:
    draw, kills = random.Random(seed), 0
    for _ in range(PATIENCE):
        kept = shell.artifacts()
        ended = shell.fork(*study, "--out", "run", "--quiet", crash=Crash(str(shell.home), draw.randrange(2, 16)))
        assert kept.items() <= shell.artifacts().items(), "what was stored has been written again"
        if ended.code == 0:
            break
        assert ended.code == KILLED, ended.err
        assert_whole(shell.folder / "run")
        kills += 1
    assert kills >= 6
    assert_as_if_nothing_happened(shell, undisturbed)


def test_killed_before_each_change_to_the_run_folder(finished: Shell, undisturbed: Shell, study: list[str]) -> None:
    folder = finished.folder / "again"
    for number in range(1, PATIENCE):
        ended = finished.fork(*study, "--out", folder, "--quiet", crash=Crash(str(folder), number))
        if ended.code == 0:
            break
        assert ended.code == KILLED, ended.err
        assert_whole(folder)
    assert number > 10
    assert rows(folder) == rows(undisturbed.folder / "run")
    assert not any(event["event"] == "started" for event in events(folder))
    assert not leftovers(folder, finished.home)


@pytest.mark.parametrize("stage", ["features of hf:", "labels: weak", "student, ceiling, control: probe"])
def test_killed_from_outside_during(stage: str, shell: Shell, undisturbed: Shell, study: list[str]) -> None:
    process = shell.start(*study, "--out", "run")
    assert process.stderr
    with process:
        for line in process.stderr:
            if stage in line:
                os.kill(process.pid, signal.SIGKILL)
                break
    assert process.returncode == KILLED
    stored = shell.artifacts()
    shell.fork(*study, "--out", "run", "--quiet").exits(0)
    assert stored.items() <= shell.artifacts().items()
    assert_as_if_nothing_happened(shell, undisturbed)


def test_killed_at_random_times(shell: Shell, undisturbed: Shell, study: list[str]) -> None:
    draw, delay = random.Random(3), 0.3
    for _ in range(PATIENCE):
        ended = shell.fork(*study, "--out", "run", "--quiet", kill_after=delay)
        if ended.code == 0:
            break
        assert ended.code == KILLED, ended.err
        delay += draw.uniform(0.2, 0.8)
    assert_as_if_nothing_happened(shell, undisturbed)


def test_fine_tuned_run_killed_again_and_again(shell: Shell, study: list[str], tmp_path: Path) -> None:
    words = [*study, "--fit", "lora,epochs=1", "--task", few(study, tmp_path), "--methods", "naive", "--sweep", "0"]
    calm = Shell(shell.folder, shell.folder / "calm-home")
    calm.fork(*words, "--out", "calm", "--quiet").exits(0)
    draw = random.Random(5)
    for _ in range(PATIENCE):
        crash = Crash(str(shell.home), draw.randrange(6, 14))
        if shell.fork(*words, "--out", "run", "--quiet", crash=crash).code == 0:
            break
    assert rows(shell.folder / "run") == rows(shell.folder / "calm")
    assert not computed_again(shell.folder / "run")


def few(study: list[str], folder: Path, count: int = 90) -> str:
    """Return a task of the study's first rows."""
    table = Path(study[study.index("--task") + 1].removeprefix("file:"))
    lines = table.read_text(encoding="utf-8").splitlines(keepends=True)[: count + 1]
    (folder / "few.csv").write_text("".join(lines), encoding="utf-8")
    return f"file:{folder / 'few.csv'}"


def test_pool_finishes_when_a_worker_is_killed(shell: Shell, undisturbed: Shell, study: list[str]) -> None:
    process = shell.start(*study, "--out", "run", "--executor", "pool,workers=2")
    assert process.stderr
    with process:
        said = ""
        for line in process.stderr:
            if "features of hf:" in line and "features of hf:" not in said:
                (worker, *_) = [child for child in children(process.pid) if "spawn_main" in command(child)][-1:]
                os.kill(worker, signal.SIGKILL)
            said += line
    assert process.returncode == 0, said
    assert "Traceback" not in said
    assert rows(shell.folder / "run") == rows(undisturbed.folder / "run")


def test_no_worker_outlives_a_killed_pool(shell: Shell, undisturbed: Shell, study: list[str]) -> None:
    process = shell.start(*study, "--out", "run", "--executor", "pool,workers=2")
    assert process.stderr
    with process:
        for line in process.stderr:
            if "features of hf:" in line:
                break
        workers = children(process.pid)
        assert len(workers) >= 2
        os.kill(process.pid, signal.SIGKILL)
    assert gone(workers), [command(worker) for worker in workers]
    shell.fork(*study, "--out", "run", "--quiet").exits(0)
    assert_as_if_nothing_happened(shell, undisturbed)


def children(pid: int) -> list[int]:
    """Return the processes whose parent is `pid`."""
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            state = (folder / "stat").read_text()
            if int(state.rpartition(")")[2].split()[1]) == pid:
                found.append(int(folder.name))
    return sorted(found)


def command(pid: int) -> str:
    """Return a process's command line, or "" when it is gone."""
    with contextlib.suppress(OSError):
        return Path(f"/proc/{pid}/cmdline").read_text().replace("\0", " ")
    return ""


def gone(pids: list[int], seconds: float = 15) -> bool:
    """Wait until all processes have ended."""
    end = time.monotonic() + seconds
    while any(command(pid) for pid in pids):
        if time.monotonic() > end:
            return False
        time.sleep(0.1)
    return True
