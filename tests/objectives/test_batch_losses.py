"""Losses of a whole batch and losses that weigh another's items."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from losses import built, gradient, loss, random_batch, symmetric

from superalign.objective import objectives


def batch(seed: int, n: int = 14) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    logits, labels = random_batch(seed, n=n, k=2)
    weight = torch.rand(n, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    weight[3] = 0
    return 3 * logits, labels, weight / weight.sum()


def soft_minimum(logits: torch.Tensor, labels: torch.Tensor, weight: torch.Tensor, beta: float) -> torch.Tensor:
    """-beta' log sum_i w_i exp(-l_i/beta'), l the DPO loss, as the paper writes it."""
    z = logits[:, 1] - logits[:, 0]
    each = -labels[:, 1] * torch.log(1 / (1 + torch.exp(-z))) - labels[:, 0] * torch.log(1 / (1 + torch.exp(z)))
    return -beta * torch.log((weight * torch.exp(-each / beta)).sum())


@settings(max_examples=40)
@given(st.integers(0, 10_000), st.floats(0.2, 20), st.integers(1, 14))
def test_dr_dpo_has_the_value_and_gradient_of_the_soft_minimum_however_the_batch_is_cut(seed, beta, size):
    logits, labels, weight = batch(seed)
    objective = built(f"dr-dpo,beta={beta}")
    context = objective.batch_context(logits, labels, weight)
    ours = logits.clone().requires_grad_()
    value = torch.stack(
        [
            (w * objective(x, y, progress=0.5, context=context)).sum()
            for x, y, w in zip(ours.split(size), labels.split(size), weight.split(size), strict=True)
        ]
    ).sum()
    theirs = logits.clone().requires_grad_()
    wanted = soft_minimum(theirs, labels, weight, beta)
    torch.testing.assert_close(value, wanted)
    torch.testing.assert_close(torch.autograd.grad(value, ours)[0], torch.autograd.grad(wanted, theirs)[0])


def test_dr_dpo_tends_to_dpo_and_lets_well_fitted_pairs_lead():
    logits, labels, _ = batch(1)
    labels = labels.round()
    plain = gradient("dpo", logits, labels)
    distance = [(gradient(f"dr-dpo,beta={beta}", logits, labels) - plain).abs().max() for beta in (1, 10, 100, 1e4)]
    assert distance == sorted(distance, reverse=True)
    assert distance[-1] < 1e-3 < distance[0]
    lead = (gradient("dr-dpo", logits, labels) / plain)[:, 1]
    fitted = (loss("dpo", logits, labels)).argsort()
    assert lead[fitted[0]] > 1 > lead[fitted[-1]]
    assert torch.equal(lead.argsort(descending=True), fitted)


def test_confidence_is_the_paper_s_weight_on_the_hard_label():
    logits, labels = random_batch(2, n=20, k=2)
    weight = (2 * labels[:, 1] - 1).abs()
    torch.testing.assert_close(
        loss("confidence,base=dpo", logits, labels), weight * loss("dpo", logits, labels.round())
    )
    torch.testing.assert_close(
        loss("confidence,base=ipo", logits, labels), weight * loss("ipo", logits, labels.round())
    )
    chance = torch.full_like(labels, 0.5)
    assert loss("confidence", logits, chance).abs().max() == 0


def test_a_base_is_told_the_noise():
    asking = objectives.build("confidence,base=rdpo")
    assert asking.wants_noise
    told = asking.with_noise(symmetric(0.25, 2))
    assert not told.wants_noise
    assert told.base.rate == pytest.approx(0.25)
    assert str(told) != str(asking.with_noise(symmetric(0.3, 2)))
    assert asking.curvature == told.base.curvature
    assert objectives.build("window,base=ipo").curvature == objectives.build("ipo").curvature


def test_the_base_s_context_sees_the_items_by_their_share():
    logits, labels, weight = batch(3)
    spec = {"name": "window", "of": "supervisor", "keep": "confident", "radius": 0.1, "base": "dr-dpo"}
    kept = (labels.amax(-1) > 0.6).double()
    assert 0 < kept.sum() < len(kept)
    torch.testing.assert_close(
        built(spec).batch_context(logits, labels, weight),
        built("dr-dpo").batch_context(logits, labels, weight * kept),
    )
    nothing = {**spec, "radius": 0.9}
    assert torch.isfinite(built(nothing).batch_context(logits, labels, weight)).all()
    assert (loss(nothing, logits, labels) == 0).all()


def test_window_stops_teaching_what_the_learner_has_settled():
    z = torch.tensor([-3.0, -0.5, 0.0, 0.5, 3.0], dtype=torch.float64)
    logits = torch.stack([-z / 2, z / 2], -1)
    labels = torch.tensor([0.0, 1.0]).double().expand_as(logits)
    inside = (gradient("window", logits, labels) != 0).any(-1)
    outside = (gradient("window,keep=confident", logits, labels) != 0).any(-1)
    assert inside.tolist() == [False, True, True, True, False]
    assert torch.equal(outside, ~inside)
