"""Policies: log-probabilities against transformers' own models, shared prompts, the path of a preference."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from checkpoints import ARCHITECTURES
from small_tasks import comparisons, examples, lesson, model
from superalign.errors import ConfigError, DataError, ModelError
from superalign.fits.full import Full
from superalign.fits.lora import Lora
from superalign.label import Labels
from superalign.learner import Learner
from superalign.models._head import LanguageHead
from superalign.objective import objectives
from superalign.policy import Answers, Policy, lay_out
from superalign.store import Store
from superalign.task import Comparison, Example, Task

Tiny = Callable[[str], Path]
SPEAKING = [name for name in ARCHITECTURES if name != "bert"]
NAIVE = objectives.build("naive")
ROWS = np.arange(12)


def policy_of(folder: Path, fit: Any = None, objective: Any = NAIVE) -> Policy:
    made: Policy = (fit or Full(lr=1e-3)).policy(model(folder), objective)
    return made


def answers_of(policy: Policy, task: Task | None = None) -> Answers:
    task = comparisons()[0] if task is None else task
    return Answers.of(task, np.arange(len(task.items)), policy.voice)


def plain_logprobs(folder: Path, answers: Answers, network: Any = None) -> torch.Tensor:
    """Each response in a pass of its own through transformers' language model, its whole vocabulary at once."""
    from transformers import AutoModelForCausalLM

    network = network or AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32).eval()
    found = []
    for prompt, responses in zip(answers.prompts, answers.responses, strict=True):
        for response in responses:
            ids = torch.tensor([[*prompt, *response]])
            log_p = network(input_ids=ids).logits[0, :-1].float().log_softmax(-1)
            found.append(log_p.gather(1, ids[0, 1:, None])[len(prompt) - 1 :].sum())
    return torch.stack(found).view(len(answers.prompts), -1)


@pytest.mark.parametrize("architecture", SPEAKING)
def test_logprobs_are_those_of_the_language_model(tiny: Tiny, architecture: str) -> None:
    policy = policy_of(tiny(architecture))
    answers = answers_of(policy)
    with torch.inference_mode():
        torch.testing.assert_close(
            policy.logprobs(answers, ROWS), plain_logprobs(tiny(architecture), answers), atol=2e-4, rtol=1e-5
        )


@pytest.mark.parametrize("architecture", SPEAKING)
def test_a_prompt_computed_once_for_both_responses_changes_nothing(tiny: Tiny, architecture: str) -> None:
    policy = policy_of(tiny(architecture))
    assert policy.shares
    answers = answers_of(policy)
    with torch.inference_mode():
        shared = policy.logprobs(answers, ROWS)
        policy.shares = False
        torch.testing.assert_close(policy.logprobs(answers, ROWS), shared, atol=2e-4, rtol=1e-5)


def test_sliding_windows_look_back_by_position_not_by_place(tiny: Tiny) -> None:
    policy = policy_of(tiny("gemma3"))  # its windows are 8 tokens
    assert min(window for window in policy.backbone.windows.values() if window) == 8
    generator = np.random.default_rng(0)
    long = [generator.integers(0, 250, size=n).tolist() for n in (20, 15, 18)]
    answers = Answers([long[0]], [[long[1], long[2]]], 0)
    with torch.inference_mode():
        torch.testing.assert_close(
            policy.logprobs(answers, np.arange(1)), plain_logprobs(tiny("gemma3"), answers), atol=5e-4, rtol=1e-5
        )


@pytest.mark.parametrize("batch", [1, 5, 12])
def test_batches_and_padding_change_nothing(tiny: Tiny, batch: int) -> None:
    policy = policy_of(tiny("llama"))
    answers = answers_of(policy)
    with torch.inference_mode():
        whole = policy.logprobs(answers, ROWS)
        parts = torch.cat([policy.logprobs(answers, ROWS[i : i + batch]) for i in range(0, 12, batch)])
    torch.testing.assert_close(parts, whole, atol=1e-4, rtol=0)


