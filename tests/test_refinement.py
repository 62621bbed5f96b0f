"""Gain and harm of revisions: what the oracle takes for an answer, and figures against counts by hand."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest

from superalign import CriticEval, run
from superalign.chat import Messages, Reply, Sampling
from superalign.critic import Case, Critic, Critique, critics
from superalign.errors import SealedGoldError
from superalign.job import Tools, compute
from superalign.model import Features, Model, Progress, models
from superalign.refinement import AnswerOracle, number
from superalign.store import Artifact, Store
from superalign.task import Comparison, Example, Gold, Loaded, Task, TaskSource, Text, tasks
from test_job import Heard


@tasks.register("test-sums")
class Sums(TaskSource):
    """Two solutions of each of sixty sums: one right, one wrong; of some sums both are wrong."""

    def load(self) -> Loaded:
        items, labels = [], []
        for n in range(60):
            for right in (0, 1):
                good = right and n % 10
                said = f"{n} and {n} make\nA: {2 * n if good else 2 * n + 7}"
                items.append(Example(f"{n}/{right}", f"What is {n} + {n}?", said, str(n)))
                labels.append(int(bool(good)))
        return Loaded(Task("sums", "1", tuple(items), ("wrong", "right")), np.array(labels, dtype=np.int64))

    def fingerprint(self) -> str:
        return "1"


@critics.register("test-adds")
class Adds(Critic):
    """Adds up by itself; tells the sum where that was asked for."""

    tells: bool = True
    """Name the right sum of wrong solutions; else say that right ones are wrong."""

    def judge(self, cases: Sequence[Case], tools: Tools, learnt: Artifact | None = None) -> list[Critique]:
        return [self._one(case) for case in cases]

    def _one(self, case: Case) -> Critique:
        n = int(case.messages[0].content.split()[2])
        right = number(case.responses[0]) == 2 * n
        if self.tells:
            return Critique("fine" if right else f"it is {2 * n}", 0.9 if right else 0.1)
        return Critique("it is 1000" if right else "fine", 0.1 if right else 0.9)


@models.register("test-reviser")
class Reviser(Model):
    """Writes what the critic says it is, else what it wrote before; of sums that end in 3 it writes nothing."""

    def fingerprint(self) -> str:
        return "1"

    def depth(self) -> int:
        return 0

    def chosen_layer(self) -> int:
        return 0

    def features(self, texts: Sequence[Text], layers: Sequence[int], progress: Progress | None = None) -> Features:
        raise NotImplementedError

    def generate(
        self, prompts: Sequence[Messages], sampling: Sampling, seeds: Sequence[int], progress: Progress | None = None
    ) -> list[Reply]:
        return [self._one(prompt) for prompt in prompts]

    def _one(self, prompt: Messages) -> Reply:
        if prompt[0].content.endswith("3?"):
            return Reply("", "error", error="late")
        told = prompt[-1].content.partition("it is ")[2].split()
        return Reply(f"A: {told[0]}" if told and told[0].isdigit() else prompt[-2].content)


def study(**settings: Any) -> CriticEval:
    small = {"task": "test-sums", "critics": ("test-adds", "test-adds,tells=false"), "seeds": 1, "flaws": 0}
    return CriticEval(**{**small, "refine": ("test-reviser",), **settings})


def test_revisions_are_counted_as_they_are(tmp_path):
    store, asked, loaded = Store(tmp_path / "store"), study(revisions=1000), Sums().load()
    result = run(asked, out=tmp_path / "run", store=store)
    unaided, helper, spoiler = result.refinements
    assert [one.critic for one in result.refinements] == ["no critique", "test-adds", "test-adds,tells=False"]
    plan = asked.plan()
    rows = [row for row, *_ in compute(plan.unaided, store, Heard()).meta["revisions"]]
    sums = [int(loaded.task.items[row].group) for row in rows]
    exact = [n % 10 != 0 for n in sums]  # of the others no right answer is known
    right = [bool(loaded.labels[row]) for row in rows]
    assert unaided.inexact == len(rows) - sum(exact) > 0
    assert unaided.n_right == sum(r for r, e in zip(right, exact, strict=True) if e)
    assert unaided.n_wrong == sum(not r for r, e in zip(right, exact, strict=True) if e)
    assert unaided.errors == sum(n % 10 == 3 for n in sums) > 0
    assert (unaided.gain.value, unaided.harm.value, unaided.net.value, unaided.beyond) == (0, 0, 0, None)
    assert (helper.gain.value, helper.harm.value) == (1, 0)
    assert (spoiler.gain.value, spoiler.harm.value) == (0, 1)
    assert helper.beyond.low > 0
    assert spoiler.beyond.high < 0
    assert helper.net.value == pytest.approx(-spoiler.net.value)
    said = " ".join(result.verdict)
    assert "Revised by what test-adds says, responses are right more often" in said
    assert "Revised by what test-adds,tells=False says, responses are right less often" in said
    assert ("test", "AnswerOracle") in {(one.part, one.reader) for one in result.unsealed}


def test_without_a_model_that_revises_nothing_is_revised(tmp_path):
    result = run(study(refine=()), out=tmp_path / "run", store=Store(tmp_path / "store"))
    assert result.refinements == []


def test_where_no_answer_is_exact_a_flag_says_so(tmp_path):
    asked = study(task="facts,cities=60", critics=("keywords",))
    result = run(asked, out=tmp_path / "run", store=Store(tmp_path / "store"))
    assert result.refinements == []
    assert any("no exact answer is known" in flag for flag in result.flags)


def test_a_few_responses_are_enough(tmp_path):
    result = run(study(revisions=12), out=tmp_path / "run", store=Store(tmp_path / "store"))
    one = result.refinements[0]
    assert one.n_wrong + one.n_right + one.inexact == 12


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("so 3 + 4 = 7\nA: 7", 7),
        ("A: 12 apples, not 9", 12),
        ("#### 1,250.50", 1250.5),
        ("it costs $1,200 in 3 days", 3),
        ("minus: A: -4", -4),
        ("none at all", None),
    ],
)
def test_the_number_of_a_solution(text: str, expected: float | None) -> None:
    assert number(text) == expected


def test_which_of_two_statements_a_revision_makes() -> None:
    pair = Comparison("a", "", ("The city of Basra is in Iraq.", "The city of Basra is in South Korea."))
    task = Task("facts", "1", (pair,), ("first", "second"))
    oracle = AnswerOracle(task, np.array([0]), Gold(np.array([0]), "test"))
    assert oracle.right(0, 0) is True
    assert oracle.right(0, 1) is False
    assert oracle.right(0, 1, "Basra lies in IRAQ, I think.") is True
    assert oracle.right(0, 0, "It is in South Korea.") is False
    assert oracle.right(0, 0, "In Iraq or in South Korea.") is False
    assert oracle.right(0, 0, "I do not know.") is False


def test_the_oracle_reads_no_part_without_being_recorded() -> None:
    with pytest.raises(SealedGoldError):
        Gold(np.array([0]), "test").unseal(Reviser(), "to revise")
