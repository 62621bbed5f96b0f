"""Every example runs as it stands, on the embedded models."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
pytestmark = [pytest.mark.model, pytest.mark.slow]


@pytest.fixture(scope="module")
def user_home(users_models: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a home with the models, whose store fills from example to example, as a user's does."""
    folder = tmp_path_factory.mktemp("user")
    (folder / "models").symlink_to(users_models)
    return folder


def python(*words: object, home: Path, folder: Path) -> str:
    environment = {**os.environ, "SUPERALIGN_HOME": str(home)}
    command = [sys.executable, *map(str, words)]
    done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.timeout(1200)  # three minutes on one core without bf16
def test_the_default_study_from_python(user_home, tmp_path):
    out = python(ROOT / "examples/weak_to_strong.py", home=user_home, folder=tmp_path)
    assert "The weak supervisor scores" in out
    assert "student" in out
    (result,) = tmp_path.glob("runs/*/results.json")
    found = json.loads(result.read_text())
    accuracy = {(s["role"], s["method"]): s["accuracy"] for s in found["summary"]}
    weak, ceiling, control = (accuracy[role, "naive"] for role in ("weak", "ceiling", "control"))
    for method in ("naive", "logconf"):
        difference = next(t["difference"] for t in found["tests"] if (t["a"], t["b"]) == (method, "weak"))
        assert difference["low"] > 0  # the student is above its supervisor beyond the interval
        assert weak["value"] < accuracy["student", method]["value"] < ceiling["value"]
    assert control["low"] < 0.5 < control["high"]
    assert found["flags"] == []
    curve = [b for b in found["difficulty"] if b["tag"] == "population" and b["role"] == "ceiling"]
    assert curve[0]["accuracy"]["value"] < curve[-1]["accuracy"]["value"]  # larger cities are better known


def test_own_data_from_a_config(user_home, tmp_path):
    script = "from superalign.cli import main; raise SystemExit(main())"
    out = tmp_path / "run"
    config = ROOT / "examples/own_data.yaml"
    python("-c", script, "run", config, "--out", out, "--quiet", home=user_home, folder=ROOT)
    assert (out / "report.html").is_file()


def test_own_objective(user_home, tmp_path):
    out = python(ROOT / "examples/own_objective.py", home=user_home, folder=tmp_path)
    assert "Trained on weak labels with brier" in out
