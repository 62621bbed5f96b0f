"""Two adapters side by side on one frozen body: gradients, micro-batches, checkpoints, and what refuses them."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch

from small_tasks import comparisons, examples, lesson, model
from superalign.errors import ConfigError
from superalign.fits.full import Full
from superalign.fits.lora import Lora
from superalign.label import Labels
from superalign.learner import Learner, Targets, Training
from superalign.network import Peers, Reading
from superalign.objective import objectives
from superalign.store import Store
from superalign.task import Task

TAUGHT = "co-teaching,rate=0.4"
ROWS = np.arange(12)


def peers_of(tiny, task: Task, architecture: str = "llama", **settings: Any) -> Peers[Reading]:
    """Two networks whose adapters and heads are not zero."""
    fit = Lora(**settings)
    network, _ = fit._load(model(tiny(architecture)), task, objectives.build(TAUGHT), Store(), lambda **_: None)
    assert isinstance(network, Peers)
    generator = torch.Generator().manual_seed(0)
    for parameter in network.trainable:
        torch.nn.init.normal_(parameter, std=0.1, generator=generator)
    return network


def soft(n: int) -> Labels:
    rng = np.random.default_rng(0)
    return Labels(rng.dirichlet(np.ones(2), n).astype(np.float32), rng.uniform(0.2, 2, n).astype(np.float32), "test")


@pytest.mark.parametrize("architecture", ["llama", "gpt2"])
def test_each_has_its_own_adapters_and_head_on_one_body(tiny, architecture):
    task, _ = examples()
    network = peers_of(tiny, task, architecture)
    one = Lora().network(model(tiny(architecture)), 2)
    assert len(network.trainable) == 2 * len(one.trainable)
    reading = Reading.of(task, ROWS, network.backbone)
    logits = network.logits(reading, ROWS)
    assert logits.shape == (2, 12, 2)
    assert (logits[0] - logits[1]).abs().max() > 0.01
    probs = network.probs(reading, ROWS, 10**6)
    np.testing.assert_allclose(probs, logits.detach().softmax(-1).mean(0).numpy(), atol=1e-5)
    logits[0].sum().backward()
    silent = [p for p in network.trainable if p.grad is None or not p.grad.any()]
    assert len(silent) == len(one.trainable)


def test_the_gradient_is_the_paper_s_and_micro_batches_change_nothing(tiny):
    task, _ = examples()
    labels = soft(12)
    found = []
    for tokens in (1, 40, 10**6):
        network = peers_of(tiny, task)
        reading = Reading.of(task, ROWS, network.backbone)
        training = Training(lr=1, batch=12, microbatch_tokens=tokens)
        learner = Learner(network, objectives.build(TAUGHT), training, lambda **_: None)
        loss = learner._gradient(reading, ROWS, Targets.on(network.device, labels), 1.0)
        found.append((loss, [p.grad.clone() for p in network.trainable if p.grad is not None]))
    network = peers_of(tiny, task)
    logits = network.logits(Reading.of(task, ROWS, network.backbone), ROWS)
    y, weight = torch.from_numpy(labels.probs), torch.from_numpy(labels.weight)
    each = -(y * logits.log_softmax(-1)).sum(-1)
    total = torch.zeros(())
    for mine, other in ((0, 1), (1, 0)):
        order = each[other].argsort()
        enough = int((weight[order].cumsum(0) < 0.6 * weight.sum()).sum()) + 1
        kept = order[:enough]
        total = total + (weight[kept] * each[mine, kept]).sum() / weight[kept].sum()
    total.backward()
    wanted = [p.grad for p in network.trainable if p.grad is not None]
    assert len(wanted) == len(network.trainable)
    for loss, gradients in found:
        torch.testing.assert_close(loss, total.detach(), atol=1e-5, rtol=1e-5)
        for mine, theirs in zip(gradients, wanted, strict=True):
            torch.testing.assert_close(mine, theirs, atol=2e-5, rtol=1e-3)


@pytest.mark.parametrize("read", ["head", "policy"])
def test_peers_learn_from_noisy_labels_with_a_head_or_as_policies(tiny, read):
    task, truth = comparisons(24)
    noisy = truth.copy()
    noisy[:4] = 1 - noisy[:4]
    one = replace(lesson(noisy), objective=objectives.build("co-teaching,rate=0.15"))
    fit = Lora(lr=5e-3, epochs=8, batch=8, schedule="constant", read=read, dropout=0.05, stop="early")
    seeds = (replace(one, seed=0), replace(one, seed=0), replace(one, seed=1))
    learned = fit.learn(model(tiny("llama")), task, seeds, [np.arange(24)] * 3, store=Store(), report=lambda **_: None)
    assert (learned[0].probs.argmax(1) == truth).mean() >= 0.75
    np.testing.assert_array_equal(learned[0].probs, learned[1].probs)
    assert np.abs(learned[0].probs - learned[2].probs).max() > 1e-4


def test_whole_bodies_side_by_side_are_refused(tiny):
    task, truth = examples()
    one = replace(lesson(truth), objective=objectives.build(TAUGHT))
    with pytest.raises(ConfigError, match="side by side") as caught:
        Full().learn(model(tiny("llama")), task, [one], [ROWS], store=Store(), report=lambda **_: None)
    assert caught.value.fix == "fit=lora"
