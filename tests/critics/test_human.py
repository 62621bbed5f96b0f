"""People as a critic: the queue, its budget, torn and wrong lines, and the command that can be stopped at any time."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from superalign.chat import asked
from superalign.critic import Case, critics
from superalign.critics._queue import Answer, Queue
from superalign.critics._terminal import ask_people
from superalign.errors import ConfigError, StoreError
from superalign.job import Tools
from superalign.store import Store

CASES = [Case(str(n), asked(f"Question {n}?"), (f"Response {n}.",)) for n in range(4)]
PAIR = Case("p", asked("Which?"), ("one", "two"))


@pytest.fixture
def notes() -> list[str]:
    return []


@pytest.fixture
def told(tmp_path, notes) -> Tools:
    return Tools(Store(tmp_path / "store"), lambda **facts: notes.append(facts["note"]))


@pytest.fixture
def path(tmp_path) -> Path:
    return tmp_path / "desk" / "queue.jsonl"


def human(path, **settings):
    return critics.build({"name": "human", "queue": str(path), **settings})


def typed(path, *lines):
    """Answer as a person would; what was printed comes back."""
    said, rest = [], iter(lines)

    def read(prompt):
        said.append(prompt)
        try:
            return next(rest)
        except StopIteration:
            raise EOFError from None

    held = ask_people(Queue(path), read, said.append)
    return "\n".join(said), held


def test_what_nobody_answered_has_no_verdict_and_what_somebody_did_has(path, told):
    assert [critique.undetermined for critique in human(path).judge([*CASES, PAIR], told)] == ["unanswered"] * 5
    typed(path, "g", "fine", "B", "", "u", "who knows")
    said = human(path, sure=0.8).judge([*CASES, PAIR], told)
    assert [critique.verdict for critique in said] == ["good", "bad", "undetermined", "undetermined", "undetermined"]
    assert [critique.words for critique in said[:3]] == ["fine", "", "who knows"]
    assert [critique.confidence for critique in said[:2]] == pytest.approx([0.8, 0.8])
    assert [critique.undetermined for critique in said[2:]] == ["abstained", "unanswered", "unanswered"]
    assert [critique.cost.people for critique in said] == [1, 1, 1, 0, 0]
    _, held = typed(path, "g", "", "2", "the second")
    assert held.left == []
    assert human(path).judge([PAIR], told)[0].verdict == "good"


def test_the_queue_holds_the_case_and_nothing_else(path, told):
    human(path).judge([CASES[0], PAIR], told)
    rows = [json.loads(line) for line in path.read_text().splitlines()]
    assert [set(row) for row in rows] == [{"id", "prompt", "responses"}] * 2
    assert (rows[1]["prompt"], rows[1]["responses"]) == ("Which?", ["one", "two"])


def test_a_case_is_asked_once_and_no_more_than_the_budget(path, told):
    for _ in range(2):
        human(path, budget=3).judge(CASES, told)
    assert len(path.read_text().splitlines()) == 3
    human(path, budget=3).judge([PAIR], told)
    assert len(path.read_text().splitlines()) == 3
    human(path, budget=4).judge([PAIR, *CASES], told)
    assert len(path.read_text().splitlines()) == 4


def test_one_question_answered_by_two_models_is_two_cases(path, told):
    other = Case("0", CASES[0].messages, ("Another response.",))
    human(path).judge([CASES[0], other], told)
    typed(path, "g", "", "b", "")
    assert [critique.verdict for critique in human(path).judge([other, CASES[0]], told)] == ["bad", "good"]


def test_lines_that_are_torn_or_wrong_are_told_with_their_number(path, told, notes):
    human(path).judge(CASES[:2], told)
    whole = path.read_bytes()
    first = json.loads(whole.splitlines()[0])["id"]
    bad = [
        b"\xff\xfe",
        b'{"id": 3}',
        b"[1]",
        b'{"id": "x", "verdict": "maybe"}',
        b'{"id": "x", "prompt": "?"}',
        b"[" * 9999,
    ]
    rows = [{"id": "unknown", "verdict": "good"}, {"id": first, "verdict": "second", "words": ""}]
    path.write_bytes(whole + b"\n".join([*bad, *(json.dumps(row).encode() for row in rows)]) + b'\n{"id": "')
    assert [critique.undetermined for critique in human(path).judge(CASES[:2], told)] == ["unanswered"] * 2
    for number in (*range(3, 9), 11):
        assert any(note.startswith(f"{path}:{number}: ") for note in notes), number
    assert sum("which was not asked so" in note for note in notes) == 2
    typed(path, "g", "")  # the torn line gets an end of its own
    assert human(path).judge(CASES[:1], told)[0].verdict == "good"


def test_what_it_says_is_named_by_the_answers(path, told):
    critic = human(path)
    nothing = critic.identity()
    critic.judge(CASES, told)
    assert critic.identity() == nothing
    typed(path, "g", "")
    assert critic.identity() != nothing


def test_a_person_may_think_again(path, told):
    human(path).judge(CASES[:1], told)
    (asked_,) = Queue(path).read().left
    for verdict in ("good", "bad"):
        Queue(path).answer(asked_, Answer(verdict, ""))
    assert human(path).judge(CASES[:1], told)[0].verdict == "bad"


def test_hostile_text_is_shown_and_does_nothing(path, told):
    evil = Case("\x1b]0;x\x07", asked("a\x1b[2J\nb\u202e"), ("\x00<script>\ud800",))
    human(path).judge([evil], told)
    shown, held = typed(path, "\x1b[31m", "b", "\ud800 words\x1b")
    assert not {"\x1b", "\x00", "\x07", "\u202e", "\ud800"} & set(shown)
    assert "a\\x1b[2J\n  b\\x202e" in shown
    assert human(path).judge([evil], told)[0].words == "\ud800 words\x1b"
    assert held.left == []


def test_mistakes_are_named(tmp_path, told):
    with pytest.raises(ConfigError, match=r"\.jsonl"):
        critics.build("human:queue.csv")
    with pytest.raises(ConfigError, match="needs the setting 'queue'"):
        critics.build("human")
    (tmp_path / "dir.jsonl").mkdir()
    with pytest.raises(StoreError):
        human(tmp_path / "dir.jsonl").judge(CASES, told)


class TestCommand:
    def start(self, path):
        command = [sys.executable, "-m", "superalign", "judge", str(path)]
        pipe = subprocess.PIPE
        return subprocess.Popen(command, stdin=pipe, stdout=pipe, stderr=pipe, env={**os.environ})

    def test_it_is_killed_between_two_answers_and_goes_on(self, path, told):
        human(path).judge(CASES, told)
        process = self.start(path)
        process.stdin.write(b"g\nfirst words\n")
        process.stdin.flush()
        assert any(b"--- 2 of 4" in line for line in process.stdout)
        process.send_signal(signal.SIGKILL)
        process.communicate()
        with path.open("ab") as file:
            file.write(b'{"id": "torn')  # as a write that a kill cut short
        out, err = self.start(path).communicate(b"b\n\xff\nx\nu\n\n")
        assert (b"--- 1 of 3" in out, err) == (True, b"")
        assert b"3 answered, 1 left" in out
        assert b"queue.jsonl:6: invalid JSON" in out
        said = human(path).judge(CASES, told)
        assert [critique.verdict for critique in said] == ["good", "bad", "undetermined", "undetermined"]
        assert said[1].words == "\ufffd"
        assert said[3].undetermined == "unanswered"

    def test_a_queue_that_is_not_there(self, path):
        process = self.start(path)
        _, err = process.communicate(b"")
        assert process.returncode == 2
        assert err.startswith(b"error: no queue")
