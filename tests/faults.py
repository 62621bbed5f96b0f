"""Real processes and real damage: run the command line as a user does, kill it, flip bits, fill disks."""

from __future__ import annotations

import json
import multiprocessing
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import cache
from multiprocessing import forkserver
from multiprocessing.context import ForkServerContext
from pathlib import Path
from pkgutil import walk_packages
from typing import IO, Any

import pytest

import superalign

SEARCH = f"<script>{Path(superalign.__file__).with_name('report').joinpath('search.js').read_text()}</script>"
SCRIPT = Path(sys.executable).with_name("superalign")
TIMEOUT = 240.0
SETTINGS = {"OMP_NUM_THREADS": "1", "TOKENIZERS_PARALLELISM": "false", "HF_HUB_OFFLINE": "1", "COLUMNS": "120"}
PRELOADED = ["pytest", "scipy.stats", "torch", "transformers", "peft", "rich.console", "rich.progress", "vl_convert"]
PRELOADED += [f"transformers.models.{name}.modeling_{name}" for name in ("bert", "llama")]
PRELOADED += ["torch.distributed.fsdp", "test_distributed"]  # which imports this module, too
PRELOADED += [found.name for found in walk_packages(superalign.__path__, "superalign.") if "__" not in found.name]
CHANGES = {"open", "os.mkdir", "os.rename", "os.remove", "os.rmdir"}


@dataclass(frozen=True)
class Ended:
    """What a process left: its exit code (negative: the signal that killed it) and what it printed."""

    code: int
    out: str
    err: str

    def exits(self, code: int) -> Ended:
        """Assert the exit code, and that nobody was shown a traceback."""
        assert self.code == code, f"exit code {self.code}, not {code}\n{self.out}\n{self.err}"
        assert "Traceback" not in self.out + self.err, self.err
        return self

    def says(self, *words: str) -> Ended:
        """Assert that standard error names all of `words`."""
        for word in words:
            assert word in self.err, f"{word!r} is not in:\n{self.err}"
        return self


@dataclass(frozen=True)
class Crash:
    """A process kills itself, with SIGKILL, just before its `nth` change to a path that holds `part`."""

    part: str
    nth: int = 1


@dataclass(frozen=True)
class Shell:
    """A working folder, and a home for models and artifacts, in which commands are run."""

    folder: Path
    home: Path

    def run(self, *words: object, **settings: str) -> Ended:
        """Run the console script to its end."""
        process = self.start(*words, **settings)
        out, err = process.communicate(timeout=TIMEOUT)
        return Ended(process.returncode, out, err)

    def start(
        self, *words: object, out: int | IO[str] = subprocess.PIPE, err: int = subprocess.PIPE, **settings: str
    ) -> subprocess.Popen[str]:
        """Start the console script in a process group of its own; `settings` are environment variables."""
        return subprocess.Popen(
            [str(SCRIPT), *map(str, words)],
            cwd=self.folder,
            env=self.environment(settings),
            stdout=out,
            stderr=err,
            stdin=subprocess.DEVNULL,
            encoding=settings.get("PYTHONIOENCODING", "utf-8"),
            start_new_session=True,
        )

    def fork(self, *words: object, crash: Crash | None = None, kill_after: float | None = None) -> Ended:
        """Run a command in a process forked from one that has imported everything already, which saves seconds.

        Args:
            words: the command's arguments.
            crash: where it kills itself.
            kill_after: seconds after which it is killed from outside.
        """
        out, err = (self.folder / f".std{name}" for name in ("out", "err"))
        for file in (out, err):
            file.write_bytes(b"")
        arguments = (list(map(str, words)), self.folder, self.environment({}), out, err, crash)
        process = _server().Process(target=_command, args=arguments)
        process.start()
        process.join(TIMEOUT if kill_after is None else kill_after)
        if process.is_alive():
            process.kill()
            process.join()
        code = process.exitcode
        assert code is not None
        return Ended(code, *(file.read_text(encoding="utf-8", errors="replace") for file in (out, err)))

    def environment(self, settings: Mapping[str, str]) -> dict[str, str]:
        """Return the environment of its commands."""
        return {**os.environ, **SETTINGS, "SUPERALIGN_HOME": str(self.home), **settings}

    def artifacts(self) -> dict[str, tuple[int, int]]:
        """Return every whole artifact of the store, and what changes when it is written again."""
        records = (record for record in (self.home / "store").rglob("record.json") if "tmp" not in record.parts)
        return {str(record): ((state := record.stat()).st_ino, state.st_mtime_ns) for record in records}


