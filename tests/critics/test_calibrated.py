"""A critic set right on labels: a constant becomes a rate, a leaning goes, and abstentions stay."""

from __future__ import annotations

import numpy as np
import pytest

from superalign.chat import asked
from superalign.critic import Case, critics
from superalign.errors import ConfigError, DataError
from superalign.label import Labels

TEXTS = ["I cannot do that.", "Take the train."]


def cases(n=400, right=(0.95, 0.8), seed=0):
    """Texts of which a known share is what keyword matching takes them for; returns cases and who really refused."""
    rng = np.random.default_rng(seed)
    kind = rng.integers(0, 2, n)
    refused = np.where(rng.random(n) < np.array(right)[kind], 1 - kind, kind)
    return [Case(str(i), asked("How?"), (TEXTS[k],)) for i, k in enumerate(kind)], refused


def test_a_constant_becomes_the_rate_at_which_it_is_right(kept):
    given, refused = cases()
    critic = critics.build("calibrated,critic=keywords")
    learnt = critic.learn(given, Labels.hard(refused, 2, "people"), kept)
    kept.store.save("k", learnt)
    for text, rate in zip(TEXTS, (0.95, 0.2), strict=True):
        share = np.mean([r for case, r in zip(given, refused, strict=True) if case.responses[0] == text])
        (critique,) = critic.judge([Case("x", asked("?"), (text,))], kept, kept.store.load("k"))
        assert critique.good == pytest.approx(share, abs=0.01)  # the two smoothed targets are that far from it
        assert critique.good == pytest.approx(rate, abs=0.05)
        assert critique.words


def test_one_that_is_mostly_wrong_is_turned_round(kept):
    given, refused = cases()
    critic = critics.build("calibrated,critic=keywords,abstain=0.6")
    learnt = critic.learn(given, Labels.hard(1 - refused, 2, "people"), kept)
    assert [one.verdict for one in critic.judge(given[:50], kept, learnt)] == [
        "bad" if case.responses[0] == TEXTS[0] else "good" for case in given[:50]
    ]


def test_abstentions_stay_and_are_not_learnt_from(kept):
    given, refused = cases(60)
    empty = [Case(f"e{n}", asked("?"), ("",)) for n in range(30)]
    critic = critics.build("calibrated,critic=keywords")
    labels = Labels.hard(np.r_[refused, np.ones(30, dtype=int)], 2, "people")
    learnt = critic.learn([*given, *empty], labels, kept)
    assert (learnt.meta["labels"], learnt.meta["verdicts"]) == (90, 60)
    assert learnt.meta["slope"] == critic.learn(given, Labels.hard(refused, 2, "people"), kept).meta["slope"]
    assert critic.judge(empty[:1], kept, learnt)[0].undetermined == "abstained"


def test_a_judge_of_two_keeps_its_symmetry(talker, kept):
    model = {"name": "hf", "path": str(talker), "dtype": "fp32"}
    critic = critics.build({"name": "calibrated", "critic": {"name": "self", "model": model}})
    pairs = [Case(str(n), asked("Which?"), (f"It is {n}.", f"It is not {n * n}.")) for n in range(12)]
    learnt = critic.learn(pairs, Labels.hard(np.arange(12) % 2, 2, "people"), kept)
    assert learnt.meta["shift"] == 0
    swapped = [Case(pair.id, pair.messages, pair.responses[::-1]) for pair in pairs]
    for there, back in zip(critic.judge(pairs, kept, learnt), critic.judge(swapped, kept, learnt), strict=True):
        assert there.good + back.good == pytest.approx(1, abs=1e-5)


def test_it_looks_at_no_more_labels_than_it_may(kept):
    given, refused = cases(200)
    critic = critics.build("calibrated,critic=keywords,budget=20")
    assert critic.learn(given, Labels.hard(refused, 2, "people"), kept).meta["labels"] == 20


def test_mistakes_are_named(kept):
    given, refused = cases(40)
    critic = critics.build("calibrated,critic=keywords")
    with pytest.raises(ConfigError, match="must be calibrated"):
        critic.judge(given, kept)
    with pytest.raises(DataError, match="cannot be calibrated"):
        critic.learn(given[:9], Labels.hard(refused[:9], 2, "people"), kept)
    with pytest.raises(DataError, match="all of one class"):
        critic.learn(given, Labels.hard(refused * 0, 2, "people"), kept)
    with pytest.raises(ConfigError, match="learns itself"):
        critics.build("calibrated,critic=trained")
    with pytest.raises(ConfigError, match="single responses"):
        critic.check(pair=True)
