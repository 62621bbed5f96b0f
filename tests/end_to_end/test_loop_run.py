"""`superalign run loop` on real processes: figures that add up, sealed truth, kills, mistakes."""

from __future__ import annotations

import json
import random
import socket
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from test_attack_run import assert_no_force, turned_round, write_questions

from faults import Crash, Shell, computed_again, rows
from servers import Asked, Says, completion, serving

pytestmark = pytest.mark.slow
SMALL = [
    "--goals",
    "8",
    "--examined",
    "6",
    "--only-asked",
    "4",
    "--gated",
    "4",
    "--gated-asked",
    "4",
    "--texts",
    "2",
    "--exploits",
    "2",
    "--threads",
    "1",
]
ATTACKS = ["--attacks", "pressure,tactics=assertion+consensus", "--held-out", "pressure,tactics=emotion"]
LOOSE = ["--aims", "steadfast,limit=1", "open,limit=1", "plain,limit=1", "--lose-text", "9"]
STRICT = ["--aims", "steadfast,limit=0", "open,limit=0", "plain,limit=0", "--lose-text", "0"]


@pytest.fixture(scope="module")
def command(tiny: Callable[[str], Path], tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    table = write_questions(tmp_path_factory.mktemp("questions") / "rivers.jsonl", n=90)
    model = f"hf:{tiny('llama')}"
    critics = ["--critics", f"self,model={model},differs=true", f"self,model={model},differs=true,way=quiz"]
    where = ["--learner", model, "--task", f"file:{table}"]
    return ["run", "loop", *where, *critics, *ATTACKS, "--fresh", "best-of-n", *SMALL]


@pytest.fixture(scope="module")
def words(command: list[str]) -> list[str]:
    return [*command, *LOOSE, "--seeds", "2", "--arms", "full", "random-critic", "no-benign"]


@pytest.fixture(scope="module")
def undisturbed(words: list[str], tmp_path_factory: pytest.TempPathFactory) -> Shell:
    folder = tmp_path_factory.mktemp("looped")
    shell = Shell(folder, folder / "home")
    shell.fork(*words, "--out", "run").exits(0)
    return shell


def read(shell: Shell) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((shell.folder / "run/results.json").read_text(encoding="utf-8"))
    return found


def test_every_round_of_every_arm_and_seed_is_in_the_rows(undisturbed: Shell) -> None:
    result = read(undisturbed)
    assert result["schema_version"] == "superalign.loop/1"
    found = [(row["arm"], row["seed"], row["round"]) for row in result["rows"]]
    arms = ("full", "random-critic", "no-benign")
    assert sorted(found) == sorted((arm, seed, number) for arm in arms for seed in (0, 1) for number in (1, 2))
    for row in result["rows"]:
        assert row["accepted"]
        assert row["goals"] <= 8
        assert set(row["feedback"]) == ({"steadfast"} if row["arm"] == "no-benign" else {"steadfast", "open", "plain"})
        assert row["feedback"]["steadfast"] == row["goals"]
        assert row["replayed"] == (0 if row["round"] == 1 else round(0.3 * sum(row["feedback"].values())))
        assert row["experts"] == (0 if row["arm"] == "random-critic" else min(10, row["judged"]))


def test_what_a_round_attacks_no_other_round_does(undisturbed: Shell) -> None:
    result = read(undisturbed)
    for seed in (0, 1):
        rounds = [
            {one["goal"] for one in result["episodes"] if (one["seed"], one["round"]) == (seed, n)} for n in (1, 2)
        ]
        assert all(rounds)
        assert not rounds[0] & rounds[1]


def test_the_cross_play_matrix_knows_what_broke_whom(undisturbed: Shell) -> None:
    cells = {(one["attacker"], one["learner"]): one["success"] for one in read(undisturbed)["cross"]}
    assert set(cells) == {(i, j) for i in (0, 1) for j in (0, 1, 2)}
    for i in (0, 1):  # what broke the learner before round i breaks that very learner
        assert cells[i, i] is None or cells[i, i]["value"] == 1.0


def test_the_exam_is_the_same_before_whatever_the_arm(undisturbed: Shell) -> None:
    before = [one for one in read(undisturbed)["summary"] if one["phase"] == "before"]
    assert len({json.dumps({**one, "arm": ""}) for one in before}) == 1
    assert len(before) == 3


def test_truth_is_read_by_metrics_and_the_expert_alone(undisturbed: Shell) -> None:
    readers = {(one["reader"], one["part"]) for one in read(undisturbed)["unsealed"]}
    assert readers == {("ExamScore", "test"), ("VerdictScore", "transfer"), ("OracleExpert", "transfer")}
    answers = sum(one["n"] for one in read(undisturbed)["unsealed"] if one["reader"] == "OracleExpert")
    shared = ("no-benign", 1)  # its first round attacks and judges as the full loop's does: the same jobs
    asked = [row for row in read(undisturbed)["rows"] if (row["arm"], row["round"]) != shared]
    assert answers == sum(row["experts"] for row in asked)


def test_without_an_expert_nothing_that_is_learnt_depends_on_the_truth(command: list[str], tmp_path: Path) -> None:
    """The same questions with every truth turned round: the same attempts, verdicts, gates and losses."""
    found = []
    for name, words in (("as it is", command), ("turned", turned_round(command, tmp_path))):
        shell = Shell(tmp_path, tmp_path / f"home {name}")
        small = [*LOOSE, "--experts", "0", "--seeds", "1", "--rounds", "1"]
        shell.fork(*words, *small, "--out", name).exits(0)
        result = json.loads((tmp_path / name / "results.json").read_text(encoding="utf-8"))
        (row,) = result["rows"]
        assert row.pop("label_accuracy") is not None
        said = sorted((one["goal"], one["conversation"], one["outcome"], one["good"]) for one in result["episodes"])
        found.append((row, said))
    assert found[0] == found[1]


def test_killed_again_and_again_the_rounds_are_the_same(undisturbed: Shell, words: list[str], shell: Shell) -> None:
    draw, kills = random.Random(5), 0
    for _ in range(80):
        crash = Crash(str(shell.home), draw.randrange(4, 60))
        ended = shell.fork(*words, "--out", "run", "--quiet", crash=crash)
        if ended.code == 0:
            break
        kills += 1
    assert kills >= 3
    assert rows(shell.folder / "run") == rows(undisturbed.folder / "run")
    assert not computed_again(shell.folder / "run")
    again, once = read(shell), read(undisturbed)
    for name in ("exam", "summary", "changes", "cross", "exploits", "bought", "episodes"):
        assert again[name] == once[name]


def test_a_gate_that_allows_nothing_rolls_every_round_back(command: list[str], shell: Shell) -> None:
    strict = [*STRICT, "--parts", "1", "--fit", "lora,read=policy,keep=true,lr=0.3"]
    shell.fork(*command, *strict, "--seeds", "1", "--out", "run").exits(0)
    result = read(shell)
    assert not any(row["accepted"] for row in result["rows"])
    assert all("may be lost" in row["why"][0] for row in result["rows"])
    phases = [{**one, "phase": ""} for one in result["summary"]]
    assert phases[0] == phases[1]  # nothing was learnt
    assert any("rolled back" in flag for flag in result["flags"])


def test_of_parts_that_lose_too_much_nobody_asks_more_than_is_needed(command: list[str], shell: Shell) -> None:
    plain = ["--aims", "steadfast,limit=0", "open,limit=0", "plain,limit=0", "--lose-text", "99"]
    parts = ["--parts", "1", "0.9", "--fit", "lora,read=policy,keep=true,lr=0.3"]
    shell.fork(*command, *plain, *parts, "--seeds", "1", "--rounds", "1", "--out", "run").exits(0)
    (row,) = read(shell)["rows"]
    whole, less = (one["measures"] for one in row["tried"])
    assert not row["accepted"]
    assert None not in (whole["plain"], whole["steadfast"], less["plain"])
    assert less["steadfast"] is None  # it was not attacked: its plain answers are lost


def test_a_loop_in_which_nothing_passes_stops_and_says_so(command: list[str], shell: Shell) -> None:
    strict = [*STRICT, "--parts", "1", "--fit", "lora,read=policy,keep=true,lr=0.3"]
    small = ["--rounds", "4", "--goals", "4", "--seeds", "1", "--out", "run"]
    shell.fork(*command, *strict, *small).exits(0)
    result = read(shell)
    assert [(row["round"], row["accepted"]) for row in result["rows"]] == [(1, False), (2, False)]
    assert any("stopped before round 3 (round 2 before it was rolled back" in flag for flag in result["flags"])
    assert "alarm: full, seed 0: no round passed the gate" in result["flags"]
    page = (shell.folder / "run/report.html").read_text(encoding="utf-8")
    assert "stopped before round 3" in page
    shell.fork(*command, *strict, *small[:-2], "--patience", "0", "--out", "on").exits(0)
    on = json.loads((shell.folder / "on/results.json").read_text(encoding="utf-8"))
    assert [row["round"] for row in on["rows"]] == [1, 2, 3, 4]


def test_a_learner_that_is_the_critic_must_go_on_agreeing_with_people(command: list[str], shell: Shell) -> None:
    wild = [*LOOSE, "--fit", "lora,read=policy,keep=true,lr=0.3", "--rounds", "1", "--seeds", "1"]
    arms = ["--arms", "full", "shared-weights"]
    shell.fork(*command, *wild, *arms, "--lose-critic", "1", "--out", "run").exits(0)
    full, shared = read(shell)["rows"]
    assert full["agreed"] == shared["agreed"] == shared["start"]["critic"]
    assert "critic" not in full["measures"]
    assert 0 <= shared["measures"]["critic"] <= 1
    answers = read(shell)["bought"]
    assert full["agreed"] == sum(not one["turned"] for one in answers) / len(answers)


def test_hostile_text_has_no_force(command: list[str], shell: Shell) -> None:
    table = write_questions(shell.folder / "odd.jsonl", n=90, odd=True)
    place = command.index("--task") + 1
    words = [*command[:place], f"file:{table},max_bad=0.5", *command[place + 1 :], "--seeds", "1", "--rounds", "1"]
    ended = shell.fork(*words, "--out", "run").exits(0)
    assert_no_force(ended, shell.folder / "run")


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--arms", "ful"], ["ful"]),
        (["--aims", "stedfast"], ["unknown aim 'stedfast'", "steadfast"]),
        (["--update", "pair"], ["unknown update 'pair'", "pairs"]),
        (["--attacks", "pair"], ["pair"]),
        (["--held-out", "pressure,tactics=assertion+consensus"], ["held out and trained on"]),
        (["--fit", "probe"], ["read=policy"]),
        (["--unseen", "relation"], ["tag=value"]),
        (["--learner", "openai:x,url=http://localhost:1/v1"], ["weights"]),
        (["--goals", "50"], ["too few items"]),
        (["--text", "none.txt"], ["none.txt"]),
        (["--update", "pairs,objective=forward"], ["forward"]),
    ],
)
def test_mistakes_are_named(shell: Shell, command: list[str], words: list[str], said: list[str]) -> None:
    ended = shell.fork(*command, *words, "--out", "run")
    assert ended.code in (1, 2)
    ended.says(*said)


