"""Campaigns on a real (tiny, random) model: budgets, order, errors that count as neither, a kill in the middle."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import ClassVar

import numpy as np
import pytest

from superalign.answers import AnswerBank
from superalign.attacker import (
    Ask,
    Attack,
    Attempt,
    Budget,
    Choose,
    Goal,
    GoalByGoal,
    Query,
    Rehearse,
    Scene,
    Search,
    Work,
    plainly,
    told,
    tried,
    weighed,
)
from superalign.campaign import Campaign
from superalign.chat import Message, Sampling, asked
from superalign.critics.keywords import Keywords
from superalign.errors import ConfigError
from superalign.job import Tools
from superalign.model import Model
from superalign.models.hf import HuggingFace
from superalign.store import Store
from superalign.trial import Compliance, Denial

GOALS = [
    Goal(f"g{n}", f"Is the river {word} long?", f"The {word} is short.", f"The {word} is long.")
    for n, word in enumerate(("one", "two", "three", "four"))
]


class Counting(GoalByGoal):
    """Asks plainly again and again."""

    source: ClassVar[str] = "none"

    rounds: int = 5
    """How often."""

    def search(self, index: int, goal: Goal, scene: Scene) -> Search:
        for turn in range(self.rounds):
            (attempt,) = yield from tried([Query(index, asked(f"{turn} {goal.prompt}"), "again")])
            assert attempt.query.goal == index


class Everything(Attack):
    """Makes every kind of request at once."""

    name: ClassVar[str] = "everything"

    source: ClassVar[str] = "none"
    roles: ClassVar[frozenset[str]] = frozenset({"attacker", "critic"})

    def searches(self, goals: Sequence[Goal], scene: Scene) -> Iterable[tuple[Sequence[int], Search]]:
        yield (0,), self._all(goals[0])

    def _all(self, goal: Goal) -> Search:
        sampling = Sampling(max_tokens=3)
        answers = yield [
            Work(["sum", 2], lambda: {"four": 4}, tokens=7),
            Ask(asked("Say something."), sampling),
            plainly(0, goal),
            Choose(asked("Is it so?"), ("Yes", "No")),
            Ask(asked("Say more."), sampling, role="critic"),
            Work(["product", 2], lambda: {"read": 1000}, tokens=lambda made: made["read"]),
        ]
        assert answers[0] == {"four": 4}
        assert answers[1].tokens_out <= 3
        assert isinstance(answers[2], Attempt)
        assert answers[3].logprobs.shape == (2,)
        replies = yield from told([])
        assert replies == []
        scored = yield from weighed([Choose(goal_messages(goal), ("Yes", "No", "Maybe"), "target")])
        assert len(scored[0].logprobs) == 3
        assert answers[4].error is None


def goal_messages(goal: Goal) -> tuple[Message, ...]:
    return asked(goal.prompt)


@pytest.fixture
def model(tiny: Callable[[str], Path]) -> HuggingFace:
    return HuggingFace(path=str(tiny("llama")), dtype="fp32")


def campaign(
    attack: Attack, model: HuggingFace, store: Store, budget: Budget, goals=GOALS, record=None, examples=()
) -> Campaign:
    bank = AnswerBank(store, model)
    scene = Scene(model, "knowledge", 0, examples)
    banks = {"target": bank, "attacker": bank, "critic": bank}
    return Campaign(attack, goals, scene, Denial(bank), banks, budget, record)


def test_every_goal_gets_its_own_queries(model: HuggingFace, tmp_path: Path) -> None:
    heard: list[Attempt] = []
    made = campaign(Counting(rounds=3), model, Store(tmp_path), Budget(queries=9), record=heard.extend)
    attempts = made.run()
    assert [one.query.goal for one in attempts] == [0, 1, 2, 3] * 3  # side by side, a round at a time
    assert heard == attempts
    assert made.spent.queries == 12
    assert not made.spent.stopped
    assert made.spent.tokens == sum(one.tokens for one in attempts) > 0


def test_the_outcome_is_which_answer_is_likelier(model: HuggingFace, tmp_path: Path) -> None:
    bank = AnswerBank(Store(tmp_path), model)
    for attempt in campaign(Counting(rounds=1), model, Store(tmp_path), Budget()).run():
        goal = GOALS[attempt.query.goal]
        (said,) = model.logprobs([attempt.query.messages], [("short", "long")])
        assert attempt.score == pytest.approx(float(said.logprobs[0] - said.logprobs[1]), abs=1e-4)
        assert attempt.outcome == ("broken" if attempt.score > 0 else "held")
        swapped = Goal(goal.id, goal.prompt, goal.denied, goal.claim)
        (other,) = Denial(bank).attempts([swapped], [Query(0, attempt.query.messages, "again")])
        assert other.score == pytest.approx(-attempt.score)


def test_queries_beyond_the_budget_are_not_asked(model: HuggingFace, tmp_path: Path) -> None:
    made = campaign(Counting(rounds=5), model, Store(tmp_path), Budget(queries=2))
    assert len(made.run()) == 8
    assert made.spent.stopped == {"queries": 4}


def test_a_search_that_ends_with_its_budget_was_not_stopped(model: HuggingFace, tmp_path: Path) -> None:
    made = campaign(Counting(rounds=2), model, Store(tmp_path), Budget(queries=2))
    assert len(made.run()) == 8
    assert not made.spent.stopped


class AllAtOnce(GoalByGoal):
    """Asks five things in one request."""

    source: ClassVar[str] = "none"

    def search(self, index: int, goal: Goal, scene: Scene) -> Search:
        yield from tried([Query(index, asked(f"{turn}"), "at once") for turn in range(5)])
        raise AssertionError("it is not answered what it could not ask")


def test_of_a_request_that_is_too_large_the_first_are_asked(model: HuggingFace, tmp_path: Path) -> None:
    made = campaign(AllAtOnce(), model, Store(tmp_path), Budget(queries=3))
    assert [one.query.messages[0].content for one in made.run()[:4]] == ["0", "1", "2", "0"]
    assert made.spent.queries == 12
    assert made.spent.stopped == {"queries": 4}


def test_tokens_end_a_campaign(model: HuggingFace, tmp_path: Path) -> None:
    made = campaign(Counting(rounds=5), model, Store(tmp_path), Budget(queries=9, tokens=1))
    assert len(made.run()) == 4  # the round that began is answered
    assert made.spent.stopped == {"tokens": 4}


def test_seconds_end_a_campaign(model: HuggingFace, tmp_path: Path) -> None:
    made = campaign(Counting(rounds=5), model, Store(tmp_path), Budget(queries=9, seconds=1e-6))
    assert len(made.run()) == 4
    assert made.spent.stopped == {"seconds": 4}


class Rehearsing(Attack):
    """Tries two examples, then each goal once."""

    name: ClassVar[str] = "rehearsing"
    source: ClassVar[str] = "none"

    def searches(self, goals: Sequence[Goal], scene: Scene) -> Iterable[tuple[Sequence[int], Search]]:
        yield range(len(goals)), self._search(goals, scene)

    def _search(self, goals: Sequence[Goal], scene: Scene) -> Search:
        tries = [Query(index, asked(f"Now: {scene.examples[index].prompt}"), "try") for index in (1, 0)]
        answers = yield [Rehearse(tries[0]), plainly(3, goals[3]), Rehearse(tries[1])]
        assert [one.query for one in answers] == [tries[0], plainly(3, goals[3]), tries[1]]
        yield from tried([plainly(index, goal) for index, goal in enumerate(goals)])


def test_what_comes_of_examples_is_told_and_spent_but_is_no_result(model: HuggingFace, tmp_path: Path) -> None:
    heard: list[Attempt] = []
    examples = (Goal("e0", "Is it so?", "It is long.", "It is short."), Goal("e1", "Is it?", "No.", "Yes."))
    given = {"examples": examples, "record": heard.extend}
    made = campaign(Rehearsing(), model, Store(tmp_path), Budget(queries=9), **given)
    attempts = made.run()
    assert [one.query.goal for one in attempts] == [3, 0, 1, 2, 3]
    assert heard == attempts
    assert (made.spent.queries, made.spent.rehearsed) == (7, 2)
    assert made.spent.tokens > sum(one.tokens for one in attempts)
    tight = campaign(Rehearsing(), model, Store(tmp_path), Budget(queries=1), examples=examples)
    assert len(tight.run()) == 4  # rehearsals take none of the goals' four queries; of the last four, three are put
    assert tight.spent.stopped == {"queries": 1}


def test_an_example_is_judged_by_its_own_claim(model: HuggingFace, tmp_path: Path) -> None:
    came: list[Attempt] = []

    class Keeping(Rehearsing):
        def _search(self, goals: Sequence[Goal], scene: Scene) -> Search:
            came.extend((yield [Rehearse(plainly(0, scene.examples[0])), plainly(0, goals[0])]))

    swapped = Goal("e", GOALS[0].prompt, GOALS[0].denied, GOALS[0].claim)
    campaign(Keeping(), model, Store(tmp_path), Budget(), examples=(swapped,)).run()
    assert came[0].score == pytest.approx(-came[1].score)


def test_all_kinds_of_requests_are_answered_in_order(model: HuggingFace, tmp_path: Path) -> None:
    made = campaign(Everything(), model, Store(tmp_path), Budget())
    assert len(made.run()) == 1
    assert made.spent.asked == 4
    assert made.spent.failed == 0
    assert made.spent.tokens > 1007


class Elsewhere(Attack):
    """Asks the same of its role's model and of another."""

    name: ClassVar[str] = "elsewhere"
    source: ClassVar[str] = "none"

    other: HuggingFace
    """Whom."""

    def searches(self, goals: Sequence[Goal], scene: Scene) -> Iterable[tuple[Sequence[int], Search]]:
        yield (0,), self._search()

    def _search(self) -> Search:
        ask = Ask(asked("Say something."), Sampling(max_tokens=5))
        mine, others, again = yield from told([ask, replace(ask, model=self.other), ask])
        assert mine == again
        assert others.text != mine.text
        (alone,) = self.other.generate([ask.messages], ask.sampling, [0])
        assert others.text == alone.text


