"""Co-teaching: what each peer learns from, against the paper's algorithm in numpy, and whether it helps."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from losses import symmetric

from superalign.errors import ConfigError
from superalign.fit import Lesson
from superalign.fits.probe import Probe, solve
from superalign.label import Labels
from superalign.objective import objectives


def batch(seed: int, n: int = 12, k: int = 3) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Logits and labels of two peers [2, n, k], and weights [2, n] of which some are 0."""
    generator = torch.Generator().manual_seed(seed)
    logits = 2 * torch.randn(2, n, k, generator=generator, dtype=torch.float64)
    labels = torch.rand(n, k, generator=generator, dtype=torch.float64).softmax(-1).expand(2, n, k)
    weight = torch.rand(2, n, generator=generator, dtype=torch.float64)
    weight[torch.rand(2, n, generator=generator) < 0.3] = 0
    weight[:, 0] = 0.5
    return logits, labels, weight


def expected(logits: np.ndarray, labels: np.ndarray, weight: np.ndarray, share: float) -> np.ndarray:
    """Mean loss of each peer over what the other selects, item by item, as the paper's algorithm has it."""
    p = np.exp(logits) / np.exp(logits).sum(-1, keepdims=True)
    each = -(labels * np.log(p)).sum(-1)
    found = []
    for mine, other in ((0, 1), (1, 0)):
        order = [i for i in np.argsort(each[other]) if weight[mine, i] > 0]
        taken: list[int] = []
        while weight[mine, taken].sum() < share * weight[mine].sum() - 1e-9:
            taken.append(order[len(taken)])
        found.append(float(weight[mine, taken] @ each[mine, taken] / weight[mine, taken].sum()))
    return np.array(found)


@settings(max_examples=60)
@given(st.integers(0, 10_000), st.floats(0, 0.49), st.floats(0, 1), st.integers(2, 30), st.integers(1, 30))
def test_each_peer_s_loss_is_the_mean_over_the_others_choice_however_the_batch_is_cut(seed, rate, progress, n, size):
    logits, labels, weight = batch(seed, n)
    objective = objectives.build({"name": "co-teaching", "rate": rate, "warmup": 0.3})
    context = objective.batch_context(logits, labels, weight)
    pieces = [
        objective(x, y, progress=progress, context=context)
        for x, y in zip(logits.split(size, 1), labels.split(size, 1), strict=True)
    ]
    share = weight / weight.sum(1, keepdim=True)
    mean = (share * torch.cat(pieces, 1)).sum(1)
    wanted = expected(logits.numpy(), labels.numpy(), weight.numpy(), 1 - rate * min(1, progress / 0.3))
    np.testing.assert_allclose(mean.numpy(), wanted, rtol=1e-9)


@settings(max_examples=30)
@given(st.integers(0, 10_000), st.floats(0, 0.49))
def test_items_of_no_weight_are_absent_and_double_weight_is_an_item_twice(seed, rate):
    logits, labels, weight = batch(seed)
    objective = objectives.build({"name": "co-teaching", "rate": rate})
    twice = torch.tensor([*range(12), 4])
    there = (weight > 0).all(0)
    weight[:, ~there] = 0

    def mean(rows, weight):
        x, y = logits[:, rows], labels[:, rows]
        each = objective(x, y, progress=1.0, context=objective.batch_context(x, y, weight))
        return (weight * each).sum(1) / weight.sum(1)

    torch.testing.assert_close(mean(torch.arange(12), weight), mean(there.nonzero()[:, 0], weight[:, there]))
    doubled = weight.clone()
    doubled[:, 4] *= 2
    torch.testing.assert_close(mean(torch.arange(12), doubled), mean(twice, weight[:, twice]))


def test_gradients_are_finite_differences_and_none_flows_to_who_selects():
    logits, labels, weight = batch(3)
    objective = objectives.build("co-teaching,rate=0.4")
    context = objective.batch_context(logits, labels, weight)
    logits.requires_grad_()

    def total(x):
        return (weight * objective(x, labels, progress=1.0, context=context)).sum()

    (slope,) = torch.autograd.grad(total(logits), logits)
    with torch.no_grad():
        for place in np.ndindex(*logits.shape):
            shift = torch.zeros_like(logits)
            shift[place] = 1e-6
            numeric = (total(logits + shift) - total(logits - shift)).item() / 2e-6
            assert slope[place].item() == pytest.approx(numeric, abs=1e-6)
    each = objective(logits, labels, progress=1.0, context=context)
    assert ((each == 0) == (slope == 0).all(-1)).logical_or(weight == 0).all()


def test_problems_solved_together_are_independent_and_ties_are_taken_together():
    objective = objectives.build("co-teaching,rate=0.3")
    one, two = batch(0), batch(1)
    together = [torch.stack(both) for both in zip(one, two, strict=True)]
    context = objective.batch_context(*together)
    each = objective(*together[:2], progress=1.0, context=context)
    assert each.shape == (2, 2, 12)
    for number, (logits, labels, weight) in enumerate((one, two)):
        alone = objective(logits, labels, progress=1.0, context=objective.batch_context(logits, labels, weight))
        torch.testing.assert_close(each[number], alone)
    fresh = torch.zeros(2, 5, 2)
    same = objective(fresh, torch.eye(2)[[0, 1, 0, 1, 1]].expand(2, 5, 2), progress=1.0, context=None)
    torch.testing.assert_close(same, torch.full((2, 5), float(np.log(2))))