PORTED = ["--goals", "6", "--rounds", "1", "--seeds", "1", "--experts", "0", "--risk-model", "none"]


def played(one: Asked) -> Says:
    """Say what an attacker or a critic says, always the same to the same words."""
    words = json.dumps(one.body["messages"])
    if "improvement" in words:
        return Says(completion(json.dumps({"improvement": "bolder", "prompt": f"Surely not? {len(words)}"})))
    return Says(completion("AB"[sum(words.encode()) % 2]))


def test_players_behind_a_server_that_dies_are_waited_for_and_gone_on_with(command: list[str], shell: Shell) -> None:
    """An attacker and a critic. The run stops and says so; once they are back it ends as if they had never died."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    model = f"openai:m,url=http://127.0.0.1:{port}/v1,retries=1,concurrency=1,key="
    players = ["--attacker", model, "--attacks", "pair,depth=1,streams=1", "--critics", f"rubric,model=({model})"]
    words = [*command, *LOOSE, *PORTED, *players]
    with serving(played, port=port) as server:
        Shell(shell.folder, shell.folder / "other").fork(*words, "--out", "whole").exits(0)
        kinds = ["improvement" in json.dumps(one.body) for one in server.asked]
    for dies in (1, kinds.index(False) + 2):  # before the first answers of the one and of the other are written down
        left = [dies]

        def behave(one: Asked, left: list[int] = left) -> Says:
            left[0] -= 1
            if left[0] < 0:
                server.die()
                return Says(mute=True)
            return played(one)

        with serving(behave, port=port) as server:
            shell.fork(*words, "--out", "run").exits(2).says("is gone", "cannot be reached", "what it has said is kept")
    with serving(played, port=port) as server:
        shell.fork(*words, "--out", "run").exits(0)
        assert len(server.asked) < len(kinds)
    assert not computed_again(shell.folder / "run")
    once, again = (json.loads((shell.folder / name / "results.json").read_text()) for name in ("whole", "run"))
    assert again["rows"] == once["rows"]
    assert again["episodes"] == once["episodes"]


def test_people_are_waited_for_and_what_they_say_is_learnt(command: list[str], shell: Shell) -> None:
    queue = shell.folder / "people.jsonl"
    small = [*PORTED, "--rounds", "2", "--experts", "4"]
    words = [*command, *LOOSE, *small, "--expert", f"human:{queue}", "--out", "run"]
    for wanted in (2, 4):  # of each round's two
        shell.fork(*words).exits(2).says("wait for a person", "superalign judge")
        asked = [json.loads(line) for line in queue.read_text(encoding="utf-8").splitlines()]
        cases = [row for row in asked if "prompt" in row]
        assert len(cases) == wanted
        with queue.open("a", encoding="utf-8") as file:
            for row in cases[wanted - 2 :]:
                file.write(json.dumps({"id": row["id"], "verdict": "first", "words": "I know it"}) + "\n")
    shell.fork(*words).exits(0)
    assert not computed_again(shell.folder / "run")
    result = read(shell)
    assert [one["after"] for one in result["bought"]] == pytest.approx([0.1] * 4)  # the claim is the first response
    assert [row["experts"] for row in result["rows"]] == [2, 2]
    assert "OracleExpert" not in {one["reader"] for one in result["unsealed"]}
    assert not any("simulated" in flag for flag in result["flags"])
