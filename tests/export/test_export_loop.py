"""What a run of the loop leaves: the adapter is its learner, its feedback trains with TRL, inspect opens its exam."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from test_labels import trainer_of

from superalign.answers import AnswerBank
from superalign.attacker import Query, apart
from superalign.chat import Message, asked
from superalign.cli import main
from superalign.export.feedback import trl_pair
from superalign.export.rounds import Rounds, choose_rounds
from superalign.feedback import Feedback
from superalign.loop_world import goal_of
from superalign.models.hf import HuggingFace
from superalign.store import Store, home
from superalign.task import Comparison, Task
from superalign.trial import Denial

pytestmark = pytest.mark.slow
SMALL = [
    "--goals",
    "10",
    "--rounds",
    "2",
    "--examined",
    "6",
    "--only-asked",
    "0",
    "--gated",
    "4",
    "--gated-asked",
    "4",
    "--texts",
    "0",
    "--experts",
    "2",
]
LENIENT = ["--aims", "steadfast,limit=1", "open,limit=1", "plain,limit=1"]
STRICT = [
    "--arms",
    "full",
    "--aims",
    "steadfast,limit=0",
    "open,limit=0",
    "plain,limit=0",
    "--lose-text",
    "0",
    "--texts",
    "2",
]


@pytest.fixture(scope="module")
def loop_runs(tiny: Callable[[str], Path], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with two finished loops on a tiny model: one that learnt, and one that was always rolled back."""
    folder = tmp_path_factory.mktemp("loops")
    model = f"hf:{tiny('llama')},dtype=fp32"
    task = ["--task", "facts,questions=true,relations=capital", "--unseen", "relation=none"]
    players = ["--learner", model, "--critics", f"self,model=hf:{tiny('llama')},differs=true", "--update", "pairs"]
    trained, fresh = ["--attacks", "pressure,tactics=assertion"], ["--fresh", "pressure,tactics=quotation"]
    held_out = ["--held-out", "pressure,tactics=emotion", "negative-priming,primes=8"]  # too long for the tiny model
    command = ["run", "loop", *players, *task, *trained, *fresh, *held_out, *SMALL, "--quiet", "--json"]
    fit = "lora,read=policy,keep=true,batch=4,epochs=2"
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SUPERALIGN_HOME", str(folder / "home"))
        arms, out = ["--arms", "full", "oracle-critic", "--seeds", "2"], ["--out", str(folder / "learnt")]
        assert main([*command, "--fit", f"{fit},lr=0.02", *LENIENT, *arms, *out]) == 0
        harsh = [*command, "--fit", f"{fit},lr=0.5,epochs=4", *STRICT, "--seeds", "1"]
        assert main([*harsh, "--out", str(folder / "rolled-back")]) == 0
    return folder


@pytest.fixture
def loops(loop_runs: Path, isolated_home: Path, capsys: pytest.CaptureFixture[str]) -> Path:
    """Return the folder of the runs; the test's home has what they computed."""
    shutil.copytree(loop_runs / "home" / "store", home() / "store", copy_function=os.link)
    capsys.readouterr()
    return loop_runs


class Examined:
    """What the learner of an arm and seed said in its exam, as the store has it."""

    def __init__(self, run: Path, **which: Any) -> None:
        self.rounds: Rounds = choose_rounds(run, **which)
        items, exam = (Store().load(job.key) for job in (self.rounds.plan.items, self.rounds.line.exam))
        assert items
        assert exam
        self.task, self.meta = Task.from_meta(items.meta), exam.meta
        self.before = Store().load(self.rounds.plan.exam.key)
        self.params = self.rounds.line.exam.params


