"""Each command explains itself, starts fast, works without a network, and minds where its output goes."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
import tomllib
from pathlib import Path

import pytest

from faults import SCRIPT, Shell

COMMANDS = (
    [],
    ["run"],
    ["run", "weak-to-strong"],
    ["resume"],
    ["show"],
    ["report"],
    ["judge"],
    ["export"],
    ["merge"],
    ["ls"],
    ["models"],
    ["models", "fetch"],
    ["models", "list"],
    ["models", "remove"],
    ["doctor"],
)
KINDS = ("studies", "tasks", "models", "objectives", "fits", "filters", "noises", "structures", "ensembles")
KINDS += ("attacks", "critics", "aims", "updates", "axes", "merge-methods", "executors", "sinks")
HEAVY = {"torch", "transformers", "pydantic", "numpy", "scipy", "rich", "yaml", "safetensors"}
NOWHERE = {"HTTPS_PROXY": "http://127.0.0.1:9", "HTTP_PROXY": "http://127.0.0.1:9", "HF_ENDPOINT": "http://127.0.0.1:9"}


@pytest.mark.parametrize("command", COMMANDS, ids=" ".join)
def test_help_has_an_example(shell: Shell, command: list[str]) -> None:
    ended = shell.fork(*command, "--help").exits(0)
    assert ended.err == ""
    assert "example: superalign " in ended.out
    assert ended.out.startswith(f"usage: superalign {' '.join(command)}".rstrip())


def test_help_of_a_study_names_every_setting(shell: Shell) -> None:
    said = shell.fork("run", "weak-to-strong", "--help").out
    for flag in ("--weak", "--strong", "--task", "--methods", "--fit", "--weak-fit", "--seeds", "--shares", "--sweep"):
        assert f"{flag} " in said
    for flag in ("--out", "--executor", "--sink", "--threads", "--quiet", "--json"):
        assert f"{flag}" in said


def test_help_writes_what_quick_stands_for_as_one_would_type_it(shell: Shell) -> None:
    said = " ".join(shell.fork("run", "loop", "--help").out.split())
    assert "--parts 1.0 0.5" in said


@pytest.mark.parametrize("words", [["--help"], ["run", "--help"], ["--version"]], ids=" ".join)
def test_help_imports_nothing_heavy(words: list[str]) -> None:
    code = (
        "import sys\nfrom superalign.cli import main\n"
        f"try: main({words!r})\nexcept SystemExit: pass\n"
        f"print(*({HEAVY!r} & set(sys.modules)), file=sys.stderr)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stderr.split() == []


def test_help_is_there_at_once(shell: Shell) -> None:
    shell.run("--help")
    seconds = []
    for _ in range(5):
        start = time.perf_counter()
        shell.run("--help").exits(0)
        seconds.append(time.perf_counter() - start)
    assert min(seconds) < 0.2


def test_without_a_word_help_is_shown(shell: Shell) -> None:
    assert shell.fork().exits(0).out == shell.fork("--help").out
    assert "weak-to-strong" in shell.fork("run").exits(0).out
    assert shell.fork("models").exits(0).out == shell.fork("models", "--help").out
    assert shell.fork("--version").exits(0).out.strip().count(".") == 2


@pytest.mark.parametrize("kind", KINDS)
def test_ls(shell: Shell, kind: str) -> None:
    rows = json.loads(shell.fork("ls", kind, "--json").exits(0).out)[kind]
    assert rows
    assert all(row["name"] and row["what"] and "plug-in failed" not in row["what"] for row in rows)
    shown = shell.fork("ls", kind).exits(0)
    assert all(row["name"].partition(":")[0] in shown.out for row in rows)
    assert "\x1b" not in shown.out


def test_ls_of_everything(shell: Shell) -> None:
    assert set(json.loads(shell.fork("ls", "--json").exits(0).out)) == set(KINDS)


def test_ls_runs(undisturbed: Shell, shell: Shell) -> None:
    (run,) = json.loads(undisturbed.fork("ls", "runs", "--folder", ".", "--json").exits(0).out)["runs"]
    assert (run["run"], run["state"]) == ("run", "finished")
    assert run["finding"]
    assert "runs: none" in shell.fork("ls", "runs").exits(0).out
    assert json.loads(shell.fork("ls", "runs", "--json").exits(0).out) == {"runs": []}


def test_models_list_and_remove(shell: Shell) -> None:
    rows = json.loads(shell.fork("models", "list", "--json").exits(0).out)["embedded models"]
    assert {"vader", "wordllama", "minilm", "smollm2", "gemma3-270m"} <= {row["name"] for row in rows}
    assert all(row["license"] and row["state"] != "ready" for row in rows)
    assert "minilm" in shell.fork("models", "list").exits(0).out
    assert "not in the cache" in shell.fork("models", "remove", "minilm").exits(0).out


def test_doctor_without_a_network(shell: Shell) -> None:
    ended = shell.run("doctor", "--json", **NOWHERE, HF_HUB_OFFLINE="0")
    findings = {finding["what"]: finding for finding in json.loads(ended.out)}
    assert ended.code == int(any(finding["ok"] is False for finding in findings.values()))
    assert {"python", "superalign", "cpu", "cache", "model hub", "embedded:minilm", "chess engine"} <= set(findings)
    extras = tomllib.loads((Path(__file__).parents[2] / "pyproject.toml").read_text())["project"][
        "optional-dependencies"
    ]
    for name in extras.keys() - {"all", "sinks", "dev"}:
        assert f"extra '{name}'" in findings or f"sink {name}" in findings
    assert "not reachable" in findings["model hub"]["found"]
    assert all(finding["fix"] for finding in findings.values() if finding["ok"] is False)
    plain = shell.fork("doctor")
    assert plain.code == ended.code
    assert all(what in plain.out for what in findings)


@pytest.mark.parametrize("words", [["ls"], ["ls", "--json"], ["show", "run", "--json"]], ids=" ".join)
def test_a_reader_who_leaves(undisturbed: Shell, words: list[str]) -> None:
    reading, writing = os.pipe()
    os.close(reading)
    with os.fdopen(writing, "w") as pipe:
        process = undisturbed.start(*words, out=pipe)
        _, err = process.communicate(timeout=60)
    assert err == ""
    assert process.returncode in (1, 141)  # rich ends with 1


@pytest.mark.parametrize("words", ["show run >&-", "resume run 2>&-"])
def test_closed_streams(finished: Shell, words: str) -> None:
    done = subprocess.run(
        ["sh", "-c", f"{SCRIPT} {words}"],
        cwd=finished.folder,
        env=finished.environment({}),
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.parametrize("encoding", ["ascii", "latin-1"])
def test_a_terminal_that_is_not_utf8(undisturbed: Shell, encoding: str) -> None:
    ended = undisturbed.run("show", "run", PYTHONIOENCODING=encoding).exits(0)
    assert "logconf" in ended.out
    ended = undisturbed.run("show", "run", "--json", PYTHONIOENCODING=encoding).exits(0)
    assert json.loads(ended.out) == json.loads((undisturbed.folder / "run" / "results.json").read_text())


def test_the_module_is_the_script(shell: Shell) -> None:
    module = subprocess.run(
        [sys.executable, "-m", "superalign.cli", "--help"], capture_output=True, text=True, check=True
    )
    assert module.stdout == shell.run("--help").out
    assert Path(SCRIPT).is_file()
