"""The one training loop: gradients, weights, schedules, and what it refuses."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
import torch
from transformers import AutoModel, AutoTokenizer

from small_tasks import comparisons, examples, model
from superalign.errors import DataError, JobError
from superalign.fits.full import Full
from superalign.label import Labels
from superalign.learner import Learner, Training
from superalign.network import Network, Reading
from superalign.objective import objectives
from superalign.task import Task


def silent(**facts: Any) -> None:
    """Take no notice."""


def network_of(tiny, task: Task, seed: int = 0) -> Network:
    """Return a tiny network whose head is not zero, so that gradients reach the body from the first step."""
    network = Full().network(model(tiny("llama")), 1 if task.pairwise else len(task.classes))
    torch.nn.init.normal_(network.head.weight, generator=torch.Generator().manual_seed(seed))
    return network


def train(network: Network, task: Task, labels: Labels, objective: str = "naive", items=None, **settings: Any):
    reading = Reading.of(task, np.arange(len(task.items)) if items is None else items, network.backbone)
    training = Training(**{"lr": 1e-3, "epochs": 1, "batch": 8, **settings})
    return Learner(network, objectives.build(objective), training, silent).train(reading, labels, seed=0)


def gradient(network: Network, task: Task, labels: Labels, objective: str = "naive", **settings: Any):
    """The gradient of all items as one batch."""
    reading = Reading.of(task, np.arange(len(task.items)), network.backbone)
    learner = Learner(network, objectives.build(objective), Training(lr=1, batch=len(labels), **settings), silent)
    from superalign.learner import Targets

    for parameter in network.trainable:
        parameter.grad = None
    loss = learner._gradient(reading, np.arange(len(labels)), Targets.on(network.device, labels), 1.0)
    return loss, [parameter.grad.clone() for parameter in network.trainable if parameter.grad is not None]


def soft(n: int, k: int = 2, seed: int = 0) -> Labels:
    rng = np.random.default_rng(seed)
    return Labels(rng.dirichlet(np.ones(k), n).astype(np.float32), rng.uniform(0.2, 2, n).astype(np.float32), "test")


def largest_difference(a, b) -> float:
    return max((x - y).abs().max().item() for x, y in zip(a, b, strict=True))


@pytest.mark.parametrize("objective", ["naive", "logconf,alpha=0.75"])
@pytest.mark.parametrize("kind", ["examples", "classes", "comparisons"])
def test_the_cut_into_micro_batches_never_changes_the_gradient(tiny, objective, kind):
    task = {"examples": examples(), "classes": examples(kinds=4), "comparisons": comparisons()}[kind][0]
    labels = soft(len(task.items), len(task.classes))
    network = network_of(tiny, task)
    whole_loss, whole = gradient(network, task, labels, objective, microbatch_tokens=10**6)
    assert largest_difference(whole, [torch.zeros_like(g) for g in whole]) > 1e-2
    for budget in (1, 60, 150):  # 1 is smaller than any text: one item at a time
        loss, cut = gradient(network, task, labels, objective, microbatch_tokens=budget)
        assert loss.item() == pytest.approx(whole_loss.item(), abs=1e-5)
        assert largest_difference(cut, whole) < 1e-5


@pytest.mark.parametrize("objective", ["naive", "logconf,warmup=0", "logconf,warmup=0,buffer=18"])
def test_the_cut_into_micro_batches_never_changes_the_training(tiny, objective):
    task, _ = examples(20)
    states = []
    for budget in (1, 100, 10**6):
        network = network_of(tiny, task)
        train(network, task, soft(20), objective, microbatch_tokens=budget, lr=2e-4)
        states.append(network.state())
    assert largest_difference(states[0], network_of(tiny, task).state()) > 2e-4
    assert largest_difference(states[0], states[2]) < 1e-5
    assert largest_difference(states[1], states[2]) < 1e-5


def test_the_gradient_is_that_of_plain_pytorch_on_the_whole_padded_batch(tiny):
    task, _ = examples()
    labels = soft(len(task.items))
    network = network_of(tiny, task)
    _, ours = gradient(network, task, labels, microbatch_tokens=64)

    body = AutoModel.from_pretrained(tiny("llama"), dtype=torch.float32)
    tokenizer = AutoTokenizer.from_pretrained(tiny("llama"), padding_side="right")
    batch = tokenizer([item.prompt for item in task.items], padding=True, return_tensors="pt")
    hidden = body(batch["input_ids"], attention_mask=batch["attention_mask"]).last_hidden_state
    last = hidden[torch.arange(len(hidden)), batch["attention_mask"].sum(1) - 1]
    head = network.head.weight.detach().clone().requires_grad_()
    each = torch.nn.functional.cross_entropy(last @ head.T, torch.from_numpy(labels.probs), reduction="none")
    weight = torch.from_numpy(labels.weight)
    ((each * weight).sum() / weight.sum()).backward()
    theirs = [parameter.grad for parameter in body.parameters() if parameter.grad is not None] + [head.grad]
    assert largest_difference(ours, theirs) < 1e-4  # gradients here are of the order of 1


def test_a_threshold_of_each_micro_batch_alone_would_give_another_gradient(tiny, monkeypatch):
    task, _ = examples()
    network = network_of(tiny, task)
    _, right = gradient(network, task, soft(12), "logconf", microbatch_tokens=1)
    monkeypatch.setattr(Learner, "_context", lambda *_: None)
    _, wrong = gradient(network, task, soft(12), "logconf", microbatch_tokens=1)
    assert largest_difference(right, wrong) > 1e-3


def test_an_item_of_weight_0_is_as_good_as_absent(tiny):
    task, _ = examples(20)
    labels = soft(20)
    kept = np.flatnonzero(np.arange(20) % 3)
    labels.weight[::3] = 0
    weighted, absent = network_of(tiny, task), network_of(tiny, task)
    facts = train(weighted, task, labels)
    train(absent, task, Labels(labels.probs[kept], labels.weight[kept], "test"), items=kept)
    assert facts["steps"] == 2
    assert largest_difference(weighted.state(), absent.state()) == 0


def test_an_item_of_weight_2_counts_like_two_of_weight_1(tiny):
    task, _ = examples()
    labels = soft(12)
    twice = np.concatenate([np.arange(12), np.arange(6)])
    labels.weight[:] = np.where(np.arange(12) < 6, 2, 1)
    weighted, doubled = network_of(tiny, task), network_of(tiny, task)
    train(weighted, task, labels, batch=12)
    train(doubled, task, Labels.soft(labels.probs[twice], "test"), items=twice, batch=18)
    assert largest_difference(weighted.state(), doubled.state()) < 1e-5


@pytest.mark.parametrize(("task", "k"), [(examples()[0], 2), (examples(kinds=4)[0], 4), (comparisons()[0], 2)])
def test_the_head_starts_at_zero_so_the_first_loss_is_log_k(tiny, task, k):
    network = Full().network(model(tiny("llama")), 1 if task.pairwise else k)
    facts = train(network, task, Labels.hard(np.arange(12) % k, k, "test"), batch=12)
    assert facts["first_loss"] == pytest.approx(math.log(k), abs=1e-6)


def test_logits_of_comparisons_are_the_scores_of_both_responses(tiny):
    task, _ = comparisons()
    network = network_of(tiny, task)
    reading = Reading.of(task, np.arange(12), network.backbone)
    one_by_one = Reading(reading.ids, 1, 0)
    network.head.out_features = 2  # read each response on its own
    scores = network.logits(one_by_one, np.arange(24)).detach()
    network.head.out_features = 1
    expected = torch.stack([scores[0::2, 0], scores[1::2, 0]], 1)
    torch.testing.assert_close(network.logits(reading, np.arange(12)).detach(), expected, atol=1e-5, rtol=0)


def test_cosine_schedule_is_that_of_torch_after_a_linear_rise():
    training = Training(lr=0.3, warmup=0.2)
    rates = [training.rate(step, 50) for step in range(50)]
    np.testing.assert_allclose(rates[:10], 0.3 * np.arange(1, 11) / 10)
    optimizer = torch.optim.SGD([torch.zeros(1, requires_grad=True)], lr=0.3)
    scheduler = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, T_max=40)
    for rate in rates[10:]:
        assert rate == pytest.approx(scheduler.get_last_lr()[0], rel=1e-9)
        optimizer.step()
        scheduler.step()


def test_constant_schedule_stays_and_warm_up_may_be_nothing_or_all():
    assert [Training(lr=1, schedule="constant", warmup=0.5).rate(step, 4) for step in range(4)] == [0.5, 1, 1, 1]
    assert [Training(lr=1, schedule="constant", warmup=0).rate(step, 3) for step in range(3)] == [1, 1, 1]
    assert [Training(lr=1, warmup=1).rate(step, 4) for step in range(4)] == [0.25, 0.5, 0.75, 1]
    assert Training(lr=1, warmup=0).rate(0, 1) == 1


def test_progress_reaches_the_objective_as_the_share_of_steps_done(tiny, monkeypatch):
    task, _ = examples(20)
    seen = []
    objective = objectives.build("naive")
    called = type(objective).__call__

    def spy(self, logits, labels, *, progress, context):
        seen.append(progress)
        return called(self, logits, labels, progress=progress, context=context)

    monkeypatch.setattr(type(objective), "__call__", spy)
    train(network_of(tiny, task), task, soft(20), batch=5, epochs=2, microbatch_tokens=10**6)
    assert seen == [step / 8 for step in range(8)]


def test_every_step_is_reported_and_losses_now_and_then(tiny):
    task, _ = examples(24)
    network = network_of(tiny, task)
    reading = Reading.of(task, np.arange(24), network.backbone)
    heard: list[dict[str, Any]] = []
    learner = Learner(
        network, objectives.build("naive"), Training(lr=1e-3, batch=2), lambda **facts: heard.append(facts)
    )
    facts = learner.train(reading, soft(24), seed=0)
    assert [one["done"] for one in heard] == list(range(1, 25))
    assert {one["total"] for one in heard} == {24}
    assert heard[-1]["tokens"] == facts["tokens"] == 2 * sum(map(len, reading.ids))
    assert [one["done"] for one in heard if "loss" in one] == [10, 20, 24]
    assert facts["last_loss"] < facts["first_loss"]


def test_training_is_decided_by_the_seed(tiny):
    task, _ = examples(20)
    states = []
    for seed in (0, 0, 1):
        network = network_of(tiny, task)
        reading = Reading.of(task, np.arange(20), network.backbone)
        Learner(network, objectives.build("naive"), Training(lr=1e-3, batch=8), silent).train(reading, soft(20), seed)
        states.append(network.state())
    assert largest_difference(states[0], states[1]) == 0
    assert largest_difference(states[0], states[2]) > 1e-4


@pytest.mark.parametrize("steps", [1, 30])
def test_a_loss_that_is_not_finite_stops_the_job_and_names_step_and_cure(tiny, steps):
    task, _ = examples(30)
    network = network_of(tiny, task)
    with torch.no_grad():
        network.head.weight[0, 0] = float("nan")
    with pytest.raises(JobError, match="the loss is nan at step 1 of") as caught:
        train(network, task, soft(30), batch=30 // steps)
    assert "lr=0.0003" in str(caught.value)


def test_an_absurd_learning_rate_is_found_out(tiny):
    task, _ = examples(30)
    with pytest.raises(JobError, match="training diverged") as caught:
        train(network_of(tiny, task), task, soft(30), batch=2, lr=1e30)
    assert caught.value.exit_code == 1


def test_labels_without_any_weight_are_refused(tiny):
    task, _ = examples()
    labels = soft(12)
    labels.weight[:] = 0
    with pytest.raises(DataError, match="no item has a weight"):
        train(network_of(tiny, task), task, labels)


def test_a_threshold_over_the_last_items_is_the_quantile_of_their_scores_then(tiny, monkeypatch):
    """Batches of 3 with a buffer of 8, against a plain list of what was said and of what the labels gave."""
    task, _ = examples(20)
    labels = soft(20)
    labels.weight[:] = 1
    network = network_of(tiny, task)
    said: list[np.ndarray] = []
    thresholds: list[float] = []
    objective = objectives.build("logconf,buffer=8")
    called = type(objective).__call__

    def spy(self, logits, labels, *, progress, context):
        p = logits.detach().softmax(-1)[:, 1].double().numpy()
        said.append(np.stack([p, labels[:, 1].double().numpy()], 1))
        thresholds.append(context[1].item())
        return called(self, logits, labels, progress=progress, context=context)

    monkeypatch.setattr(type(objective), "__call__", spy)
    learner = Learner(network, objective, Training(lr=1e-3, batch=3, epochs=2, microbatch_tokens=10**6), silent)
    learner.train(Reading.of(task, np.arange(20), network.backbone), labels, 0)
    assert len(said) == 14
    assert min(map(len, said)) == 2
    for step, threshold in enumerate(thresholds):
        p, q = np.concatenate(said[: step + 1])[-8:].T
        above = round(float(q.sum()))  # as often as the labels name the class
        ranked = np.sort(p)[::-1]
        assert ranked[above] - 1e-6 <= threshold <= ranked[above - 1] + 1e-6


def test_a_batch_as_large_as_the_buffer_has_the_threshold_of_its_own(tiny):
    task, _ = examples(20)
    states = []
    for objective in ("logconf,warmup=0", "logconf,warmup=0,buffer=4", "logconf,warmup=0,buffer=16"):
        network = network_of(tiny, task)
        train(network, task, soft(20), objective, batch=4)
        states.append(network.state())
    assert largest_difference(states[0], states[1]) == 0
    assert largest_difference(states[0], states[2]) > 1e-5