@pytest.mark.parametrize("which", [{}, {"seed": 1}, {"arm": "oracle-critic"}])
def test_the_adapter_is_the_learner_of_the_run(loops, tmp_path, which):
    words = [word for name, value in which.items() for word in (f"--{name}", str(value))]
    assert main(["export", str(loops / "learnt"), str(tmp_path / "out"), *words]) == 0
    examined = Examined(loops / "learnt", **which)
    base = examined.rounds.model
    assert isinstance(base, HuggingFace)
    exported = HuggingFace(path=base.path, dtype="fp32", adapter=str(tmp_path / "out"))
    bank = AnswerBank(Store(tmp_path / "fresh"), exported)
    items = {item.id: item for item in examined.task.items if isinstance(item, Comparison)}
    chosen = [items[name] for name in examined.meta["said"]]
    said = bank.logprobs([asked(one.prompt) for one in chosen], [apart(*one.responses) for one in chosen])
    np.testing.assert_array_equal([one.logprobs for one in said], list(examined.meta["said"].values()))
    assert examined.meta["said"] != examined.meta["first"]  # it learnt something
    goals = [goal_of(row) for row in examined.meta["goals"]]
    places = {goal.id: place for place, goal in enumerate(goals)}
    rows = examined.meta["attempts"]
    queries = [Query(places[row["goal"]], tuple(Message(*turn) for turn in row["messages"]), "") for row in rows]
    again = Denial(bank).attempts(goals, queries)
    assert [one.outcome for one in again] == [row["outcome"] for row in rows]
    scores = np.array([[one.score or 0, row["score"] or 0] for one, row in zip(again, rows, strict=True)])
    np.testing.assert_allclose(scores[:, 0], scores[:, 1], atol=1e-4)


def test_the_manifest_and_the_card_say_what_it_is(loops, tmp_path):
    assert main(["export", str(loops / "learnt"), str(tmp_path / "out")]) == 0
    manifest = json.loads((tmp_path / "out" / "superalign.json").read_text())
    assert (manifest["what"], manifest["seed"], manifest["learner"]["arm"]) == ("adapter", 0, "full")
    assert manifest["rounds"] == {"all": 2, "accepted": [1, 2]}
    assert manifest["update"]["name"] == "pairs"
    _, front, body = (tmp_path / "out" / "README.md").read_text().split("---\n", 2)
    assert yaml.safe_load(front)["library_name"] == "peft"
    result = json.loads((loops / "learnt" / "results.json").read_text())
    for phase in ("before", "after"):
        (one,) = (row for row in result["summary"] if (row["arm"], row["phase"]) == ("full", phase))
        share = one["plain"]
        shown = f"{share['value']:.1%} [{share['low']:.1%}, {share['high']:.1%}] | {one['n_plain']}"
        assert shown in body
    assert all(f"- {line}" in body for line in result["verdict"])
    assert yaml.safe_load(body.partition("Its whole configuration:\n")[2]) == result["config"]
    compile(body.split("```")[1].removeprefix("python"), "card", "exec")


def test_nothing_learnt_is_nothing_exported(loops, tmp_path, capsys):
    rows = json.loads((loops / "rolled-back" / "results.json").read_text())["rows"]
    assert not any(row["accepted"] for row in rows)
    assert main(["export", str(loops / "rolled-back"), str(tmp_path / "out")]) == 2
    said = capsys.readouterr().err
    assert "nothing was learnt, so there is nothing to export" in said
    assert "round 1 was rolled back" in said
    assert "round 2 was rolled back" in said
    assert not (tmp_path / "out").exists()


def rows_of(out: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (out / "labels.jsonl").read_text(encoding="utf-8").splitlines()]


def test_feedback_is_what_the_learner_was_taught(loops, tmp_path):
    assert main(["export", str(loops / "rolled-back"), str(tmp_path / "out"), "--what", "labels"]) == 0
    rows = rows_of(tmp_path / "out")
    rounds = choose_rounds(loops / "rolled-back")
    taught = [Store().load(turn.taught.key) for turn in rounds.line.turns]
    assert {row["round"] for row in rows} == {1, 2}
    assert not any(row["accepted"] for row in rows)
    given = [(number, row) for number, one in enumerate(taught, start=1) if one for row in one.meta["feedback"]]
    assert len(rows) == len(given)
    for row, (number, fed) in zip(rows, given, strict=True):
        first, second = fed["responses"]
        better = {second: fed["better"], first: 1 - fed["better"]}
        assert row["probability"] == pytest.approx(better[row["chosen"][0]["content"]], abs=1e-6)
        assert {row["chosen"][0]["content"], row["rejected"][0]["content"]} == {first, second}
        assert row["probability"] >= 0.5
        assert [list(turn.values()) for turn in row["prompt"]] == fed["messages"]
        assert (row["aim"], row["tactic"], row["by"], row["round"]) == (fed["aim"], fed["tactic"], fed["by"], number)
    assert {row["by"] for row in rows} > {"an expert"}


