"""`superalign run balance-3h` as a user runs it: the plan, the folder, a kill in a merge, what reads it, mistakes."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from finished_runs import assert_it_can_be_read, assert_resume_computes_nothing, assert_table_is_the_rows

from faults import Crash, Shell, computed_again, rows
from superalign.balance_result import BalanceResult


def words_of(model: Path) -> list[str]:
    small = ["--pairs", "6", "--test", "6", "--validation", "4", "--seeds", "2", "--threads", "1"]
    small += [
        "--methods",
        "linear",
        "r-tsvm",
        "tsv-m",
        "--mixtures",
        "equal",
        "--task",
        "facts,questions=true,cities=60",
    ]
    fit = ["--fit", "lora,read=policy,keep=true,epochs=1,rank=2,lr=0.02,batch=8"]
    return ["run", "balance-3h", "--model", f"hf:{model}", *small, *fit]


@pytest.fixture(scope="module")
def words(tiny: Callable[[str], Path]) -> list[str]:
    return words_of(tiny("llama"))


@pytest.fixture(scope="module")
def balanced(words: list[str], tmp_path_factory: pytest.TempPathFactory) -> Shell:
    """Return a shell in which the study was run once, to its end, into the folder `runs/run`."""
    folder = tmp_path_factory.mktemp("balanced")
    shell = Shell(folder, folder / "home")
    planned = shell.fork(*words, "--dry-run").exits(0)
    assert all(said in planned.out for said in ("nothing was run", "ask_merged", "learning", "merges", "memory of the"))
    ended = shell.fork(*words, "--out", "runs/run").exits(0)
    (folder / "out.txt").write_text(ended.out, encoding="utf-8")
    return shell


@pytest.mark.slow
def test_folder_and_summary_hold_the_result(balanced: Shell) -> None:
    folder = balanced.folder / "runs/run"
    result = BalanceResult.model_validate_json((folder / "results.json").read_text(encoding="utf-8"))
    assert {(one.kind, one.arm) for one in result.summary} == {
        ("base", "base"),
        *(("expert", axis) for axis in ("honest", "helpful", "harmless")),
        ("mixture", "equal"),
        *(("merge", name) for name in ("linear", "r-tsvm", "tsv-m")),
    }
    out = (balanced.folder / "out.txt").read_text(encoding="utf-8")
    assert all(said in out for said in (">mix equal", "r-tsvm", "not testable here", "report: runs/run/report.html"))
    page = (folder / "report.html").read_text(encoding="utf-8")
    assert "How the experts stand in each other" in page
    assert "<script" not in page.lower()


@pytest.mark.slow
def test_what_reads_a_run_reads_this_one(balanced: Shell, shell: Shell, tmp_path: Path) -> None:
    assert_table_is_the_rows(balanced)
    reader = Shell(tmp_path / "reader", tmp_path / "home")
    reader.folder.mkdir()
    assert_it_can_be_read(balanced, reader)
    assert_resume_computes_nothing(balanced, shell)


@pytest.mark.slow
def test_killed_while_it_merges_it_goes_on_to_the_same_figures(balanced: Shell, words: list[str], shell: Shell) -> None:
    crash = Crash(".merged.merging", 3)
    assert shell.fork(*words, "--out", "runs/run", "--quiet", crash=crash).code != 0
    assert list((shell.home / "store/tmp").glob("*/.merged.merging"))
    shell.fork(*words, "--out", "runs/run", "--quiet").exits(0)
    assert rows(shell.folder / "runs/run") == rows(balanced.folder / "runs/run")
    assert not computed_again(shell.folder / "runs/run")
    assert not list((shell.home / "store/tmp").glob("*"))


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--axis", "honest"], "did you mean '--axes'?"),
        (["--axes", "honest", "helpfull"], "did you mean 'helpful'?"),
        (["--methods", "tsvm"], "did you mean 'tsv-m'?"),
        (["--mixtures", "even"], "'mixtures"),
    ],
)
def test_mistakes_are_named(shell: Shell, words: list[str], said: str) -> None:
    shell.fork("run", "balance-3h", *words).exits(2).says(said)
