"""Objectives that take in rewards, wspo and modpo: the papers' formulas, single responses, and where rewards go."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from small_tasks import comparisons, examples, lesson, model
from superalign.errors import ConfigError, DataError
from superalign.fit import fits
from superalign.fits.full import Full
from superalign.fits.lora import Lora
from superalign.label import Labels
from superalign.learner import Learner, Targets
from superalign.objective import Said, objectives
from superalign.policy import Answers
from superalign.store import Store
from superalign.task import Comparison, Task

Tiny = Callable[[str], Path]
ROWS = np.arange(12)


def said_of(seed: int, n: int = 6) -> tuple[Said, np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    logprob, reference, rewards = -50 * rng.random((n, 2)), -50 * rng.random((n, 2)), rng.normal(0, 3, (n, 2))
    tokens = rng.integers(1, 40, (n, 2))
    said = Said(*(torch.from_numpy(x) for x in (logprob, reference, tokens, rewards)))
    return said, logprob - reference, tokens, rewards, rng.random(n)


def loss_of(spec: str, said: Said, q: np.ndarray, beta: float) -> torch.Tensor:
    objective = objectives.build(spec)
    labels = torch.from_numpy(np.stack([1 - q, q], 1))
    return objective(objective.score(said, beta), labels, progress=0.5, context=None)


@given(st.integers(0, 10_000), st.floats(0.01, 2))
def test_wspo_is_the_squared_difference_of_the_shifts_a_token(seed, beta):
    said, shift, tokens, rewards, q = said_of(seed)
    expected = [
        sum(
            weight * (beta * shift[i, s] - rewards[i, s]) ** 2 / tokens[i, s]
            for s, weight in ((0, 1 - q[i]), (1, q[i]))
        )
        for i in range(len(q))
    ]
    np.testing.assert_allclose(loss_of("wspo", said, q, beta).numpy(), expected, rtol=1e-5)


@given(st.integers(0, 10_000), st.floats(0.01, 2), st.floats(0.05, 1))
def test_modpo_is_equation_of_the_paper_on_the_chosen_and_the_rejected_response(seed, beta, w0):
    said, shift, _, rewards, q = said_of(seed)
    q = q.round()
    chosen = q.astype(int)
    rows = np.arange(len(q))
    ratio = beta * (shift[rows, chosen] - shift[rows, 1 - chosen])
    margin = rewards[rows, chosen] - rewards[rows, 1 - chosen]
    expected = np.logaddexp(0, -(ratio - margin) / w0)
    np.testing.assert_allclose(loss_of(f"modpo,weight={w0}", said, q, beta).numpy(), expected, rtol=1e-7, atol=1e-12)


def test_without_rewards_a_policy_is_scored_by_its_shift():
    said, shift, *_ = said_of(0)
    alone = said._replace(rewards=None)
    np.testing.assert_allclose(objectives.build("wspo").score(alone, 0.3), 0.3 * shift)
    np.testing.assert_allclose(objectives.build("modpo,weight=0.4").score(alone, 0.3), 0.3 * shift / 0.4)


@pytest.mark.parametrize("weight", ["0", "-0.5", "1.1"])
def test_a_weight_of_no_aim_is_refused(weight):
    with pytest.raises(ConfigError, match="weight"):
        objectives.build(f"modpo,weight={weight}")


@pytest.mark.parametrize("spec", ["wspo", "modpo,weight=0.6"])
def test_the_gradient_of_a_step_is_that_of_the_formula_however_it_is_cut(tiny: Tiny, spec: str) -> None:
    task, _ = comparisons(12)
    rng = np.random.default_rng(0)
    rewards = rng.normal(size=(12, 2)).astype(np.float32)
    q = rng.random(12).astype(np.float32)
    labels = Labels(np.stack([1 - q, q], 1), rng.random(12).astype(np.float32), "test", rewards)
    labels.weight[3] = 0
    found = []
    for tokens in (1, 60, 10**6):
        fit = Full(lr=1e-3, batch=12, beta=0.3, microbatch_tokens=tokens)
        policy = fit.policy(model(tiny("llama")), objectives.build(spec))
        answers = Answers.of(task, ROWS, policy.voice)
        reference = policy.logprobs(answers, ROWS).detach().numpy()
        answers = replace(answers, reference=reference - 1.5 * rewards, rewards=rewards)
        learner = Learner(policy, policy.objective, fit, lambda **_: None)
        loss = learner._gradient(answers, ROWS, Targets.on(policy.device, labels), 0.5)
        found.append((loss, [p.grad.clone() for p in policy.trainable if p.grad is not None]))
    policy = fit.policy(model(tiny("llama")), objectives.build(spec))
    shift = 0.3 * (policy.logprobs(answers, ROWS) - torch.from_numpy(answers.reference))
    gap = shift - torch.from_numpy(rewards)
    given_q, weight = torch.from_numpy(labels.probs), torch.from_numpy(labels.weight)
    if spec == "wspo":
        each = (given_q * gap.square() / torch.from_numpy(answers.written)).sum(1)
    else:
        z = (gap[:, 1] - gap[:, 0]) / 0.6
        each = -(given_q[:, 1] * z.sigmoid().log() + given_q[:, 0] * (-z).sigmoid().log())
    total = (weight * each).sum() / weight.sum()
    total.backward()
    wanted = [p.grad for p in policy.trainable if p.grad is not None]
    for loss, gradients in found:
        torch.testing.assert_close(loss, total.detach(), rtol=1e-4, atol=1e-5)
        for mine, theirs in zip(gradients, wanted, strict=True):
            torch.testing.assert_close(mine, theirs, rtol=1e-3, atol=2e-4)


def learned_by(tiny: Tiny, spec: str, labels: Labels, task: Task, **settings: Any) -> Any:
    fit = Lora(**{"read": "policy", "lr": 5e-3, "epochs": 12, "batch": 8, "schedule": "constant", **settings})
    one = replace(lesson(np.zeros(len(labels), dtype=np.int64)), objective=objectives.build(spec), labels=labels)
    asked = [np.arange(len(labels))]
    (learned,) = fit.learn(model(tiny("llama")), task, [one], asked, store=Store(), report=lambda **_: None)
    return learned


def test_wspo_moves_a_policy_by_what_the_weak_one_moved(tiny: Tiny) -> None:
    task, truth = comparisons(24)
    rewards = np.where(np.eye(2)[truth] > 0, 1.0, -1.0).astype(np.float32)
    labels = replace(Labels.soft(np.full((24, 2), 0.5), "weak"), rewards=rewards)  # the rewards alone tell
    learned = learned_by(tiny, "wspo", labels, task, beta=0.3)
    assert learned.scores.shape == (24, 2)
    assert (learned.probs.argmax(1) == truth).mean() >= 0.9
    assert np.abs(learned.scores - rewards).mean() < 0.5
    np.testing.assert_allclose(learned.probs[:, 1], 1 / (1 + np.exp(learned.scores @ [1, -1])), rtol=1e-4)


def test_modpo_serves_the_other_aim_where_the_preference_says_nothing(tiny: Tiny) -> None:
    task, truth = comparisons(24)
    rewards = np.where(np.eye(2)[truth] > 0, 1.0, -1.0).astype(np.float32)
    items = [
        replace(item, rewards=(float(worth[0]), float(worth[1])))
        for item, worth in zip(task.items, rewards, strict=True)
        if isinstance(item, Comparison)
    ]
    task = replace(task, items=tuple(items))
    labels = Labels.soft(np.full((24, 2), 0.5), "test")
    learned = learned_by(tiny, "modpo,weight=0.5", replace(labels, rewards=rewards), task, stop="early")
    assert (learned.probs.argmax(1) == truth).mean() >= 0.9
    ignored = learned_by(tiny, "dpo", replace(labels, rewards=rewards), task)
    assert np.abs(ignored.scores).max() < 1e-3  # an objective that wants none is told none


def test_scores_are_told_of_responses_alone(tiny: Tiny) -> None:
    pairs, truth = comparisons(12)
    classes, said = examples(12)
    run: Any = {"store": Store(), "report": lambda **_: None}
    fit = Lora(lr=3e-3, epochs=1)
    (head,) = fit.learn(model(tiny("llama")), pairs, [lesson(truth)], [ROWS], **run)
    assert head.scores is not None
    np.testing.assert_allclose(torch.from_numpy(head.scores).softmax(-1), head.probs, rtol=1e-6)
    (plain,) = fit.learn(model(tiny("llama")), classes, [lesson(said)], [ROWS], **run)
    assert plain.scores is None
    assert fit.tells_scores
    assert not fits.build("probe").tells_scores


class TestLabels:
    def test_single_responses_take_their_reward_along(self):
        rewards = np.array([[1, 2], [3, 4]], dtype=np.float32)
        labels = replace(Labels.hard(np.array([1, 0]), 2, "test"), rewards=rewards).one_by_one()
        np.testing.assert_array_equal(labels.rewards, [[1], [2], [3], [4]])
        np.testing.assert_array_equal(labels.probs[:, 1], [0, 1, 1, 0])

    @pytest.mark.parametrize(
        "rewards", [np.ones(2), np.ones((3, 2)), np.array([[1.0, np.nan]] * 2), np.array([[np.inf, 1.0]] * 2)]
    )
    def test_rewards_that_do_not_fit_are_refused(self, rewards):
        with pytest.raises(DataError, match="rewards"):
            replace(Labels.hard(np.array([1, 0]), 2, "test"), rewards=rewards.astype(np.float32))


class TestRefusals:
    @pytest.mark.parametrize("spec", ["wspo", "modpo"])
    @pytest.mark.parametrize("fit", ["probe", "lora", "full"])
    def test_what_is_about_policies_needs_one(self, spec, fit):
        with pytest.raises(ConfigError, match="rewards") as caught:
            fits.build(fit).check(objectives.build(spec), None)
        assert "read=policy" in str(caught.value.fix)
        fits.build("lora,read=policy").check(objectives.build(spec), None)

    def test_items_must_bring_the_rewards_of_other_aims(self):
        task, _ = comparisons(4)
        fit, modpo = fits.build("lora,read=policy"), objectives.build("modpo")
        with pytest.raises(ConfigError, match="no rewards") as caught:
            fit.check(modpo, task)
        assert "rewards=COLUMN+COLUMN" in str(caught.value.fix)
        items = [replace(item, rewards=(0.0, 1.0)) for item in task.items if isinstance(item, Comparison)]
        fit.check(modpo, replace(task, items=tuple(items)))

    @pytest.mark.parametrize(
        ("fit", "spec", "task"),
        [
            ("probe", "kto", None),
            ("lora", "kto", examples(4)[0]),
            ("lora,read=policy", "naive", examples(4)[0]),
            ("lora", "dr-dpo", examples(8, kinds=4)[0]),
            ("full", "co-teaching", None),
        ],
    )
    def test_what_a_fit_or_task_cannot_give_is_refused_before_training(self, fit, spec, task):
        with pytest.raises(ConfigError):
            fits.build(fit).check(objectives.build(spec), task)

    @pytest.mark.parametrize("fit", ["probe", "lora", "full", "lora,read=policy"])
    def test_what_they_can_give_passes(self, fit):
        for task in (None, comparisons(4)[0]):
            for spec in ("naive", "logconf", "dr-dpo"):
                fits.build(fit).check(objectives.build(spec), task)
