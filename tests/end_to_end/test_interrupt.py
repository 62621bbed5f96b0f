"""Ctrl-C at any moment: exit code 130, one clear line, and the same command goes on."""

from __future__ import annotations

import os
import signal
import subprocess
import time

import pytest

from faults import Ended, Shell, children, computed_again, gone, leftovers, rows, wait_for

pytestmark = pytest.mark.slow


def press_ctrl_c(process: subprocess.Popen[str]) -> Ended:
    """Interrupt a process and its helpers, as a terminal does."""
    os.killpg(process.pid, signal.SIGINT)
    out, err = process.communicate(timeout=15)
    return Ended(process.returncode, out, err)


def assert_stopped(ended: Ended) -> None:
    """Assert that one line says so, and no other trouble is shown."""
    lines = [line for line in ended.exits(130).err.splitlines() if line.strip() and not line.startswith("[")]
    assert lines == ["stopped; nothing that finished is lost: the same command goes on from here"]


def test_interrupted_at_start_and_in_later_stages(shell: Shell, undisturbed: Shell, study: list[str]) -> None:
    for delay in (0.7, 2.0):
        process = shell.start(*study, "--out", "run")
        time.sleep(delay)
        assert_stopped(press_ctrl_c(process))
    process = shell.start(*study, "--out", "run")
    wait_for(process, "student, ceiling, control: probe")
    assert_stopped(press_ctrl_c(process))
    shell.fork("resume", "run", "--quiet").exits(0)
    assert rows(shell.folder / "run") == rows(undisturbed.folder / "run")
    assert not computed_again(shell.folder / "run")
    assert not leftovers(shell.folder / "run", shell.home)


def test_interrupted_pool_stops_its_workers(shell: Shell, undisturbed: Shell, study: list[str]) -> None:
    process = shell.start(*study, "--out", "run", "--executor", "pool,workers=2")
    wait_for(process, "features of hf:")
    helpers = children(process.pid)
    assert_stopped(press_ctrl_c(process))
    assert gone(helpers)
    shell.fork("resume", "run", "--quiet").exits(0)
    assert rows(shell.folder / "run") == rows(undisturbed.folder / "run")
    assert not computed_again(shell.folder / "run")
