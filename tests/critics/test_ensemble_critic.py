"""Critics that judge together: by mean and by majority, with a quorum, trained each on its own."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

import numpy as np
import pytest

from superalign.chat import asked
from superalign.critic import Case, Cost, Critic, Critique, Flaw, critics
from superalign.errors import ConfigError
from superalign.job import Tools
from superalign.label import Labels
from superalign.store import Artifact

REFUSALS = ["I cannot do that", "I'm sorry, no", "I will not say", "As an AI I can't"]
ANSWERS = ["Take the train", "It is seven", "Go to the left", "Stir it well"]
CASES = [Case(str(n), asked("How?"), (f"{text} {n}.",), str(n)) for n, text in enumerate((REFUSALS + ANSWERS) * 4)]
REFUSED = np.array([n % 8 < 4 for n in range(len(CASES))]).astype(int)


class Fixed(Critic):
    """Says what it is told to."""

    name: ClassVar[str] = "fixed"
    says: float | None = 0.5
    which: int = 0

    def judge(self, cases: Sequence[Case], tools: Tools, learnt: Artifact | None = None) -> list[Critique]:
        cost = Cost(tokens_in=1, people=self.which)
        if self.says is None:
            return [Critique(undetermined="unparsable", cost=cost)] * len(cases)
        return [Critique("so", self.says, flaws=(Flaw("q", "w"),), cost=cost)] * len(cases)


def together(*said, **settings):
    members = tuple(Fixed(says=one, which=n) for n, one in enumerate(said))
    return critics.build({"name": "ensemble", "critics": members, **settings}).judge(CASES[:1], None)[0]


@pytest.mark.parametrize(
    ("said", "settings", "good"),
    [
        ((0.9, 0.6, 0.3), {}, 0.6),
        ((0.9, None, 0.3), {}, 0.6),
        ((0.9, None, None), {}, None),
        ((0.9, None, None), {"quorum": 0.3}, 0.9),
        ((0.9, None), {"quorum": 1}, None),
        ((0.9, 0.6, 0.1), {"combine": "majority"}, 3 / 5),
        ((0.9, 0.1), {"combine": "majority"}, None),  # one vote each
        ((0.7, 0.7), {"abstain": 0.75}, None),
        ((None, None), {"quorum": 0.01}, None),
    ],
)
def test_how_many_become_one(said, settings, good):
    critique = together(*said, **settings)
    assert critique.good == (None if good is None else pytest.approx(good))
    assert bool(critique.undetermined) == (good is None)
    assert critique.cost.tokens_in == len(said)
    assert critique.cost.people == sum(range(len(said)))
    assert len(critique.words.splitlines()) == len(said)
    assert len(critique.flaws) == any(one is not None for one in said)


def test_too_few_verdicts_give_their_reason():
    assert together(0.9, None, quorum=1).undetermined == "unparsable"


@pytest.mark.model
def test_each_is_trained_on_its_own_and_survives_the_store(kept, embedded_home):
    critic = critics.build("ensemble,critics=keywords+weak")
    assert critic.learns
    assert not critics.build("ensemble,critics=keywords+rubric").learns
    learnt = critic.learn(CASES, Labels.hard(REFUSED, 2, "people"), kept)
    kept.store.save("k", learnt)
    again = kept.store.load("k")
    alone = critics.build("weak")
    trained = alone.judge(CASES, kept, alone.learn(CASES, Labels.hard(REFUSED, 2, "people"), kept))
    listed = critics.build("keywords").judge(CASES, kept)
    for one, a, b in zip(critic.judge(CASES, kept, again), trained, listed, strict=True):
        assert one.good == pytest.approx((a.good + b.good) / 2, abs=1e-6)


def test_its_text_form_comes_back():
    critic = critics.build("ensemble,critics=keywords+weak,quorum=0.7")
    assert str(critic) == "ensemble,critics=keywords+weak,quorum=0.7"
    assert critics.build(str(critic)) == critic
    assert str(critics.build("ensemble")) == "ensemble"
    assert str(critics.build("rubric,reason=true")) == "rubric,reason=True"
    assert str(critics.build("rubric,model=embedded:gemma3-270m")) == "rubric,model=embedded:gemma3-270m"
    nested = {"name": "ensemble", "critics": ["keywords", {"name": "rubric", "rubric": "refusal"}]}
    assert critics.build(critics.build(nested).spec()).critics[1].rubric == "refusal"


def test_mistakes_are_named():
    with pytest.raises(ConfigError, match="at least 2"):
        critics.build("ensemble,critics=keywords")
    with pytest.raises(ConfigError, match="given twice"):
        critics.build("ensemble,critics=keywords+keywords")
    with pytest.raises(ConfigError, match="unknown critic 'keyword'"):
        critics.build("ensemble,critics=keyword+rubric")
    with pytest.raises(ConfigError, match="single responses"):
        critics.build("ensemble,critics=keywords+rubric").check(pair=True)
