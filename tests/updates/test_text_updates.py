"""What each update chooses in the world of behaviours, where the learner wrote what it is to learn from."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from superalign.aim import Exposed, Own, Shown, aims
from superalign.attacker import Attempt, Goal, Query
from superalign.chat import asked
from superalign.feedback import Feedback
from superalign.odds import preferred
from superalign.task import Example
from superalign.update import Update, updates

GOAL = Goal("g", "Do it.", group="g")
ATTEMPTS = (
    Attempt(Query(0, asked("first try"), "one"), "broken", 0.2, "Here is how."),  # the critic: good with 0.3
    Attempt(Query(0, asked("second try"), "two"), "held", -0.4, "No, I will not."),
    Attempt(Query(0, asked("third try"), "three"), "broken", 0.4, "Of course!"),  # good with 0.1
    Attempt(Query(0, asked("fourth try"), "four"), "error", None, "", "the server is gone"),
    Attempt(Query(0, asked("fifth try"), "five"), "undetermined", None, "Hm."),
)
PLAIN = Own("plain", "I do not do that.", 0.8)
REVISED = Own("revision", "I would rather not.", 0.7)
DRAWN = (Own("drawn", "Sure.", 0.2), Own("drawn", "Never.", 0.9), Own("drawn", "Eh", None), Own("drawn", "No.", 0.6))
STAND_IN = Own("stand-in", "I cannot help.", 0.95)


def exposed(*own: Own) -> Exposed:
    return Exposed(GOAL, ATTEMPTS, 0.8, "a critic", own=own)


def chosen(update: str | Update, *own: Own) -> list[Shown]:
    return list((updates.build(update) if isinstance(update, str) else update).choose(exposed(*own)).chosen or ())


def taught(update: Update, *own: Own) -> list[Feedback]:
    return aims.build("steadfast,share=5").feedback([update.choose(exposed(*own))], np.random.default_rng(0))


@given(st.floats(0.01, 0.99), st.floats(0.01, 0.99))
def test_one_response_is_better_by_the_ratio_of_both_odds(worse: float, better: float) -> None:
    odds = (better / (1 - better)) / (worse / (1 - worse))
    assert preferred(worse, better) == pytest.approx(odds / (1 + odds))
    assert preferred(worse, better) + preferred(better, worse) == pytest.approx(1)


def test_pairs_set_the_plain_answer_against_what_was_found_bad_the_worst_first() -> None:
    found = chosen("pairs", REVISED, PLAIN, STAND_IN)
    assert [(one.attempt.query.tactic, one.responses) for one in found] == [
        ("three", ("Of course!", PLAIN.text)),
        ("one", ("Here is how.", PLAIN.text)),
    ]
    assert [one.better for one in found] == pytest.approx([36 / 37, 28 / 31])  # odds 4 * 9, and 4 * 7 / 3


@pytest.mark.parametrize(
    ("update", "way"),
    [("pairs", "revision"), ("sft", "revision"), ("refine", "revision"), ("constitutional", "revision")],
)
def test_where_the_plain_answer_is_bad_a_good_revision_is_better(update: str, way: str) -> None:
    bad = PLAIN._replace(good=0.4)
    assert {one.way for one in chosen(update, bad, REVISED, STAND_IN)} == {way}


def test_refine_and_constitutional_learn_the_revision_though_the_plain_answer_is_good() -> None:
    for update in ("refine", "constitutional"):
        assert {one.responses[1] for one in chosen(update, PLAIN, REVISED)} == {REVISED.text}


@pytest.mark.parametrize("name", [name for name in updates.names() if name != "self-rewarding"])
def test_without_a_good_response_of_its_own_nothing_is_learnt_but_what_the_user_gave(name: str) -> None:
    bad = [own._replace(good=0.5 if own.good else None) for own in (PLAIN, REVISED, *DRAWN)]
    assert chosen(name, *bad) == []
    assert {one.responses[1] for one in chosen(name, *bad, STAND_IN)} == {STAND_IN.text}
    assert {one.way for one in chosen(name, *bad, STAND_IN)} == {"stand-in"}


@pytest.mark.parametrize("name", [name for name in updates.names() if "knowledge" in updates.get(name).worlds])
def test_a_question_with_two_answers_is_left_as_it_is(name: str) -> None:
    known = replace(exposed(PLAIN, REVISED, *DRAWN), goal=Goal("g", "Where?", "In Chad.", "In Peru.", "g"))
    assert updates.build(name).choose(known) == known


def test_rejection_learns_the_best_that_was_drawn_and_nothing_else() -> None:
    update = updates.build("rejection,samples=4")
    assert update.draws == (4, 0.9)
    (row,) = taught(update, PLAIN, *DRAWN)
    assert row.messages == asked("third try")  # the most damaging one
    task, labels = update.lesson([row])
    (item,) = task.items
    assert isinstance(item, Example)
    assert item.response == "Never."
    assert labels.weight.tolist() == [1.0]


def test_spin_sets_the_trusted_answer_against_all_that_is_said_now() -> None:
    update = updates.build("spin")
    rows = taught(update, PLAIN, REVISED, *DRAWN)
    assert sorted(row.responses for row in rows) == [
        ("Here is how.", PLAIN.text),
        ("No, I will not.", PLAIN.text),  # held, and learnt from all the same
        ("Of course!", PLAIN.text),
    ]
    _, labels = update.lesson([*rows, replace(rows[0], better=0.2)])
    assert labels.probs.tolist() == [[0.0, 1.0]] * 3 + [[1.0, 0.0]]
    same = replace(ATTEMPTS[1], response=PLAIN.text)  # it says what is trusted: there is nothing to tell apart
    assert len(update.choose(replace(exposed(PLAIN), attempts=(same, ATTEMPTS[0]))).chosen or ()) == 1


def test_the_loss_of_spin_is_the_logistic_one_of_the_paper_on_what_moved_from_the_reference() -> None:
    import torch

    from superalign.objective import Said

    loss, beta = updates.build("spin").loss, 0.1
    now, was = torch.tensor([[-9.0, -4.0], [-3.0, -7.5]]), torch.tensor([[-8.0, -6.0], [-5.0, -7.0]])
    scores = loss.score(Said(now, was, torch.ones(2, 2)), beta)
    found = loss(scores, torch.tensor([[0.0, 1.0]] * 2), progress=0.0, context=None)
    moved = beta * ((now - was)[:, 1] - (now - was)[:, 0])
    assert found.tolist() == pytest.approx(torch.log1p(torch.exp(-moved)).tolist(), rel=1e-5)


def test_self_rewarding_sets_what_it_judges_best_against_what_it_judges_worst() -> None:
    update = updates.build("self-rewarding")
    (row,) = taught(update, PLAIN, *DRAWN, STAND_IN)
    assert row.responses == ("Sure.", "Never.")
    _, labels = update.lesson([row])
    assert labels.probs.tolist() == [[0.0, 1.0]]
    alike = [own._replace(good=0.6) for own in DRAWN]
    assert chosen(update, *alike, STAND_IN) == []
    assert chosen(update, DRAWN[0], DRAWN[2], STAND_IN) == []
    assert update.advises_itself


def test_constitutional_learns_to_say_the_revision_under_the_attack() -> None:
    update = updates.build("constitutional")
    rows = taught(update, PLAIN, REVISED)
    task, labels = update.lesson(rows)
    assert [text.response for text in task.texts()] == [REVISED.text] * 2
    assert [item.messages for item in task.items] == [asked("third try"), asked("first try")]
    odds = np.array([7 / 3 * 9, 7 / 3 * 7 / 3])  # how sure it is that the revision is better, |2q - 1|
    assert labels.weight.tolist() == pytest.approx((odds - 1) / (odds + 1))
    assert update.advisor is not None
    assert update.advisor.name == "principles"
