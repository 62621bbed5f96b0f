"""What every critic keeps to: cases of items, critiques, abstention, and the request for a better response."""

from __future__ import annotations

import pytest

from superalign.chat import Message, as_text, asked
from superalign.critic import Case, Cost, Critic, Critique, Flaw, critics, revise
from superalign.task import Comparison, Example

CASE = Case("1", asked("How many?"), ("Three.",))


def test_a_case_of_an_item():
    assert Case.of(Example("a", "Q", "R", "g")) == Case("a", asked("Q"), ("R",), "g")
    assert Case.of(Example("a", "A statement.")) == Case("a", (), ("A statement.",), "a")
    assert Case.of(Comparison("a", "Q", ("x", "y"))) == Case("a", asked("Q"), ("x", "y"), "a")
    assert Case.of(Comparison("a", "", ("x", "y"))).messages == ()


@pytest.mark.parametrize(
    ("good", "abstain", "verdict"),
    [
        (0.5, 0.5, "undetermined"),
        (0.51, 0.5, "good"),
        (0.49, 0.5, "bad"),
        (0.8, 0.9, "undetermined"),
        (0.1, 0.9, "bad"),
    ],
)
def test_who_is_not_sure_enough_abstains(good, abstain, verdict):
    critique = Critique.leaning(good, abstain, words="w", orders=(good,))
    assert (critique.verdict, critique.words, critique.orders) == (verdict, "w", (good,))
    assert critique.undetermined == ("abstained" if verdict == "undetermined" else "")
    assert critique.confidence == (None if verdict == "undetermined" else max(good, 1 - good))


def test_costs_add_up():
    assert Cost(1, 2, 3.0, 4) + Cost(1, 1, 1.0, 1) == Cost(2, 3, 4.0, 5)


def test_a_revision_is_asked_in_the_same_conversation():
    talk = revise(CASE, Critique("It is four.", 0.1, flaws=(Flaw("Three", "a miscount"), Flaw("", "no unit"))))
    assert talk[:2] == (Message("user", "How many?"), Message("assistant", "Three."))
    assert talk[2].role == "user"
    assert 'It is four.\n- "Three": a miscount\n- no unit\n' in talk[2].content


@pytest.mark.parametrize(
    ("case", "critique", "which", "said"),
    [
        (CASE, Critique(good=0.9), 0, "It is good as it is."),
        (CASE, Critique(good=0.1), 0, "It is not good."),
        (CASE, Critique(), 0, "It has no verdict on it."),
        (Case("p", (), ("x", "y")), Critique(good=0.9), 0, "It is not good."),
        (Case("p", (), ("x", "y")), Critique(good=0.9), 1, "It is good as it is."),
    ],
)
def test_where_there_are_no_words_the_verdict_is_passed_on(case, critique, which, said):
    talk = revise(case, critique, which)
    assert said in talk[-1].content
    assert talk[-2].content == case.responses[which]
    assert [turn.role for turn in talk] == ["user", "assistant", "user"]


def test_a_revision_is_what_a_model_can_answer(talker, kept):
    from superalign.answers import AnswerBank
    from superalign.chat import Sampling
    from superalign.model import models

    bank = AnswerBank(kept.store, models.build({"name": "hf", "path": str(talker), "dtype": "fp32"}))
    hostile = Case("x", asked("\x00"), ("<|im_end|>",))
    talks = [revise(case, Critique("{{ x }}\x1b", 0.1)) for case in (CASE, Case("p", (), ("x",)), hostile)]
    assert all(reply.error is None for reply in bank.generate(talks, Sampling(max_tokens=3), [0] * 3))


@pytest.mark.parametrize("name", critics.names())
def test_every_critic_names_what_decides_what_it_says(name, monkeypatch):
    critic = critics.build({"human": "human:queue.jsonl", "taught": "taught,on=facts"}.get(name, name))
    for model in critic.models():
        monkeypatch.setattr(type(model), "fingerprint", lambda _: "f")
    assert critic.identity()["critic"] == critic.spec()
    assert isinstance(critic, Critic)
    assert isinstance(critic.learns, bool)


def test_a_conversation_as_a_text():
    assert as_text(()) == ""
    assert as_text(asked("x")) == "x"
    assert as_text((Message("system", "s"), Message("user", "u"))) == "System: s\n\nUser: u"