def test_an_attack_may_ask_a_model_of_its_own(model: HuggingFace, tiny: Callable[[str], Path], tmp_path: Path) -> None:
    attack = Elsewhere(other=HuggingFace(path=str(tiny("qwen2")), dtype="fp32"))
    made = campaign(attack, model, Store(tmp_path), Budget())
    assert made.run() == []
    assert made.spent.asked == 3


class Choosy(Elsewhere):
    """Goes for nobody."""

    name: ClassVar[str] = "choosy"

    def check(self, target: Model, attacker: Model | None) -> None:
        raise ConfigError(f"{self.name} cannot use {target} and {attacker}")


def test_an_attack_refuses_models_before_anything_is_done(model: HuggingFace, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="choosy cannot use hf:"):
        campaign(Choosy(other=model), model, Store(tmp_path), Budget())


def test_a_model_that_is_not_there_is_named(model: HuggingFace, tmp_path: Path) -> None:
    bank = AnswerBank(Store(tmp_path), model)
    scene = Scene(model, "knowledge", 0)
    with pytest.raises(ConfigError, match="needs a model as attacker"):
        Campaign(Everything(), GOALS, scene, Denial(bank), {"target": bank, "critic": bank}, Budget())


class Failing(HuggingFace):
    """Cannot read the second goal."""

    def logprobs(self, prompts, answers, progress=None):
        found = super().logprobs(prompts, answers, progress)
        for place, prompt in enumerate(prompts):
            if " two " in prompt[-1].content:
                nothing = np.full(len(answers[place]), np.nan, dtype=np.float32)
                found[place] = type(found[place])(nothing, found[place].tokens, error="it is out of order")
        return found


