"""`superalign run weak-to-strong` with an ensemble and with a chain, as a user runs it."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from faults import Shell

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def shell(tmp_path_factory: pytest.TempPathFactory) -> Shell:
    folder = tmp_path_factory.mktemp("teachers")
    return Shell(folder, folder / "home")


@pytest.fixture(scope="module")
def words(tiny: Callable[[str], Path]) -> list[str]:
    models = ["--weak", f"hf:{tiny('bert')}", "--strong", f"hf:{tiny('llama')}"]
    small = ["--task", "facts,cities=120", "--seeds", "2", "--sweep", "0", "--methods", "naive", "--threads", "1"]
    return ["run", "weak-to-strong", *models, *small]


@pytest.mark.parametrize(
    ("ensemble", "facts"),
    [
        ("bagging,members=2", {"members"}),
        ("adaboost,members=2", {"members", "alphas", "errors"}),
        ("simplex", {"members", "weights", "rounds", "moved"}),
        ("prompts,templates={text}+Truly: {text}", {"members"}),
    ],
)
def test_an_ensemble_labels(
    shell: Shell, words: list[str], tiny: Callable[[str], Path], ensemble: str, facts: set[str]
):
    run = ensemble.partition(",")[0]
    helper = f"hf:{tiny('llama')},layer=1"
    shell.fork(*words, "--ensemble", ensemble, "--helpers", helper, "--out", run).exits(0)
    found = json.loads((shell.folder / run / "results.json").read_text(encoding="utf-8"))
    weak = [row for row in found["rows"] if row["role"] == "weak"]
    assert [row["method"] for row in weak] == [f"naive by {ensemble}"] * 2
    assert all(set(row["facts"]) - {"mean_weight"} == facts for row in weak)
    page = (shell.folder / run / "report.html").read_text(encoding="utf-8")
    assert f"Ensemble {run}" in page
    assert "Other weak models" in page


def test_a_chain_is_learnt_and_told(shell: Shell, words: list[str], tiny: Callable[[str], Path]):
    through = [f"hf:{tiny('llama')},layer={layer}" for layer in (1, 2)]
    ended = shell.fork(*words, "--through", *through, "--out", "chain").exits(0)
    found = json.loads((shell.folder / "chain" / "results.json").read_text(encoding="utf-8"))
    methods = [row["method"] for row in found["summary"] if row["role"] == "student"]
    assert methods == ["naive", "naive on slice 3/3", f"naive via {' > '.join(through)}"]
    assert "naive on slice 3/3" in ended.out


def test_mistakes_are_named(shell: Shell, words: list[str]):
    shell.fork(*words, "--ensemble", "baging").exits(2).says("'baging'", "did you mean 'bagging'?")
    shell.fork(*words, "--ensemble", "prompts,templates=Is this true?").exits(2).says("no place for the item")
    small = [word.replace("cities=120", "cities=40") for word in words]
    shell.fork(*small, "--through", words[3]).exits(2).says("groups of related items for 2 slices")


def test_they_are_listed(shell: Shell):
    listed = json.loads(shell.fork("ls", "ensembles", "--json").exits(0).out)["ensembles"]
    assert {row["name"] for row in listed} == {"mean", "bagging", "adaboost", "simplex", "prompts"}
    assert all(row["source"] for row in listed)