@settings(max_examples=40, deadline=None)
@given(st.data())
def test_every_token_of_a_response_is_said_by_the_place_before_it(data: st.DataObject) -> None:
    sides = data.draw(st.integers(1, 2))
    tokens = st.lists(st.integers(0, 99), min_size=1, max_size=6)
    prompts = data.draw(st.lists(tokens, min_size=1, max_size=4))
    responses = [[data.draw(tokens) for _ in range(sides)] for _ in prompts]
    layout = lay_out(prompts, responses, 0)
    t = layout.rows.ids.shape[1]
    for source, target, owner in zip(layout.source, layout.target, layout.owner, strict=True):
        row, column = divmod(int(source), t)
        assert row == owner // sides
        side = owner % sides + 1
        assert layout.rows.segments[row, column] in (0, side)
        said = [c for c in range(t) if layout.rows.segments[row, c] == side and layout.rows.ids[row, c] == target]
        assert any(layout.rows.positions[row, c] == layout.rows.positions[row, column] + 1 for c in said)
    written = [layout.target[layout.owner == n].tolist() for n in range(len(prompts) * sides)]
    assert written == [response for both in responses for response in both]


@pytest.mark.parametrize(("cap", "scale"), [(None, 1.0), (5.0, 0.5)])
@pytest.mark.parametrize("moves", [True, False])
def test_chosen_logprobs_and_gradients_are_those_of_log_softmax(monkeypatch, cap, scale, moves) -> None:
    monkeypatch.setattr("superalign.models._head.CHUNK", 4)
    generator = torch.Generator().manual_seed(0)
    hidden = torch.randn(10, 6, generator=generator, requires_grad=True)
    weight = torch.nn.Parameter(torch.randn(20, 6, generator=generator), requires_grad=moves)
    bias = torch.randn(20, generator=generator)
    targets = torch.randint(20, (10,), generator=generator)
    factor = torch.randn(10, generator=generator)
    head = LanguageHead(weight, bias, scale, cap)
    mine = head.logprobs(hidden, targets, torch.float32)
    raw = (hidden @ weight.T + bias) * scale
    logits = raw if cap is None else cap * torch.tanh(raw / cap)
    plain = logits.log_softmax(-1)[torch.arange(10), targets]
    torch.testing.assert_close(mine, plain)
    wanted = [hidden, weight] if moves else [hidden]
    for got, expected in zip(
        torch.autograd.grad(mine @ factor, wanted), torch.autograd.grad(plain @ factor, wanted), strict=True
    ):
        torch.testing.assert_close(got, expected, atol=1e-5, rtol=1e-4)


def test_a_step_of_dpo_is_the_papers(tiny: Tiny) -> None:
    """Against the equation, on transformers' model, with a reference that is not the policy."""
    from transformers import AutoModelForCausalLM

    folder = tiny("llama")
    policy = policy_of(folder, Full(lr=1e-3, beta=0.3))
    drawn = np.random.default_rng(0)
    answers = answers_of(policy)
    answers = replace(answers, reference=drawn.normal(-50, 5, (12, 2)).astype(np.float32))
    q = drawn.random(12).astype(np.float32)
    labels = Labels(np.stack([1 - q, q], 1), drawn.random(12).astype(np.float32), "test")

    twin = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32).eval()
    ratio = plain_logprobs(folder, answers, twin) - torch.from_numpy(answers.reference)
    z = 0.3 * (ratio[:, 1] - ratio[:, 0])
    soft = -(torch.from_numpy(q) * z.sigmoid().log() + torch.from_numpy(1 - q) * (-z).sigmoid().log())
    weight = torch.from_numpy(labels.weight)
    expected = (soft * weight).sum() / weight.sum()
    expected.backward()

    fit = Full(lr=1e-3, batch=12, epochs=1, microbatch_tokens=60)
    learner = Learner(policy, NAIVE, fit, lambda **_: None)
    from superalign.learner import Targets

    loss = learner._gradient(answers, ROWS, Targets.on(policy.device, labels), 0.0)
    torch.testing.assert_close(loss, expected.detach(), atol=1e-5, rtol=1e-5)
    theirs = dict(twin.named_parameters())
    for name, mine in policy.backbone.module.named_parameters():
        torch.testing.assert_close(mine.grad, theirs[f"model.{name}"].grad, atol=2e-5, rtol=1e-3)


METHODS = ["naive", "simpo", "kto"]


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("fit", [Lora, Full])
def test_policies_learn_which_response_is_preferred(tiny: Tiny, fit: Any, method: str) -> None:
    task, truth = comparisons(24)
    trained = fit(read="policy", lr=5e-3, epochs=8, batch=8, schedule="constant")
    one = replace(lesson(truth), objective=objectives.build(method))
    (learned,) = trained.learn(
        model(tiny("llama")), task, [one], [np.arange(24)], store=Store(), report=lambda **_: None
    )
    assert (learned.probs.argmax(1) == truth).mean() >= 0.9
    assert learned.facts["last_loss"] < learned.facts["first_loss"]