def test_an_error_is_neither_broken_nor_held(tiny: Callable[[str], Path], tmp_path: Path) -> None:
    broken = Failing(path=str(tiny("llama")), dtype="fp32")
    attempts = campaign(Counting(rounds=2), broken, Store(tmp_path), Budget()).run()
    for attempt in attempts:
        failed = attempt.query.goal == 1
        assert (attempt.outcome == "error") == failed
        assert (attempt.score is None) == failed
        assert ("out of order" in attempt.why) == failed


def test_a_prefill_that_begins_both_answers_is_gone_on_with(model: HuggingFace, tmp_path: Path) -> None:
    goal = GOALS[0]
    begun = (*asked(goal.prompt), Message("assistant", "The one is"))
    (attempt,) = Denial(AnswerBank(Store(tmp_path), model)).attempts([goal], [Query(0, begun, "prefill")])
    (said,) = model.logprobs([begun], [(" short.", " long.")])
    assert attempt.score == pytest.approx(float(said.logprobs[0] - said.logprobs[1]), abs=1e-4)


def test_a_critic_says_what_a_response_to_a_request_is(model: HuggingFace, tmp_path: Path) -> None:
    store = Store(tmp_path)
    trial = Compliance(AnswerBank(store, model), Keywords(), Tools(store, print), Sampling(max_tokens=4), 0)
    goals = [Goal("a", "Do it."), Goal("b", "x" * 20_000)]
    done, failed = trial.attempts(goals, [plainly(0, goals[0]), plainly(1, goals[1])])
    assert done.outcome in ("broken", "undetermined")  # a random model does not open with an apology
    assert done.outcome == "undetermined" or done.score == pytest.approx(0.2)
    assert failed.outcome == "error"
    assert failed.why
