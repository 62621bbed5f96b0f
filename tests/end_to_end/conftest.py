"""A small study on real processes: two tiny checkpoints, a table of short texts, and one undisturbed run of it."""

from __future__ import annotations

import csv
import random
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from faults import Shell

GOOD, BAD = ("wonderful", "moving", "bright"), ("dull", "tiring", "grey")
ROWS = 560  # more than one shard of features


def write_reviews(path: Path, count: int) -> Path:
    """Write a table of texts whose class a probe on a random network can learn in part."""
    draw = random.Random(7)
    with path.open("w", newline="", encoding="utf-8") as file:
        table = csv.writer(file)
        table.writerow(["text", "label", "rank"])
        for number in range(count):
            label = number % 2
            word = draw.choice((BAD, GOOD)[label if draw.random() < 0.8 else 1 - label])
            tail = " ".join(draw.choice(("river", "city", "question", "model")) for _ in range(draw.randrange(8)))
            table.writerow([f"Film {number} is {word}. {tail}", ("bad", "good")[label], draw.randrange(1000)])
    return path


@pytest.fixture(scope="session")
def study(tiny: Callable[[str], Path], tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    """Return the words of a command that runs a small study."""
    table = write_reviews(tmp_path_factory.mktemp("data") / "films.csv", ROWS)
    models = ["--weak", f"hf:{tiny('bert')}", "--strong", f"hf:{tiny('llama')}"]
    return [
        "run",
        "weak-to-strong",
        *models,
        "--task",
        f"file:{table}",
        "--seeds",
        "2",
        "--sweep",
        "2",
        "--threads",
        "1",
    ]


@pytest.fixture(scope="session")
def undisturbed(study: list[str], tmp_path_factory: pytest.TempPathFactory) -> Shell:
    """Return a shell in which the study was run once, to its end, into the folder `run`."""
    folder = tmp_path_factory.mktemp("undisturbed")
    shell = Shell(folder, folder / "home")
    ended = shell.run(*study, "--out", "run").exits(0)
    (folder / "out.txt").write_text(ended.out, encoding="utf-8")
    (folder / "err.txt").write_text(ended.err, encoding="utf-8")
    return shell


@pytest.fixture
def shell(tmp_path: Path, isolated_home: Path) -> Shell:
    """Return a shell with nothing in it."""
    return Shell(tmp_path, isolated_home)


@pytest.fixture
def finished(shell: Shell, undisturbed: Shell) -> Shell:
    """Return a shell with a copy of the undisturbed run and its store, to be damaged at will."""
    shutil.copytree(undisturbed.home, shell.home)
    shutil.copytree(undisturbed.folder / "run", shell.folder / "run")
    return shell
