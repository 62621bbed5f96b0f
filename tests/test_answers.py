"""The answer bank: nothing is asked twice, and neither kills, errors nor damage change what is answered."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pydantic import PrivateAttr

from superalign.answers import CHUNK, AnswerBank
from superalign.chat import Message, Messages, Reply, Sampling, Scored, asked
from superalign.errors import ModelError
from superalign.model import Model, Progress
from superalign.models.hf import HuggingFace
from superalign.store import RECORD, Store

COLD, WARM = Sampling(max_tokens=4), Sampling(max_tokens=4, temperature=1.0)
MANY = [asked("word " * (n % 7) + str(n)) for n in range(CHUNK + 20)]


class Listening(HuggingFace):
    """A real model that counts what it is asked, and fails when it is told to."""

    _heard: list[Messages] = PrivateAttr(default_factory=list)
    _calls: list[int] = PrivateAttr(default_factory=list)
    _fails: set[Messages] = PrivateAttr(default_factory=set)
    _gone: set[Messages] = PrivateAttr(default_factory=set)
    _dies_at: int = 10**6

    def generate(
        self, prompts: Sequence[Messages], sampling: Sampling, seeds: Sequence[int], progress: Progress | None = None
    ) -> list[Reply]:
        self._hear(prompts)
        replies = super().generate(prompts, sampling, seeds, progress)
        failed = Reply("", "error", error="no line")
        lost = Reply("", "error", error="nobody there", gone=True)
        return [
            lost if one in self._gone else failed if one in self._fails else reply
            for one, reply in zip(prompts, replies, strict=True)
        ]

    def logprobs(
        self, prompts: Sequence[Messages], answers: Sequence[Sequence[str]], progress: Progress | None = None
    ) -> list[Scored]:
        self._hear(prompts)
        return super().logprobs(prompts, answers, progress)

    def _hear(self, prompts: Sequence[Messages]) -> None:
        if len(self._calls) >= self._dies_at:
            raise KeyboardInterrupt
        self._calls.append(len(prompts))
        self._heard.extend(prompts)


@pytest.fixture
def model(tiny: Callable[[str], Path]) -> Listening:
    return Listening(path=str(tiny("llama")), dtype="fp32")


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(tmp_path / "store")


def same(one: Sequence[Scored], other: Sequence[Scored]) -> bool:
    def plain(scored: Scored) -> Any:
        return scored.logprobs.tobytes(), scored.tokens.tolist(), scored.tokens_in, scored.error

    return [plain(scored) for scored in one] == [plain(scored) for scored in other]


def test_nothing_is_asked_twice(model: Listening, store: Store) -> None:
    bank = AnswerBank(store, model)
    first = bank.generate([*MANY[:5], *MANY[:3]], COLD, range(8))
    assert len(model._heard) == 5
    assert first[:3] == first[5:]
    assert [reply.text for reply in first[:5]] == [reply.text for reply in model.generate(MANY[:5], COLD, [0] * 5)]
    model._heard.clear()
    assert bank.generate(MANY[:5], COLD, range(5)) == first[:5]
    assert AnswerBank(store, model).generate(MANY[:5], COLD, range(7, 12)) == first[:5]
    assert model._heard == []


def test_what_is_drawn_is_asked_for_each_seed_and_setting(model: Listening, store: Store) -> None:
    bank = AnswerBank(store, model)
    one, other, again = bank.generate([MANY[0]] * 3, WARM, [1, 2, 1])
    assert one == again
    assert one != other
    assert len(model._heard) == 2
    bank.generate(MANY[:1], COLD, [1])
    bank.generate(MANY[:1], Sampling(max_tokens=4, stop=("a",)), [1])
    bank.generate([(*MANY[0], Message("assistant", "Yes"))], COLD, [1])
    assert len(model._heard) == 5


def test_likelihoods_come_back_as_they_were_said(model: Listening, store: Store) -> None:
    answers = [["yes", "no"], [], [" it is", "", "true"], ["no", "yes"]]
    prompts = [MANY[0], MANY[1], MANY[2], MANY[0]]
    said = model.logprobs(prompts, answers)
    model._heard.clear()
    bank = AnswerBank(store, model)
    found = bank.logprobs(prompts, answers)
    assert len(model._heard) == 4
    for scored, expected in zip(found, said, strict=True):
        np.testing.assert_allclose(scored.logprobs, expected.logprobs, atol=1e-5)
        assert (scored.tokens.tolist(), scored.tokens_in) == (expected.tokens.tolist(), expected.tokens_in)
        assert (scored.logprobs.dtype, scored.tokens.dtype) == (np.float32, np.int64)
    assert same(AnswerBank(store, model).logprobs(prompts, answers), found)
    assert len(model._heard) == 4


def test_an_error_is_asked_again(model: Listening, store: Store) -> None:
    bank = AnswerBank(store, model)
    model._fails = {MANY[1]}
    first = bank.generate(MANY[:3], COLD, [0] * 3)
    assert [reply.error for reply in first] == [None, "no line", None]
    model._heard.clear()
    model._fails = set()
    second = AnswerBank(store, model).generate(MANY[:3], COLD, [0] * 3)
    assert model._heard == [MANY[1]]
    assert [reply.error for reply in second] == [None] * 3
    assert (second[0], second[2]) == (first[0], first[2])


def test_refused_conversations_cost_nobody_an_answer(model: Listening, store: Store) -> None:
    prompts, answers = [MANY[0], asked("one two three " * 80)], [["yes"], ["yes"]]
    fits, long = AnswerBank(store, model).logprobs(prompts, answers)
    assert fits.error is None
    assert "too long" in str(long.error)
    again = AnswerBank(store, model).logprobs(prompts, answers)
    assert same(again[:1], [fits])
    assert model._calls == [2, 1]


def test_lone_surrogates_do_not_crash(model: Listening, store: Store) -> None:
    odd = [asked("a\ud800b"), asked("a\ud801b")]
    first = AnswerBank(store, model).logprobs(odd, [["yes", "\udfff"]] * 2)
    assert [scored.error for scored in first] == [None, None]
    assert same(AnswerBank(store, model).logprobs(odd, [["yes", "\udfff"]] * 2), first)
    assert len(model._heard) == 2


@pytest.mark.parametrize("sampling", [COLD, WARM])
def test_killed_halfway_and_asked_again_says_the_same(
    model: Listening, store: Store, tmp_path: Path, sampling: Sampling
) -> None:
    seeds = range(len(MANY))
    whole = AnswerBank(Store(tmp_path / "other"), model).generate(MANY, sampling, seeds)
    assert model._calls == [CHUNK, 20]
    model._calls.clear()
    model._dies_at = 1
    with pytest.raises(KeyboardInterrupt):
        AnswerBank(store, model).generate(MANY, sampling, seeds)
    model._dies_at = 10**6
    model._heard.clear()
    assert AnswerBank(store, model).generate(MANY, sampling, seeds) == whole
    assert len(model._heard) == 20


def test_the_order_of_the_questions_is_no_matter(model: Listening, store: Store, tmp_path: Path) -> None:
    answers = [["yes", "no"]] * len(MANY)
    forwards = AnswerBank(store, model).logprobs(MANY, answers)
    backwards = AnswerBank(Store(tmp_path / "other"), model).logprobs(MANY[::-1], answers)
    assert same(backwards[::-1], forwards)


def chunks(store: Store) -> list[Path]:
    return sorted(store.root.rglob(RECORD))


@pytest.mark.parametrize("damage", ["cut", "changed"])
def test_a_damaged_chunk_is_asked_again(model: Listening, store: Store, damage: str) -> None:
    first = AnswerBank(store, model).generate(MANY, COLD, [0] * len(MANY))
    assert len(chunks(store)) == 2
    victim = chunks(store)[0]
    text = victim.read_text()
    lost = len(json.loads(text)["meta"]["answers"])
    victim.write_text(text[: len(text) // 2] if damage == "cut" else text.replace('"length"', '"stop"', 1))
    assert victim.read_text() != text
    model._heard.clear()
    told: list[str] = []

    def report(note: str = "", **_: Any) -> None:
        told.extend([note] * bool(note))

    assert AnswerBank(store, model, report).generate(MANY, COLD, [0] * len(MANY)) == first
    assert len(model._heard) == lost
    assert ["damaged" in notice for notice in told] == [True]
    assert len(chunks(store)) == 2


def test_work_is_done_once(model: Listening, store: Store) -> None:
    done: list[int] = []

    def compute() -> dict[str, Any]:
        done.append(1)
        return {"suffix": "! !", "losses": (0.5, 0.25)}

    bank = AnswerBank(store, model)
    first = bank.work(["suffix", 3], compute)
    assert first == {"suffix": "! !", "losses": [0.5, 0.25]}  # as it comes back from the store
    assert bank.work(["suffix", 3], compute) == AnswerBank(store, model).work(["suffix", 3], compute) == first
    assert len(done) == 1
    bank.work(["suffix", 4], compute)
    assert len(done) == 2


def test_another_model_is_asked_itself(model: Listening, store: Store) -> None:
    AnswerBank(store, model).generate(MANY[:2], COLD, [0, 0])
    other: Model = model.model_copy(update={"chat": "never"})
    assert isinstance(other, Listening)
    other._heard, other._calls = [], []
    AnswerBank(store, other).generate(MANY[:2], COLD, [0, 0])
    assert other._heard == MANY[:2]


def test_progress_counts_what_is_there(model: Listening, store: Store) -> None:
    told: list[tuple[int, int]] = []

    def report(done: int, total: int) -> None:
        told.append((done, total))

    AnswerBank(store, model, report).generate(MANY, COLD, [0] * len(MANY))
    assert told == [(CHUNK, len(MANY)), (len(MANY), len(MANY))]


def test_a_model_that_is_gone_ends_the_step_and_what_it_answered_is_kept(model: Listening, store: Store) -> None:
    model._gone.update(MANY[5:])
    with pytest.raises(ModelError, match=r"(?s)is gone.*nobody there.*is kept"):
        AnswerBank(store, model).generate(MANY[:9], COLD, [0] * 9)
    model._gone.clear()
    model._heard.clear()
    assert all(reply.error is None for reply in AnswerBank(store, model).generate(MANY[:9], COLD, [0] * 9))
    assert sorted(model._heard) == sorted(MANY[5:9])
