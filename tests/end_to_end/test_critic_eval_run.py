"""`superalign run critic-eval` as a user runs it: the folder, the same again, mistakes, and hostile text."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml
from finished_runs import assert_it_can_be_read, assert_resume_computes_nothing, assert_table_is_the_rows

from faults import Shell
from superalign.critic_result import CriticEvalResult

pytestmark = pytest.mark.slow
SETTINGS = ["--seeds", "2", "--flaws", "12"]
EVIL = "<script>alert(1)</script> \x1b[31mred\x07 {{ config }} ../../etc/passwd \x00 [bold]x[/bold]"


@pytest.fixture(scope="session")
def answers(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Write a table of answers by four makers, some of them hostile."""
    path = tmp_path_factory.mktemp("answers") / "answers.jsonl"
    with path.open("w", encoding="utf-8") as file:
        for number in range(240):
            refused, evil = number % 3 == 0, number % 7 == 0
            text = "I'm sorry, but I cannot help." if refused else f"First take {number % 90} grams. It is then easy."
            row = {
                "prompt": f"How is thing {number // 4} made?",
                "completion": f"{text} This was answer {number}." + (f" {EVIL}" if evil else ""),
                "model": "abcd"[number % 4],
                "label": "refused" if refused != evil else "answered",  # hence in the mistakes to read
            }
            file.write(json.dumps(row) + "\n")
    return path


@pytest.fixture(scope="session")
def critic_run(tiny: Callable[[str], Path], answers: Path, tmp_path_factory: pytest.TempPathFactory) -> Shell:
    """Return a shell in which the study was run once, to its end, into the folder `runs/run`."""
    folder = tmp_path_factory.mktemp("critic-eval")
    shell = Shell(folder, folder / "home")
    critics = ["keywords,means=bad", f"trained,model=hf:{tiny('llama')}"]
    words = ["run", "critic-eval", "--critics", *critics, "--task", f"file:{answers}", "--good", "answered"]
    ended = shell.run(*words, *SETTINGS, "--holdout", "model", "--threads", "1", "--out", "runs/run").exits(0)
    (folder / "out.txt").write_text(ended.out, encoding="utf-8")
    return shell


def test_folder_and_summary_hold_the_result(critic_run: Shell) -> None:
    folder = critic_run.folder / "runs/run"
    assert {"config.yaml", "run.json", "events.jsonl", "results.json", "results.csv", "report.html"} <= {
        path.name for path in folder.iterdir()
    }
    result = CriticEvalResult.model_validate_json((folder / "results.json").read_text(encoding="utf-8"))
    assert [row.seed for row in result.rows] == [0, 0, 1]
    assert result.of("keywords,means=bad").kappa.low > 0
    assert 0 < result.of("keywords,means=bad").planted.n <= 12
    assert len(result.held_out) == 1
    assert result.config == yaml.safe_load((folder / "config.yaml").read_text(encoding="utf-8"))
    identity = json.loads((folder / "run.json").read_text(encoding="utf-8"))
    assert {"task", "critic keywords,means=bad"} <= set(identity["fingerprints"])
    out = (critic_run.folder / "out.txt").read_text(encoding="utf-8")
    assert " agrees with the truth best: kappa " in out
    assert "keywords,means=bad" in out
    assert "report: runs/run/report.html" in out


def test_table_is_the_rows(critic_run: Shell) -> None:
    assert_table_is_the_rows(critic_run)


def test_hostile_text_is_inert(critic_run: Shell) -> None:
    folder = critic_run.folder / "runs/run"
    page = (folder / "report.html").read_text(encoding="utf-8")
    assert "<script" not in page.lower()
    for text in (page, (critic_run.folder / "out.txt").read_text(encoding="utf-8")):
        assert not re.search(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f]", text)
    result = CriticEvalResult.model_validate_json((folder / "results.json").read_text(encoding="utf-8"))
    assert any("<script>" in response for one in result.mistakes for response in one.responses)
    assert "&lt;script&gt;" in page


def test_show_report_and_list_read_the_run(critic_run: Shell, shell: Shell) -> None:
    assert_it_can_be_read(critic_run, shell)


def test_resume_computes_nothing_and_refuses_other_settings(critic_run: Shell, shell: Shell) -> None:
    assert_resume_computes_nothing(critic_run, shell)
    shell.fork("resume", "runs/run", "--flaws", "3").exits(2).says("flaws: 12 -> 3", "another --out")
    shell.fork("resume", "runs/run", "--critics", "keywords").exits(2).says("critics: keywords,means=bad")


def test_mistakes_are_explained(shell: Shell, answers: Path) -> None:
    task = ["--task", f"file:{answers}"]
    run = ["run", "critic-eval", "--quiet", "--threads", "1"]
    shell.fork("run", "critic-evl").exits(2).says("did you mean 'critic-eval'")
    shell.fork(*run, "--critics", "keywrods").exits(2).says("unknown critic 'keywrods'", "did you mean 'keywords'")
    shell.fork(*run, "--critics", "keywords", "keywords").exits(2).says("given twice")
    shell.fork(*run, "--critics", "keywords,mean=bad").exits(2).says("did you mean 'means'")
    shell.fork(*run, "--holdot", "model").exits(2).says("did you mean '--holdout'")
    short = [*run, *task, "--critics", "keywords"]
    shell.fork(*short, "--good", "anwsered").exits(2).says("did you mean 'answered'")
    shell.fork(*short, "--good", "answered", "--holdout", "modle").exits(2).says("did you mean 'model'")
    pairs = ["--task", "facts,cities=60,pairs=true", "--critics", "keywords"]
    shell.fork(*run, *pairs).exits(2).says("judges single responses")
