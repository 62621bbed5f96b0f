"""A critic taught by a labelled file: what it says elsewhere, taught once, by a file that decides what it is."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from superalign.chat import asked
from superalign.critic import Case, critics
from superalign.critics.trained import Trained
from superalign.errors import ConfigError, DataError, SuperalignError
from superalign.job import Tools
from superalign.label import Labels
from superalign.store import Store
from superalign.task import recorded_unsealings

REFUSALS = ("I cannot help with that, sorry.", "Sorry, I will not do this.", "I must refuse; it is not right.")
ANSWERS = ("First, take two eggs and a pan.", "The train leaves at noon from here.", "Mix flour, water and salt.")
ELSEWHERE = [Case("r", asked("?"), ("Sorry, I cannot do that.",)), Case("a", asked("?"), ("Take the pan first.",))]
pytestmark = pytest.mark.model


@pytest.fixture
def tools(embedded_home, tmp_path: Path) -> Tools:
    return Tools(Store(tmp_path / "store"), lambda **_: None)


def write(path: Path, turned: bool = False) -> Path:
    """Write 60 labelled responses in three classes, two of which are refusals; turned, the labels are all wrong."""
    rows = []
    for n in range(60):
        text = (REFUSALS if n % 2 else ANSWERS)[n // 2 % 3]
        label = ("full", "partly")[n // 2 % 2] if n % 2 != turned else "answer"
        rows.append({"prompt": f"Question {n}?", "response": f"{text} ({n})", "label": label})
    path.write_text("\n".join(map(json.dumps, rows)))
    return path


@pytest.fixture
def labelled(tmp_path: Path) -> Path:
    return write(tmp_path / "labelled.jsonl")


def test_it_says_what_the_critic_says_that_learnt_the_same_by_hand(labelled: Path, tools: Tools) -> None:
    rows = [json.loads(line) for line in labelled.read_text().splitlines()]
    cases = [Case(str(n), asked(row["prompt"]), (row["response"],)) for n, row in enumerate(rows)]
    refused = np.array([row["label"] != "answer" for row in rows]).astype(int)
    by_hand = critics.build("weak")
    wanted = by_hand.judge(ELSEWHERE, tools, by_hand.learn(cases, Labels.hard(refused, 2, "people"), tools))
    critic = critics.build(f"taught,on=file:{labelled},critic=weak,good=full+partly")
    assert not critic.learns
    said = critic.judge(ELSEWHERE, tools)
    assert [one.verdict for one in said] == ["good", "bad"]
    assert [one.good for one in said] == pytest.approx(
        [one.good for one in wanted], abs=1e-3
    )  # folds are drawn by group


def test_it_is_taught_once_and_every_reading_of_the_truth_is_recorded(
    labelled: Path, tools: Tools, monkeypatch: pytest.MonkeyPatch
) -> None:
    words = f"taught,on=file:{labelled},critic=weak,good=full+partly"
    first = [one.good for one in critics.build(words).judge(ELSEWHERE, tools)]
    monkeypatch.setattr(Trained, "learn", None)
    with recorded_unsealings() as log:
        assert [one.good for one in critics.build(words).judge(ELSEWHERE, tools)] == first
    (reading,) = log
    assert (reading.part, reading.reader, reading.n) == ("supervise", "GroundTruth", 60)
    critic = critics.build(words)
    with recorded_unsealings() as log:
        critic.judge(ELSEWHERE, tools)
        critic.judge(ELSEWHERE, tools)
    assert len(log) == 1  # one critic reads its labels once, however often it judges
    assert critic == critics.build(words)


def test_other_labels_make_another_critic(labelled: Path, tools: Tools) -> None:
    critic = critics.build(f"taught,on=file:{labelled},critic=weak,good=full+partly")
    before, said = critic.identity(), [one.good for one in critic.judge(ELSEWHERE, tools)]
    write(labelled, turned=True)
    assert critic.identity() != before
    changed = [one.good for one in critics.build(str(critic)).judge(ELSEWHERE, tools)]
    assert changed[0] < 0.5 < said[0]
    assert changed[1] > 0.5 > said[1]


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ("critic=keywords,good=full", "learns nothing"),
        ("critic=weak", "which classes are good"),
        ("critic=weak,good=ful", "'full'"),
        ("critic=weak,good=full+partly+answer", "nothing to tell apart"),
    ],
)
def test_what_cannot_be_taught_is_named(labelled: Path, tools: Tools, words: str, said: str) -> None:
    with pytest.raises((ConfigError, DataError)) as caught:
        critics.build(f"taught,on=file:{labelled},{words}").prepare(lambda *_: None)
    assert said in str(caught.value)


def test_a_file_that_is_missing_is_named(tools: Tools) -> None:
    with pytest.raises(SuperalignError, match=r"none\.jsonl"):
        critics.build("taught,on=file:none.jsonl,critic=weak").identity()


def test_what_learnt_single_responses_does_not_judge_pairs(labelled: Path, tools: Tools) -> None:
    critic = critics.build(f"taught,on=file:{labelled},critic=weak,good=full+partly")
    with pytest.raises(ConfigError, match="single responses"):
        critic.judge([Case("p", asked("?"), ("x", "y"))], tools)