@cache
def _server() -> ForkServerContext:
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(PRELOADED)
    with pytest.MonkeyPatch.context() as patch:
        for name, value in {**SETTINGS, "PYTHONPATH": os.pathsep.join(sys.path)}.items():
            patch.setenv(name, value)
        forkserver.ensure_running()
    return context


def _command(
    words: list[str], folder: Path, environment: Mapping[str, str], out: Path, err: Path, crash: Crash | None
) -> None:
    """Be the command: in a fresh process, on files as standard output and error."""
    os.chdir(folder)
    os.environ.clear()
    os.environ.update(environment)
    for stream, file in ((1, out), (2, err)):
        os.dup2(os.open(file, os.O_WRONLY | os.O_APPEND), stream)
    if crash:
        arm(crash)
    from superalign.cli import main

    sys.exit(main(words))


def arm(crash: Crash) -> None:
    """Let this process kill itself at that change."""
    left = crash.nth

    def watch(event: str, facts: Sequence[Any]) -> None:
        nonlocal left
        if event not in CHANGES or (event == "open" and not (facts[2] or 0) & (os.O_WRONLY | os.O_RDWR)):
            return
        if any(crash.part in os.fspath(path) for path in facts[:2] if isinstance(path, str | os.PathLike)):
            left -= 1
            if left == 0:
                os.kill(os.getpid(), signal.SIGKILL)

    sys.addaudithook(watch)


def events(run: Path) -> list[dict[str, Any]]:
    """Return the events of a run's folder; each line is JSON."""
    return [json.loads(line) for line in (run / "events.jsonl").read_text(encoding="utf-8").splitlines()]


def computed_again(run: Path) -> list[str]:
    """Return the titles of jobs that were started although they had finished before."""
    finished: set[str] = set()
    again = []
    for event in events(run):
        if event["event"] == "started" and event["job"] in finished:
            again.append(event["title"])
        if event["event"] == "finished":
            finished.add(event["job"])
    return again


def rows(run: Path) -> list[dict[str, Any]]:
    """Return the rows of a finished run."""
    found: list[dict[str, Any]] = json.loads((run / "results.json").read_text(encoding="utf-8"))["rows"]
    return found


def leftovers(*folders: Path) -> list[str]:
    """Return the temporary files and folders that a finished run must not leave behind."""
    hidden = [path for folder in folders for path in folder.rglob(".*") if path.name not in (".lock",)]
    unfinished = [path for folder in folders for path in folder.rglob("tmp/*")]
    return [str(path) for path in (*hidden, *unfinished)]


def wait_for(process: subprocess.Popen[str], words: str) -> None:
    """Read a process's standard error up to the line that holds `words`."""
    assert process.stderr
    read = []
    for line in process.stderr:
        read.append(line)
        if words in line:
            return
    raise AssertionError(f"{words!r} never came:\n{''.join(read)}")


def children(pid: int, holding: str = "") -> list[int]:
    """Return the processes whose parent is `pid` and whose command line holds some words, oldest first."""
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):
            parent = int((folder / "stat").read_text().rpartition(")")[2].split()[1])
            if parent == pid and holding in (folder / "cmdline").read_text():
                found.append(int(folder.name))
    return sorted(found)


def gone(pids: list[int], seconds: float = 15) -> bool:
    """Wait until none of the processes is alive; tell whether that came."""
    end = time.monotonic() + seconds
    while any(_runs(pid) for pid in pids):
        if time.monotonic() > end:
            return False
        time.sleep(0.1)
    return True


def _runs(pid: int) -> bool:
    with suppress(OSError):
        return Path(f"/proc/{pid}/cmdline").read_text() != ""  # empty: dead, and not yet buried
    return False


def flip_bit(file: Path, where: float = 0.5) -> None:
    """Flip one bit of a file, `where` of the way through it."""
    content = bytearray(file.read_bytes())
    content[int(where * (len(content) - 1))] ^= 0b100
    file.write_bytes(content)


@contextmanager
def small_disk(folder: Path, size: str) -> Iterator[Path]:
    """Mount a disk of its own, of `size` (such as "96k"), on a folder.

    Raises:
        PermissionError: this user, or this machine, may not mount.
    """
    folder.mkdir(parents=True, exist_ok=True)
    mount(folder, f"size={size}")
    try:
        yield folder
    finally:
        subprocess.run(["umount", "--lazy", folder], check=True)


def mount(folder: Path, options: str) -> None:
    """Mount a file system in memory, or change the options of one that is mounted.

    Raises:
        PermissionError: it is not permitted.
    """
    if shutil.which("mount") is None:
        raise PermissionError("there is no command 'mount'")
    done = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", options, "tmpfs", folder], capture_output=True, text=True, check=False
    )
    if done.returncode:
        raise PermissionError(done.stderr.strip())
