"""Kill -9 at any moment and run the same command again: the same rows, and no finished job computed twice."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import yaml

from faults import Crash, Shell, children, computed_again, events, flip_bit, gone, leftovers, rows, wait_for

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


def test_killed_again_and_again_while_writing_the_store(shell: Shell, undisturbed: Shell, study: list[str]) -> None:
    draw, kills = random.Random(0), 0
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


def test_killed_from_outside_in_one_stage_after_the_other(shell: Shell, undisturbed: Shell, study: list[str]) -> None:
    for stage in ("features of hf:", "student, ceiling, control: probe"):
        process = shell.start(*study, "--out", "run")
        wait_for(process, stage)
        os.kill(process.pid, signal.SIGKILL)
        process.communicate()
        assert process.returncode == KILLED
    shell.fork(*study, "--out", "run", "--quiet").exits(0)
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
    for number in range(PATIENCE):  # in turn while it writes the store and while it trains
        crash = Crash(str(shell.home), draw.randrange(6, 14)) if number % 2 else None
        ended = shell.fork(*words, "--out", "run", "--quiet", crash=crash, kill_after=0.8 + 0.3 * number)
        if ended.code == 0:
            break
        assert ended.code == KILLED, ended.err
    assert rows(shell.folder / "run") == rows(shell.folder / "calm")
    assert not computed_again(shell.folder / "run")


OFTEN = "import math, sys, superalign.checkpoint as c; c.EVERY, c.SHARE = 0.0, math.inf; "
OFTEN += "from superalign.cli import main; sys.exit(main(sys.argv[1:]))"


def start_often(shell: Shell, *words: object) -> subprocess.Popen[str]:
    """Start the command line with a checkpoint after every step of a training."""
    return subprocess.Popen(
        [sys.executable, "-c", OFTEN, *map(str, words)],
        cwd=shell.folder,
        env=shell.environment({}),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )


def whole_checkpoints(shell: Shell) -> list[Path]:
    """Return the folders of the whole checkpoints in the store, oldest first."""
    found = (shell.home / "store" / "checkpoints").glob("*/00/*/record.json")
    return sorted((file.parent for file in found if file.parent.name.count("-") == 1), key=lambda path: path.name)


def kill_while_it_trains(shell: Shell, *words: object, step: int) -> None:
    """Start the command and kill it as soon as a training has kept a checkpoint of that step, or a later one."""
    process = start_often(shell, *words)
    end = time.monotonic() + 120
    while not any(int(path.name[:8]) >= step for path in whole_checkpoints(shell)):
        assert process.poll() is None, "it ended before it was killed"
        assert time.monotonic() < end
        time.sleep(0.005)
    process.kill()
    assert process.wait() == KILLED


def gone_on_from(run: Path) -> list[tuple[int, int]]:
    """Return, for each training that went on, the step of its checkpoint and the steps in all."""
    notes = (event["text"].split() for event in events(run) if event["event"] == "notice")
    return [(int(words[-3]), int(words[-1])) for words in notes if words[:3] == ["training", "goes", "on"]]


def test_killed_while_it_fine_tunes_it_goes_on_from_the_last_checkpoint(
    shell: Shell, study: list[str], tmp_path: Path
) -> None:
    fit = "lora,epochs=4,batch=4,dropout=0.2,stop=early"
    words = [*study, "--fit", fit, "--task", few(study, tmp_path, 240), "--methods", "naive", "--sweep", "0"]
    calm = Shell(shell.folder, shell.folder / "calm-home")
    calm.fork(*words, "--out", "calm", "--quiet").exits(0)
    for step in (5, 30):
        kill_while_it_trains(shell, *words, "--out", "run", "--quiet", step=step)
    newest = whole_checkpoints(shell)[-1]
    flip_bit(next(newest.parent.glob(f"{newest.name}-*/tensors.safetensors")), 0.8)
    shell.fork(*words, "--out", "run", "--quiet").exits(0)
    assert rows(shell.folder / "run") == rows(shell.folder / "calm")
    assert not computed_again(shell.folder / "run")
    assert not leftovers(shell.folder / "run", shell.home)
    assert not whole_checkpoints(shell)
    (first, steps), (second, _) = gone_on_from(shell.folder / "run")
    assert 4 <= first < second
    assert 29 <= second < steps
    said = [event["text"] for event in events(shell.folder / "run") if event["event"] == "notice"]
    assert any("checkpoint: artifact" in text and "is damaged" in text for text in said)


def few(study: list[str], folder: Path, count: int = 90) -> str:
    """Return a task of the study's first rows."""
    table = Path(study[study.index("--task") + 1].removeprefix("file:"))
    lines = table.read_text(encoding="utf-8").splitlines(keepends=True)[: count + 1]
    (folder / "few.csv").write_text("".join(lines), encoding="utf-8")
    return f"file:{folder / 'few.csv'}"


def test_pool_finishes_when_a_worker_is_killed(shell: Shell, undisturbed: Shell, study: list[str]) -> None:
    process = shell.start(*study, "--out", "run", "--executor", "pool,workers=2")
    wait_for(process, "features of hf:")
    os.kill(children(process.pid, "spawn_main")[-1], signal.SIGKILL)
    _, said = process.communicate()
    assert process.returncode == 0, said
    assert "Traceback" not in said
    assert "a worker process died; its jobs are given out again" in said
    assert_as_if_nothing_happened(shell, undisturbed)


def test_no_worker_outlives_a_killed_pool(shell: Shell, undisturbed: Shell, study: list[str]) -> None:
    process = shell.start(*study, "--out", "run", "--executor", "pool,workers=2")
    wait_for(process, "features of hf:")
    helpers = children(process.pid)
    assert len(helpers) >= 3
    os.kill(process.pid, signal.SIGKILL)
    process.communicate()
    assert gone(helpers)
    shell.fork(*study, "--out", "run", "--quiet").exits(0)
    assert_as_if_nothing_happened(shell, undisturbed)