@pytest.mark.parametrize("scale", [0.0, 80.0, 1e4])
@pytest.mark.parametrize("n", [1, 2, 7])
def test_extreme_logits_and_tiny_batches_give_finite_losses(scale, n):
    logits = (scale * torch.tensor([-1.0, 1.0]).expand(2, n, 2)).clone().requires_grad_()
    labels = torch.eye(2)[torch.arange(n) % 2].expand(2, n, 2)
    each = objectives.build("co-teaching,rate=0.4")(logits, labels, progress=1.0, context=None)
    (slope,) = torch.autograd.grad(each.sum(), logits)
    assert torch.isfinite(each).all()
    assert torch.isfinite(slope).all()


def test_the_rate_is_told_kept_and_refused():
    asking = objectives.build("co-teaching,warmup=0.1")
    assert asking.wants_noise
    known = asking.with_noise(symmetric(0.3, 4))
    assert known.rate == pytest.approx(0.3)
    assert known.warmup == 0.1
    assert objectives.build("co-teaching,rate=0.1").with_noise(symmetric(0.3, 2)).rate == 0.1
    with pytest.raises(ConfigError, match="55%"):
        asking.with_noise(symmetric(0.55, 2))
    logits, labels, _ = batch(0)
    with pytest.raises(ConfigError, match="must know"):
        asking(logits, labels, progress=0.5, context=None)
    with pytest.raises(ConfigError, match="two learners"):
        objectives.build("co-teaching,rate=0.2")(logits[0], labels[0], progress=0.5, context=None)


N, D, K, FLIPS = 600, 100, 10, 0.4
GROUPS = np.array([str(i) for i in range(N)])


def noisy_problem(seed: int) -> tuple[np.ndarray, np.ndarray, Labels]:
    """Features of N items and of as many unseen ones [2N, D], true classes [2N], labels of which FLIPS are wrong."""
    rng = np.random.default_rng(seed)
    truth = rng.integers(0, K, 2 * N)
    centres = rng.normal(size=(K, D)) * 4 / np.sqrt(D)
    x = (centres[truth] + rng.normal(size=(2 * N, D))).astype(np.float32)
    said = np.where(rng.random(N) < FLIPS, (truth[:N] + rng.integers(1, K, N)) % K, truth[:N])
    return x, truth, Labels.hard(said, K, "noisy")


def heads_of(specs: list[str], seed: int, labels: Labels, x: np.ndarray, groups: np.ndarray = GROUPS) -> list:
    lessons = [Lesson(objectives.build(spec), np.arange(N), labels, seed) for spec in specs]
    return solve(Probe(l2=(1e-4,), steps=100), x, groups, lessons, pairwise=False)


def test_with_ten_classes_it_beats_cross_entropy_where_heads_overfit_symmetric_noise():
    found = []
    for seed in range(3):
        x, truth, labels = noisy_problem(seed)
        heads = heads_of(["naive", "co-teaching,rate=0.4"], seed, labels, x)
        found.append([(head.predict(x[N:]).argmax(1) == truth[N:]).mean() for head in heads])
    plain, taught = np.array(found).T
    assert (taught > plain + 0.03).all()
    assert taught.mean() > plain.mean() + 0.06


def test_solved_beside_others_it_neither_changes_nor_is_changed():
    x, _, labels = noisy_problem(0)
    specs = ["naive", "co-teaching,rate=0.4", "logconf"]
    for spec, head in zip(specs, heads_of(specs, 0, labels, x), strict=True):
        (alone,) = heads_of([spec], 0, labels, x)
        np.testing.assert_allclose(alone.predict(x), head.predict(x), atol=2e-3)
        assert len(head.weight) == objectives.build(spec).peers


def test_peers_see_whole_groups_and_none_without_weight_and_the_seed_decides():
    from superalign.fits.probe import _seats

    x, _, labels = noisy_problem(0)
    groups = np.array([str(i // 3) for i in range(N)])
    weight = np.ones(N, dtype=np.float32)
    weight[:300] = 0
    half = Labels(labels.probs, weight, "noisy")
    lessons = [Lesson(objectives.build("co-teaching,rate=0.4"), np.arange(N), half, seed) for seed in (0, 0, 1)]
    seats = _seats(groups, [(lesson, np.arange(N), 0.1) for lesson in lessons])
    drawn = np.stack([seat.weight for seat in seats])
    assert (drawn[:, :300] == 0).all()
    assert (drawn.sum(1) == 300).all()
    assert (np.ptp(drawn.reshape(6, -1, 3), axis=2) == 0).all()
    np.testing.assert_array_equal(drawn[:2], drawn[2:4])
    assert len(np.unique(drawn, axis=0)) == 4
    heads = [heads_of(["co-teaching,rate=0.4"], seed, half, x, groups)[0].predict(x) for seed in (0, 0, 1)]
    np.testing.assert_array_equal(heads[0], heads[1])
    assert np.abs(heads[0] - heads[2]).max() > 0.01
