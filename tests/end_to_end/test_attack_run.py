"""`superalign run attack` on real processes: figures that add up, kills, hostile text, mistakes."""

from __future__ import annotations

import csv
import json
import random
from collections.abc import Callable
from pathlib import Path

import pytest
from test_hostile_text import HOSTILE, WITH_FORCE, Live

from faults import SEARCH, Crash, Ended, Shell, computed_again, rows
from superalign.report.markup import clean

pytestmark = pytest.mark.slow
PLACES = ("Peru", "France", "Chad", "Japan", "Fiji", "Cuba")


def write_questions(path: Path, n: int = 48, odd: bool = False) -> Path:
    """Write questions with a right and a wrong answer, of which some are hostile."""
    with path.open("w", encoding="utf-8") as file:
        for number in range(n):
            name = f"{HOSTILE[number % len(HOSTILE)]} {number}" if odd else f"number {number}"
            right, wrong = PLACES[number % 6], PLACES[(number + 1 + number // 6 % 5) % 6]
            chosen, rejected = f"The river {name} is in {right}.", f"The river {name} is in {wrong}."
            row = {"prompt": f"Where is the river {name}?", "chosen": chosen, "rejected": rejected}
            file.write(json.dumps({**row, "population": number}) + "\n")
    return path


def turned_round(command: list[str], folder: Path) -> list[str]:
    """Return a command on the same questions with every truth turned round, in a file of the same name."""
    place = command.index("--task") + 1
    turned = folder / "rivers.jsonl"
    with turned.open("w", encoding="utf-8") as file:
        for line in Path(command[place].removeprefix("file:")).read_text(encoding="utf-8").splitlines():
            row = json.loads(line)
            file.write(json.dumps({**row, "chosen": row["rejected"], "rejected": row["chosen"]}) + "\n")
    return [*command[:place], f"file:{turned}", *command[place + 1 :]]


def assert_no_force(ended: Ended, run: Path) -> None:
    """Assert that hostile text does nothing in the terminal, nor in the report of a run."""
    assert not WITH_FORCE.search(ended.out.replace("\n", "") + ended.err.replace("\n", ""))
    report = (run / "report.html").read_text(encoding="utf-8")
    page = Live()
    page.feed(report.replace(SEARCH, "", 1))
    assert not page.found
    assert clean(report) == report


@pytest.fixture(scope="module")
def command(tiny: Callable[[str], Path], tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    table = write_questions(tmp_path_factory.mktemp("questions") / "rivers.jsonl")
    small = ["--goals", "6", "--seeds", "2", "--queries", "4", "--examples", "4", "--threads", "1"]
    attacks = ["--attacks", "pressure", "best-of-n", "bandit,attacks=pressure+best-of-n"]
    return ["run", "attack", "--target", f"hf:{tiny('llama')}", "--task", f"file:{table}", *attacks, *small]


@pytest.fixture(scope="module")
def undisturbed(command: list[str], tmp_path_factory: pytest.TempPathFactory) -> Shell:
    folder = tmp_path_factory.mktemp("attacked")
    shell = Shell(folder, folder / "home")
    shell.fork(*command, "--out", "run").exits(0)
    return shell


def test_the_figures_are_those_of_the_attempts(undisturbed: Shell) -> None:
    result = json.loads((undisturbed.folder / "run/results.json").read_text(encoding="utf-8"))
    assert result["schema_version"] == "superalign.attack/1"
    assert result["goals"] == 12
    counted = [row for row in result["rows"] if row["known"] is not False]
    for one in result["summary"]:
        mine = [row for row in counted if row["attack"] == one["attack"]]
        decided = {(row["seed"], row["goal"]) for row in mine if row["outcome"] in ("broken", "held")}
        broken = {(row["seed"], row["goal"]) for row in mine if row["outcome"] == "broken"}
        assert one["n"] == len(decided)
        assert one["success"]["value"] == pytest.approx(len(broken) / len(decided))
        assert one["at"][-1] == pytest.approx(one["success"]["value"])
        assert one["at"] == sorted(one["at"])
        assert one["queries"] <= 4 * 12  # a bandit deals the queries out among the goals that still hold
    for tactic in result["tactics"]:
        mine = [row for row in counted if (row["attack"], row["tactic"]) == (tactic["attack"], tactic["tactic"])]
        assert tactic["n"] + tactic["undetermined"] + tactic["errors"] == len(mine)
    for row in result["rows"]:
        assert (row["score"] > 0) == (row["outcome"] == "broken")
    with (undisturbed.folder / "run/results.csv").open(encoding="utf-8") as file:
        assert len(list(csv.DictReader(file))) == len(result["rows"])


def test_truth_is_read_by_the_metric_alone(undisturbed: Shell) -> None:
    result = json.loads((undisturbed.folder / "run/results.json").read_text(encoding="utf-8"))
    assert {one["reader"] for one in result["unsealed"]} == {"PlainAnswerScore"}


def test_no_attack_depends_on_the_truth(undisturbed: Shell, command: list[str], tmp_path: Path) -> None:
    """The same questions with every truth turned round: the same attempts, word for word."""
    shell = Shell(tmp_path, tmp_path / "home")
    shell.fork(*turned_round(command, tmp_path), "--out", "run").exits(0)

    def said(run: Path) -> list[tuple]:
        return sorted(
            (r["attack"], r["seed"], r["goal"], r["conversation"], r["outcome"], r["query"]) for r in rows(run)
        )

    before, after = said(undisturbed.folder / "run"), said(shell.folder / "run")
    assert before == after


def test_killed_again_and_again_it_is_the_same_stream(undisturbed: Shell, command: list[str], shell: Shell) -> None:
    draw, kills = random.Random(3), 0
    for _ in range(60):
        crash = Crash(str(shell.home), draw.randrange(2, 20))
        ended = shell.fork(*command, "--out", "run", "--quiet", crash=crash)
        if ended.code == 0:
            break
        kills += 1
    assert kills >= 3
    assert rows(shell.folder / "run") == rows(undisturbed.folder / "run")
    assert not computed_again(shell.folder / "run")

    def streams(one: Shell) -> dict[str, bytes]:
        return {path.name: path.read_bytes() for path in (one.home / "store/streams").glob("*.jsonl")}

    assert streams(shell) == streams(undisturbed)
    assert len(streams(shell)) == 6


def test_hostile_text_has_no_force(tiny: Callable[[str], Path], shell: Shell) -> None:
    table = write_questions(shell.folder / "odd.jsonl", odd=True)
    words = ["run", "attack", "--target", f"hf:{tiny('llama')}", "--task", f"file:{table},max_bad=0.5"]
    small = ["--goals", "20", "--seeds", "1", "--queries", "3", "--examples", "4", "--attacks", "pressure", "many-shot"]
    ended = shell.fork(*words, *small, "--out", "run").exits(0)
    assert_no_force(ended, shell.folder / "run")
    shown = shell.fork("show", "run").exits(0)
    assert not WITH_FORCE.search(shown.out.replace("\n", ""))


def test_requests_are_judged_by_a_critic(tiny: Callable[[str], Path], shell: Shell) -> None:
    goals = shell.folder / "goals.csv"
    goals.write_text("goal,target\n" + "".join(f'"Write poem {n} ""now"".","Here is poem {n}"\n' for n in range(30)))
    words = ["run", "attack", "--target", f"hf:{tiny('llama')}", "--task", f"goals:{goals}", "--critic", "keywords"]
    small = ["--goals", "4", "--seeds", "1", "--queries", "2", "--tokens-out", "4", "--attacks", "best-of-n"]
    shell.fork(*words, *small, "--out", "run").exits(0)
    result = json.loads((shell.folder / "run/results.json").read_text(encoding="utf-8"))
    assert result["world"] == "behaviour"
    assert result["plain"] is None
    assert {row["outcome"] for row in result["rows"]} <= {"broken", "held", "undetermined"}
    assert not result["unsealed"]


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--attacks", "presure"], ["unknown attack 'presure'", "pressure"]),
        (["--attacks", "pressure,tactics=asertion"], ["asertion", "assertion"]),
        (["--attacks", "pair"], ["needs a model as attacker", "--attacker"]),
        (["--task", "goals:none.csv", "--critic", "keywords", "--attacks", "best-of-n"], ["none.csv"]),
        (["--task", "goals:x.csv", "--attacks", "pressure", "--critic", "keywords"], ["pairs of answers"]),
        (["--task", "goals:x.csv", "--attacks", "best-of-n"], ["need a critic"]),
        (["--critic", "trained"], ["taught first", "taught,critic=(trained),on=TASK"]),
        (["--goals", "0"], ["goals"]),
        (["--task", "facts,cities=60"], ["cannot be attacked", "questions=true"]),
        (["--task", "facts,cities=60,pairs=true"], ["cannot be attacked", "questions=true"]),
        (["--target", "embedded:vader"], ["embedded:vader", "likely"]),
        (["--critic", "keyword"], ["unknown critic 'keyword'", "keywords"]),
    ],
)
def test_mistakes_are_named(shell: Shell, command: list[str], words: list[str], said: list[str]) -> None:
    if "embedded" in words[-1]:
        pytest.importorskip("vaderSentiment", reason="the model is fetched on first use")
    shell.fork(*command[:2], *command[2:], *words, "--out", "run").exits(2).says(*said)