def test_before_learning_every_implicit_reward_is_zero(tiny: Tiny) -> None:
    task, truth = comparisons(12)
    still = Lora(read="policy", lr=1e-12, epochs=1)
    (learned,) = still.learn(
        model(tiny("qwen2")), task, [lesson(truth)], [ROWS], store=Store(), report=lambda **_: None
    )
    np.testing.assert_allclose(learned.probs, 0.5, atol=1e-5)


def test_the_reference_is_asked_once(tiny: Tiny, monkeypatch) -> None:
    task, truth = comparisons(12)
    asked: list[int] = []
    logprobs = Policy.logprobs

    def spy(self, reading, rows):
        if not torch.is_grad_enabled() and len(rows) > 1:
            asked.append(len(rows))
        return logprobs(self, reading, rows)

    fit = Lora(read="policy", lr=1e-3, epochs=1)
    monkeypatch.setattr(Policy, "logprobs", spy)
    learned, calls = [], []
    for _ in range(2):
        (one,) = fit.learn(model(tiny("llama")), task, [lesson(truth)], [ROWS], store=Store(), report=lambda **_: None)
        learned.append(one.probs)
        calls.append(len(asked))
        asked.clear()
    assert calls[1] < calls[0]
    np.testing.assert_array_equal(*learned)


def test_good_and_bad_responses_teach_a_policy(tiny: Tiny) -> None:
    pairs, _ = comparisons(24)
    items, truth = [], []
    for number, item in enumerate(pairs.items):
        assert isinstance(item, Comparison)
        items.append(Example(item.id, item.prompt, item.responses[number % 2]))
        truth.append(int(item.responses[number % 2].endswith("false")))
    task = Task("answers", "1", tuple(items), ("bad", "good"))
    one = replace(lesson(np.array(truth)), objective=objectives.build("kto"))
    fit = Lora(read="policy", lr=5e-3, epochs=8, batch=8)
    (learned,) = fit.learn(model(tiny("llama")), task, [one], [np.arange(24)], store=Store(), report=lambda **_: None)
    assert (learned.probs.argmax(1) == truth).mean() >= 0.9


def test_prompts_lose_their_beginning_and_then_responses_their_end(tiny: Tiny) -> None:
    policy = policy_of(tiny("llama"))
    assert policy.voice.limit == 128
    long = "one two three four five six seven eight nine ten " * 12
    both = (Comparison("0", long, ("true", "false")), Comparison("1", "river", (long, "no")))
    cut = answers_of(policy, Task("long", "1", both, ("first", "second")))
    assert cut.truncated == 2
    assert max(len(p) + max(map(len, r)) for p, r in zip(cut.prompts, cut.responses, strict=True)) == 128
    whole = answers_of(policy, Task("short", "1", (Comparison("0", "river", ("true", "false")),), ("a", "b")))
    assert cut.responses[0] == whole.responses[0]


@pytest.mark.parametrize("architecture", ["gpt2", "gemma3"])
def test_responses_without_a_prompt_are_said_whole(tiny: Tiny, architecture: str) -> None:
    pairs = (Comparison("0", "", ("river long", "Peru Lima")), Comparison("1", "", ("one two", "three")))
    policy = policy_of(tiny(architecture))
    answers = answers_of(policy, Task("plain", "1", pairs, ("a", "b")))
    assert [len(prompt) for prompt in answers.prompts] == [1, 1]
    assert answers.prompts[0] == answers.prompts[1]
    with torch.inference_mode():
        torch.testing.assert_close(
            policy.logprobs(answers, np.arange(2)), plain_logprobs(tiny(architecture), answers), atol=2e-4, rtol=1e-5
        )


def test_what_is_no_policy_is_refused(tiny: Tiny) -> None:
    with pytest.raises(ModelError, match="no policy"):
        policy_of(tiny("bert"))
    with pytest.raises(ModelError, match="no policy"):
        Full(lr=1).policy(model(tiny("llama"), layer=1), NAIVE)
    task, truth = examples(12)
    for objective, fit in (("naive", Lora(read="policy")), ("kto", Lora())):
        one = replace(lesson(truth), objective=objectives.build(objective))
        with pytest.raises(ConfigError):
            fit.learn(model(tiny("llama")), task, [one], [ROWS], store=Store(), report=lambda **_: None)
    same = Comparison("0", "river", ("", ""))
    with pytest.raises((DataError, ConfigError)):
        answers_of(policy_of(tiny("gpt2")), Task("empty", "1", (replace(same, prompt=""),), ("a", "b")))