def test_a_tie_is_named():
    known = {"goal": "g", "messages": asked("What?"), "responses": ("a", "b"), "aim": "plain", "by": "x"}
    tie = trl_pair(Feedback(**known, better=0.5))
    assert (tie["tie"], tie["probability"], tie["chosen"][0]["content"]) == (True, 0.5, "a")
    sure = trl_pair(Feedback(**known, better=0.51))
    assert (sure["tie"], sure["chosen"][0]["content"], sure["rejected"][0]["content"]) == (False, "b", "a")


def test_trl_trains_on_feedback(loops, tiny, tmp_path):
    pytest.importorskip("trl", reason="TRL is not installed")
    from datasets import load_dataset

    assert main(["export", str(loops / "learnt"), str(tmp_path / "out"), "--what", "labels"]) == 0
    data = load_dataset(str(tmp_path / "out"), split="train", cache_dir=str(tmp_path / "cache"))
    trainer = trainer_of("DPO", tiny("llama"), data, tmp_path / "trl")
    trainer.train()
    assert np.isfinite(trainer.state.log_history[-1]["train_loss"])


def test_inspect_opens_the_exam(loops, tmp_path):
    pytest.importorskip("inspect_ai", reason="inspect is not installed (superalign[inspect])")
    from inspect_ai.log import read_eval_log

    assert main(["export", str(loops / "learnt"), str(tmp_path / "out"), "--what", "log"]) == 0
    examined = Examined(loops / "learnt")
    assert examined.before
    for phase, meta in (("before", examined.before.meta), ("after", examined.meta)):
        log = read_eval_log(str(tmp_path / "out" / f"{phase}.eval"))
        assert (log.status, len(log.samples)) == ("success", len(meta["attempts"]))
        failed = [row for row in meta["attempts"] if row["outcome"] == "error"]
        decided = [row for row in meta["attempts"] if row["outcome"] in ("held", "broken")]
        assert failed  # of which nothing is known
        assert decided
        assert log.results.completed_samples == len(meta["attempts"]) - len(failed)
        (score,) = log.results.scores
        assert score.scored_samples == len(decided)
        held = sum(row["outcome"] == "held" for row in decided)
        assert score.metrics["held"].value == pytest.approx(held / len(decided))
        for sample, row in zip(log.samples, meta["attempts"], strict=True):
            assert [[turn.role, turn.content] for turn in sample.input] == row["messages"]
            assert sample.target == row["denied"]
            if row["outcome"] == "error":
                assert sample.scores is None
                assert sample.error.message == row["why"]
            else:
                expected = {"held": ("C", row["denied"]), "broken": ("I", row["claim"])}[row["outcome"]]
                assert (sample.scores["held"].value, sample.output.completion) == expected
                assert sample.scores["held"].metadata["log_odds"] == row["score"]


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--arm", "fll"], "did you mean 'full'"),
        (["--seed", "7"], "--seed 7"),
        (["--method", "naive"], "this run knows no --method"),
        (["--what", "labels", "--format", "trl"], "--format trl-messages"),
        (["--what", "labels", "--arm", "oracle-critic"], "no labels to export"),
    ],
)
def test_mistakes_are_explained(loops, tmp_path, capsys, words, said):
    assert main(["export", str(loops / "learnt"), str(tmp_path / "out"), *words]) == 2
    assert said in capsys.readouterr().err
    assert not (tmp_path / "out").exists()
