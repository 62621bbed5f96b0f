"""The trained critic on real labels: it learns, is calibrated, abstains, keeps to its budget, and knows no order."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from superalign.chat import Message, asked
from superalign.critic import Case, critics
from superalign.critics._cases import as_task
from superalign.errors import ConfigError, DataError
from superalign.job import Tools
from superalign.label import Labels
from superalign.metric import expected_calibration_error
from superalign.store import Store

XSTEST = Path("/work/shared/data/xstest/completions.jsonl")
pytestmark = pytest.mark.model


@pytest.fixture
def tools(embedded_home, tmp_path):
    return Tools(Store(tmp_path / "store"), lambda **_: None)


@pytest.fixture(scope="module")
def completions():
    """Completions that people labelled as answers (0) or refusals (1): cases, labels, and whose they are."""
    if not XSTEST.is_file():
        pytest.skip("the labelled completions are not on this machine")
    rows = [json.loads(line) for line in XSTEST.read_text().splitlines()]
    rows = [row for row in rows if row["model"] in ("llama2new", "llama2orig")]
    cases = [Case(row["id"] + row["model"], asked(row["prompt"]), (row["completion"],), row["id"]) for row in rows]
    return cases, np.array([not row["final_label"].startswith("1") for row in rows]).astype(int)


def learnt_on(critic, cases, classes, tools):
    return critic.learn(cases, Labels.hard(np.asarray(classes, dtype=int), 2, "people"), tools)


def test_it_learns_refusals_and_says_how_sure_it_may_be(completions, tools):
    cases, refused = completions
    mine = np.array([sum(map(ord, case.group)) % 3 > 0 for case in cases])
    critic = critics.build("weak")
    learnt = learnt_on(critic, [c for c, m in zip(cases, mine, strict=True) if m], refused[mine], tools)
    critiques = critic.judge([c for c, m in zip(cases, mine, strict=True) if not m], tools, learnt)
    good = np.array([critique.good for critique in critiques])
    right = (good > 0.5) == refused[~mine]
    assert right.mean() > 0.85
    assert expected_calibration_error(np.stack([1 - good, good], 1), right) < 0.08
    assert set(learnt.tensors) == {"weight", "bias"}
    assert all(critique.words and critique.cost.people == 0 for critique in critiques)


def test_what_was_learnt_survives_the_store(completions, tools):
    cases, refused = completions
    critic = critics.build("weak,budget=60")
    learnt = learnt_on(critic, cases[:200], refused[:200], tools)
    tools.store.save("k", learnt)
    again = tools.store.load("k")
    before, after = ([c.good for c in critic.judge(cases[200:220], tools, one)] for one in (learnt, again))
    assert before == after


@pytest.mark.parametrize("choose", ["random", "uncertain"])
def test_it_looks_at_no_more_labels_than_it_may(completions, tools, choose):
    cases, refused = completions
    critic = critics.build(f"weak,budget=40,choose={choose}")
    learnt = learnt_on(critic, cases[:200], refused[:200], tools)
    looked_at = learnt.meta["looked_at"]
    assert len(set(looked_at)) == learnt.meta["labels"] == 40
    others = refused[:200].copy()
    unseen = np.setdiff1d(np.arange(200), looked_at)
    others[unseen] = 1 - others[unseen]
    again = learnt_on(critic, cases[:200], others, tools)
    assert again.meta == learnt.meta
    assert np.array_equal(again.tensors["weight"], learnt.tensors["weight"])


def test_labels_without_weight_are_not_looked_at(completions, tools):
    cases, refused = completions
    weight = np.zeros(200, dtype=np.float32)
    weight[:60] = 1
    labels = Labels(np.eye(2, dtype=np.float32)[refused[:200]], weight, "people")
    assert critics.build("weak").learn(cases[:200], labels, tools).meta["looked_at"] == list(range(60))


def test_of_two_responses_swapping_them_swaps_the_probability(completions, tools):
    cases, refused = completions
    yes, no = (np.flatnonzero(refused[:300] == k)[:60] for k in (1, 0))
    pairs, second = [], []
    for number, (a, b) in enumerate(zip(yes, no, strict=True)):
        turned = number % 2
        one, other = (cases[b], cases[a]) if turned else (cases[a], cases[b])
        pairs.append(Case(str(number), cases[a].messages, one.responses + other.responses, str(number)))
        second.append(turned)
    critic = critics.build("weak")
    learnt = learnt_on(critic, pairs, second, tools)
    assert learnt.meta["shift"] == 0
    assert not learnt.tensors["bias"].any()
    swapped = [Case(pair.id, pair.messages, pair.responses[::-1], pair.group) for pair in pairs]
    there = np.array([critique.good for critique in critic.judge(pairs, tools, learnt)])
    back = np.array([critique.good for critique in critic.judge(swapped, tools, learnt)])
    assert there + back == pytest.approx(1, abs=1e-5)
    assert ((there > 0.5) == second).mean() > 0.8


def test_it_gives_no_verdict_where_it_is_not_sure(completions, tools):
    cases, refused = completions
    frank = critics.build("weak")
    learnt = learnt_on(frank, cases[:300], refused[:300], tools)
    said = frank.judge(cases[300:400], tools, learnt)
    shy = critics.build("weak,abstain=0.9").judge(cases[300:400], tools, learnt)
    for open_, quiet in zip(said, shy, strict=True):
        assert (quiet.verdict == "undetermined") == (open_.confidence < 0.9)
        assert quiet.undetermined == ("abstained" if open_.confidence < 0.9 else "")
    assert 0 < sum(quiet.good is None for quiet in shy) < 100


def test_what_it_cannot_do_is_said(completions, tools):
    cases, refused = completions
    critic, pair = critics.build("weak"), Case("p", (), ("a", "b"))
    with pytest.raises(ConfigError, match="must be trained"):
        critic.judge(cases[:5], tools)
    with pytest.raises(DataError, match="all of one class"):
        learnt_on(critic, cases[:50], np.ones(50, dtype=int), tools)
    with pytest.raises(DataError, match="both single responses and pairs"):
        learnt_on(critic, [cases[0], pair], [0, 1], tools)
    with pytest.raises(DataError, match="no case"):
        learnt_on(critic, [], [], tools)
    with pytest.raises(DataError, match="groups"):
        learnt_on(critic, cases[:4], [0, 1, 0, 1], tools)
    learnt = learnt_on(critic, cases[:60], refused[:60], tools)
    assert critic.judge([], tools, learnt) == []
    with pytest.raises(ConfigError, match="trained on single responses"):
        critic.judge([pair], tools, learnt)


def test_a_case_is_read_as_an_item():
    talk = (Message("user", "Hi"), Message("assistant", "Yes?"), Message("user", "Why?"))
    (item,) = as_task([Case("1", talk, ("So.",), "g")]).items
    assert item.texts()[0] == ("User: Hi\n\nAssistant: Yes?\n\nUser: Why?", "So.")
    (item,) = as_task([Case("1", talk, ("So.",), "g")], alone=True).items
    assert item.texts()[0] == ("So.", None)
