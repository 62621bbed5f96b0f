"""`superalign run weak-to-strong --task chess`, as a user runs it."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from faults import Shell
from superalign.tasks._engine import PLACES

pytest.importorskip("chess", reason="superalign[chess] is not installed")
STOCKFISH = shutil.which("stockfish") or shutil.which("stockfish", path=PLACES)


@pytest.fixture
def words(tiny: Callable[[str], Path]) -> list[str]:
    models = ["--weak", f"hf:{tiny('bert')}", "--strong", f"hf:{tiny('llama')}"]
    return ["run", "weak-to-strong", *models, "--seeds", "2", "--sweep", "0", "--methods", "naive", "--threads", "1"]


@pytest.mark.slow
@pytest.mark.skipif(STOCKFISH is None, reason="no stockfish here: apt-get install stockfish")
def test_gold_by_stockfish(shell: Shell, words: list[str]) -> None:
    shell.fork(*words, "--task", "chess,positions=48,nodes=1000,longest=16", "--out", "run").exits(0)
    found = json.loads((shell.folder / "run" / "results.json").read_text(encoding="utf-8"))
    assert found["task"]["items"] == found["task"]["groups"] == 48
    assert found["task"]["pairwise"]
    assert {row["tag"] for row in found["difficulty"]} <= {"ply", "gap"}
    assert {row["role"] for row in found["summary"]} == {"weak", "student", "ceiling", "control"}


def test_an_engine_that_fails_ends_the_run(shell: Shell, words: list[str]) -> None:
    hangs = shell.folder / "hangs"
    hangs.write_text("#!/bin/sh\nsleep 100\n")
    hangs.chmod(0o755)
    ended = shell.fork(*words, "--task", f"chess,engine={hangs},patience=0.5").exits(2)
    ended.says("the chess engine did not say 'uciok' within 0.5 s", str(hangs))
    shell.fork(*words, "--task", "chess,engine=nosuch").exits(2).says("apt-get install stockfish")
