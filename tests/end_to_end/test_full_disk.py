"""A disk that is really full: a clear message, nothing half-written, and later the same command finishes."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from faults import Ended, Shell, computed_again, events, leftovers, mount, rows, small_disk
from superalign.store import Store

pytestmark = pytest.mark.slow
FULL = "error: the disk is full"


@pytest.fixture
def store_disk(shell: Shell) -> Iterator[Path]:
    """Mount a disk of 8 kB as the home of models and artifacts."""
    try:
        with small_disk(shell.home, "8k") as disk:
            yield disk
    except PermissionError as error:
        pytest.skip(f"a small disk cannot be mounted here: {error}")


@pytest.fixture
def run_disk(finished: Shell) -> Iterator[Path]:
    """Mount a disk of 4 kB as a run's folder."""
    try:
        with small_disk(finished.folder / "small", "4k") as disk:
            yield disk
    except PermissionError as error:
        pytest.skip(f"a small disk cannot be mounted here: {error}")


def grow_until_it_fits(shell: Shell, words: list[str], disk: Path, factor: float) -> list[Ended]:
    """Run a command on a disk that is made larger after every failure; return the failures."""
    failures, size = [], 8.0
    while (ended := shell.fork(*words)).code != 0:
        failures.append(ended.exits(3).says(FULL, disk.name, "fix: free some space", "run the same command again"))
        assert "finished jobs are safe" in ended.err
        size *= factor
        assert size < 16_000
        mount(disk, f"remount,size={round(size)}k")
    return failures


def test_full_store(shell: Shell, undisturbed: Shell, study: list[str], store_disk: Path) -> None:
    failures = grow_until_it_fits(shell, [*study, "--out", "run"], store_disk, 2.2)
    assert len(failures) >= 3
    store = Store(shell.home / "store")
    assert all(store.load(key) for key in store)
    assert not leftovers(shell.home)
    assert rows(shell.folder / "run") == rows(undisturbed.folder / "run")
    assert not computed_again(shell.folder / "run")


def test_full_run_folder(finished: Shell, study: list[str], run_disk: Path) -> None:
    failures = grow_until_it_fits(finished, [*study, "--out", "small", "--quiet"], run_disk, 1.6)
    assert len(failures) >= 3
    assert rows(run_disk) == rows(finished.folder / "run")
    assert events(run_disk)[-1]["event"] == "done"
    assert not leftovers(run_disk)


def test_an_old_result_stays_when_the_disk_is_full(finished: Shell, study: list[str], run_disk: Path) -> None:
    mount(run_disk, "remount,size=2m")
    finished.fork(*study, "--out", "small", "--quiet").exits(0)
    before = {file.name: file.read_bytes() for file in run_disk.iterdir() if file.name != "events.jsonl"}
    (run_disk / "ballast").write_bytes(bytes(8192))
    used = sum(-(-file.stat().st_size // 4096) * 4 for file in run_disk.iterdir())
    mount(run_disk, f"remount,size={used}k")
    finished.fork(*study, "--out", "small", "--quiet").exits(3).says(FULL)
    assert {name: (run_disk / name).read_bytes() for name in before} == before
    (run_disk / "ballast").unlink()
    mount(run_disk, "remount,size=2m")
    finished.fork(*study, "--out", "small", "--quiet").exits(0)


def test_read_only_disk(shell: Shell, study: list[str], store_disk: Path) -> None:
    mount(store_disk, "remount,ro")
    shell.fork(*study, "--out", "run").exits(3).says("error: cannot write", str(store_disk), "Read-only file system")


def test_events_that_cannot_be_written(finished: Shell, study: list[str]) -> None:
    """/dev/full is a full disk that needs no permission to mount."""
    (finished.folder / "other").mkdir()
    (finished.folder / "other" / "events.jsonl").symlink_to("/dev/full")
    finished.fork(*study, "--out", "other", "--quiet").exits(3).says(FULL, "other/events.jsonl")
    (finished.folder / "other" / "events.jsonl").unlink()
    finished.fork(*study, "--out", "other", "--quiet").exits(0)


def test_a_torn_line_of_events_is_dropped(finished: Shell, study: list[str]) -> None:
    with (finished.folder / "run" / "events.jsonl").open("a") as file:
        file.write('{"time": "2026-01-01T00:00:00", "event": "fini')
    finished.fork(*study, "--out", "run", "--quiet").exits(0)
    assert events(finished.folder / "run")[-1]["event"] == "done"


def test_full_standard_output(undisturbed: Shell) -> None:
    with Path("/dev/full").open("w") as full:
        process = undisturbed.start("show", "run", "--json", out=full)
        _, err = process.communicate(timeout=60)
    Ended(process.returncode, "", err).exits(3).says("error: ", "No space left on device")


def test_what_a_full_disk_leaves_can_be_read(finished: Shell, study: list[str], run_disk: Path) -> None:
    finished.fork(*study, "--out", "small", "--quiet").exits(3)
    for name, read in (("config.yaml", yaml.safe_load), ("run.json", json.loads)):
        if (run_disk / name).exists():
            assert isinstance(read((run_disk / name).read_text(encoding="utf-8")), dict)
    assert not leftovers(run_disk)
