"""Self-consistency: the model's own likelihoods and answers, and what an answer comes to."""

from __future__ import annotations

import math

import numpy as np
import pytest

from superalign.chat import Reply, Sampling, Scored, asked
from superalign.critic import Case, critics
from superalign.critics._gist import Gist, agrees, gist
from superalign.model import models

QUESTION = asked("Is the river long?")
PAIR = Case("1", QUESTION, ("Yes, the river is very long", "no"))


def critic(folder, **settings):
    model = {"name": "hf", "path": str(folder), "dtype": "fp32"}
    return critics.build({"name": "self", "model": model, **settings})


@pytest.mark.parametrize("normalise", [True, False])
def test_of_two_it_takes_the_one_that_it_finds_likelier(talker, kept, normalise):
    model = models.build({"name": "hf", "path": str(talker), "dtype": "fp32"})
    (scored,) = model.logprobs([QUESTION], [PAIR.responses])
    first, second = scored.logprobs / (scored.tokens if normalise else 1)
    (critique,) = critic(talker, normalise=normalise, scale=2).judge([PAIR], kept)
    assert critique.good == pytest.approx(1 / (1 + math.exp((first - second) / 2)), abs=1e-5)
    (swapped,) = critic(talker, normalise=normalise, scale=2).judge([Case("1", QUESTION, PAIR.responses[::-1])], kept)
    assert critique.good + swapped.good == pytest.approx(1, abs=1e-6)
    assert critique.cost.tokens_in >= scored.tokens.sum()


def test_one_response_is_compared_with_answers_of_its_own(talker, kept):
    judge = critic(talker, samples=4, most=6, seed=3)
    model = models.build({"name": "hf", "path": str(talker), "dtype": "fp32"})
    sampling = Sampling(max_tokens=6, temperature=0.7)
    own = [reply.text for reply in model.generate([QUESTION] * 4, sampling, [3, 4, 5, 6])]
    answer = gist(own[0].split()[0])
    (critique,) = judge.judge([Case("1", QUESTION, (own[0].split()[0],))], kept)
    told = [same for text in own if (same := agrees(answer, text)) is not None]
    assert critique.good == (sum(told) + 1) / (len(told) + 2) or critique.undetermined == "abstained"
    assert critique.words.startswith("Of 4 answers")
    assert judge.judge([Case("1", QUESTION, (own[0].split()[0],))], kept)[0].words == critique.words


@pytest.mark.parametrize(
    ("texts", "good", "why"),
    [
        (["18", "A: 18", "so 3 * 6 = $18.00", "#### 17"], 4 / 6, ""),
        (["17", "17", "19"], 1 / 5, ""),
        (["18", "17"], None, "abstained"),  # one each
        (["18", "a tale without any number, told at length to everyone"], None, "abstained"),
        (["", "error:away", "error:away"], None, "abstained"),
        (["error:away", "error:away"], None, "error: away"),
    ],
)
def test_agreement_is_counted_by_laplace_s_rule(texts, good, why):
    replies = [Reply("", "error", error=t[6:]) if t.startswith("error:") else Reply(t, "stop", 5, 1) for t in texts]
    critique = critics.build("self")._agreeing("The answer is 18", replies)
    assert critique.good == (None if good is None else pytest.approx(good))
    assert critique.undetermined == why


def test_it_cannot_tell_where_nothing_was_asked_or_nothing_can_be_compared(talker, kept):
    long = "This is a tale of many words that come to nothing which could be compared."
    cases = [Case("1", (), ("a", "b")), Case("2", (), ("a",)), Case("3", QUESTION, (long,))]
    said = critic(talker, samples=2, most=2).judge(cases, kept)
    assert [critique.undetermined for critique in said] == ["abstained"] * 3
    assert all(critique.words for critique in said)


def test_what_is_impossible_or_an_error_is_no_verdict():
    judge = critics.build("self")
    tokens = np.array([1, 1])
    assert judge._likelier(Scored(np.float32([-np.inf, -1]), tokens), ("a", "b")).undetermined.startswith("error: ")
    failed = Scored(np.float32([np.nan] * 2), tokens, error="too long")
    assert judge._likelier(failed, ("a", "b")).undetermined == "error: too long"


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("", None),
        ("  \n", None),
        ("A", Gist("option", "A")),
        ("(B) a dog", Gist("option", "B")),
        ("C. because", Gist("option", "C")),
        ("A dog", Gist("words", "dog")),
        ("Yes, it is.", Gist("lean", "yes")),
        ("False", Gist("lean", "no")),
        ("The answer is: (B) a dog", Gist("option", "B")),
        ("9 eggs\nA: 1,234.50", Gist("number", "1234.5")),
        ("he has 3\n#### -7", Gist("number", "-7")),
        ("First 3 and then 4 make 7", Gist("number", "7")),
        ("The capital, Paris!", Gist("words", "capital paris")),
        ("word " * 9, None),
        ("½ ٣", Gist("number", "3")),
    ],
)
def test_what_an_answer_comes_to(text, found):
    assert gist(text) == found


@pytest.mark.parametrize(
    ("answer", "text", "same"),
    [
        ("Paris", "The capital of France is Paris, which lies on the Seine and is old.", True),
        ("Paris", "It is Parisian", False),
        ("Paris", "", None),
        ("yes", "No.", False),
        ("yes", "The answer is yes", True),
        ("yes", "7", None),
        ("0.3333", "1 / 3 is 0.33333", True),
        ("(A)", "A", True),
    ],
)
def test_which_texts_come_to_the_same(answer, text, same):
    assert agrees(gist(answer), text) is same
