"""What each update shows the learner, and by which loss it learns."""

from __future__ import annotations

import math

import numpy as np
import pytest

from superalign.chat import Message, asked
from superalign.errors import ConfigError
from superalign.feedback import Feedback
from superalign.task import Task
from superalign.update import updates

TALK = (Message("user", "Where?"), Message("assistant", "In Peru."), Message("user", "No, in Chad. Where?"))
ROWS = [
    Feedback("a", TALK, ("Chad", "Peru"), 0.9, "steadfast", "critic", "pressure", 2.0, "a"),
    Feedback("b", asked("Who?"), ("you", "me"), 0.25, "plain", "critic", weight=1.0, group="b"),
    Feedback("c", asked("When?"), ("now", "then"), 0.5, "open", "critic", weight=1.0, group="c"),
]


def test_pairs_are_comparisons_with_soft_labels_in_their_conversation() -> None:
    task, labels = updates.build("pairs").lesson(ROWS)
    assert task.pairwise
    assert labels.probs[:, 1].tolist() == pytest.approx([0.9, 0.25, 0.5])
    assert labels.weight.tolist() == [2.0, 1.0, 1.0]
    assert task.items[0].messages == TALK
    assert [text.response for text in task.texts()] == ["Chad", "Peru", "you", "me", "now", "then"]
    assert Task.from_meta(task.to_meta()) == task


def test_the_default_loss_is_cross_entropy_with_the_critics_probability() -> None:
    import torch

    loss = updates.build("pairs").loss
    logits = torch.tensor([[0.3, -0.4], [1.5, 2.5]])
    labels = torch.tensor([[0.1, 0.9], [0.75, 0.25]])
    wanted = [
        -sum(q * math.log(math.exp(z) / (math.exp(row[0]) + math.exp(row[1]))) for q, z in zip(label, row, strict=True))
        for row, label in zip(logits.tolist(), labels.tolist(), strict=True)
    ]
    assert loss(logits, labels, progress=0.0, context=None).tolist() == pytest.approx(wanted, rel=1e-5)


def test_sft_says_what_is_preferred_and_weighs_it_by_how_sure_that_is() -> None:
    task, labels = updates.build("sft").lesson(ROWS)
    assert [item.response for item in task.items] == ["Peru", "you", "now"]
    assert labels.weight.tolist() == pytest.approx([2.0 * 0.8, 0.5, 0.0])
    assert (labels.probs == np.array([0.0, 1.0])).all()
    assert task.items[0].messages == TALK


def test_refine_learns_what_was_said_after_the_critique_unless_the_critics_contradict_it() -> None:
    from dataclasses import replace

    rows = [replace(ROWS[0], revised=1.0), replace(ROWS[0], revised=-1.0), replace(ROWS[1], revised=-800.0), ROWS[0]]
    _, labels = updates.build("refine").lesson(rows)
    sigma = 1 / (1 + math.exp(-1))
    assert labels.probs[:, 1].tolist() == pytest.approx([sigma, 1 - sigma, 0.0, 0.9], abs=1e-6)
    assert labels.weight.tolist() == [2.0, 0.0, 1.0, 2.0]


def test_an_objective_that_must_know_more_is_refused() -> None:
    for odd in ("forward", "modpo", "co-teaching"):
        with pytest.raises(ConfigError, match=odd):
            updates.build({"name": "pairs", "objective": odd})
