"""Every merge method against its formula, written again, and what must hold of it whatever the tensors are."""

from __future__ import annotations

import numpy as np
import pytest
import references as formula
from hypothesis import given, settings
from hypothesis import strategies as st

from superalign.errors import ConfigError
from superalign.merging import selecting
from superalign.merging.matrix import spectrum
from superalign.merging.method import merged, methods
from superalign.merging.selecting import ALL, NOTHING, thresholds
from superalign.merging.tensors import LowRank, kept, stack

WEIGHTS = [0.5, 0.3, 0.9]
CLOSE = {"rtol": 2e-4, "atol": 2e-5}
SHAPE = (24, 33)


def models(count=3, shape=SHAPE, seed=0, spread=0.3):
    draw = np.random.default_rng(seed)
    base = draw.standard_normal(shape, dtype=np.float32)
    return base, [base + spread * draw.standard_normal(shape, dtype=np.float32) for _ in range(count)]


def adapters(count=3, shape=SHAPE, rank=4, seed=1):
    draw = np.random.default_rng(seed)
    base = draw.standard_normal(shape, dtype=np.float32)
    parts = [
        LowRank(
            draw.standard_normal((shape[0], rank), dtype=np.float32),
            draw.standard_normal((rank, shape[1]), dtype=np.float32) * np.float32(0.2),
        )
        for _ in range(count)
    ]
    return base, parts


def result(spec, base, experts, weights=None, block=1 << 16, **more):
    method = methods.build(spec)
    return merged(method, stack(method, experts, base, weights, block=block, **more), more.get("shared"))


BASE, EXPERTS = models()
INFORMATION = [np.random.default_rng(i).uniform(0.1, 2, SHAPE).astype(np.float32) for i in range(3)]
GRAMS = [(x.T @ x).astype(np.float32) for x in (np.random.default_rng(i).standard_normal((60, 33)) for i in range(3))]
FORMULAS = {
    "linear": lambda: formula.linear(BASE, EXPERTS, WEIGHTS),
    "task-arithmetic,scale=0.7": lambda: formula.task_arithmetic(BASE, EXPERTS, WEIGHTS, 0.7),
    "ties,density=0.3,scale=0.8": lambda: formula.ties(BASE, EXPERTS, WEIGHTS, 0.3, 0.8),
    "breadcrumbs,density=0.6,gamma=0.05": lambda: formula.breadcrumbs(BASE, EXPERTS, WEIGHTS, 0.6, 0.05),
    "model-stock": lambda: formula.model_stock(BASE, EXPERTS),
}


@pytest.mark.parametrize("spec", FORMULAS)
def test_is_its_formula(spec):
    found = result(spec, BASE, EXPERTS, WEIGHTS)
    np.testing.assert_allclose(found, FORMULAS[spec](), **CLOSE)
    assert found.dtype == np.float32


def test_breadcrumbs_ties_is_its_formula():
    masked = [formula.breadcrumbs(BASE * 0, [e - BASE], [1], 0.6, 0.05) for e in EXPERTS]
    wanted = BASE + formula.elected(masked, WEIGHTS, False)
    found = result("breadcrumbs-ties,density=0.6,gamma=0.05", BASE, EXPERTS, WEIGHTS)
    np.testing.assert_allclose(found, wanted, **CLOSE)


def test_slerp_is_its_formula():
    for t in (0, 0.3, 1):
        wanted = formula.slerp(EXPERTS[0], EXPERTS[1], t)
        np.testing.assert_allclose(result(f"slerp,t={t}", None, EXPERTS[:2]), wanted, **CLOSE)
        np.testing.assert_allclose(result(f"slerp,t={t}", BASE, EXPERTS[:2]), wanted, **CLOSE)
    np.testing.assert_allclose(result("slerp,t=0.25", None, [BASE, 3 * BASE]), 1.5 * BASE, **CLOSE)


def test_consensus_is_its_formula():
    for k in (0, 1, 2, 3):
        wanted = formula.consensus(BASE, EXPERTS, 0.5, k, 0.4)
        np.testing.assert_allclose(result(f"consensus,mask=0.5,k={k},scale=0.4", BASE, EXPERTS), wanted, **CLOSE)


def test_tsv_and_iso_are_their_formulas():
    np.testing.assert_allclose(result("tsv-m,scale=0.6", BASE, EXPERTS), formula.tsv(BASE, EXPERTS, 0.6), **CLOSE)
    np.testing.assert_allclose(result("iso-c", BASE, EXPERTS), formula.iso(BASE, EXPERTS), **CLOSE)


def test_fisher_and_regmean_are_their_formulas():
    wanted = formula.fisher(EXPERTS, WEIGHTS, INFORMATION)
    np.testing.assert_allclose(result("fisher", None, EXPERTS, WEIGHTS, statistics=INFORMATION), wanted, **CLOSE)
    np.testing.assert_allclose(result("fisher", BASE, EXPERTS, WEIGHTS, statistics=INFORMATION), wanted, **CLOSE)
    wanted = formula.regmean(EXPERTS, GRAMS, 0.8)
    for base in (None, BASE):
        found = result("regmean,off_diagonal=0.8,ridge=0", base, EXPERTS, statistics=GRAMS)
        np.testing.assert_allclose(found, wanted, rtol=1e-3, atol=1e-4)
    nothing = [None] * 3
    np.testing.assert_allclose(result("regmean", None, EXPERTS, statistics=nothing), np.mean(EXPERTS, axis=0), **CLOSE)


def test_wudi_closed_form_is_a_minimum_and_adam_goes_there():
    deltas = [(e - BASE).astype(np.float64) for e in EXPERTS]
    start = formula.wudi_loss(sum(deltas), deltas)
    closed = formula.wudi_loss(result("wudi", BASE, EXPERTS) - BASE, deltas)
    adam = formula.wudi_loss(result("wudi,solver=adam,steps=60,lr=0.01", BASE, EXPERTS) - BASE, deltas)
    assert closed < adam < start
    found = result("wudi", BASE, EXPERTS) - BASE
    draw = np.random.default_rng(0)
    for _ in range(5):
        assert formula.wudi_loss(found + 0.01 * draw.standard_normal(SHAPE), deltas) > closed


def test_wudi_adam_is_torch_adam():
    import torch

    deltas = [torch.tensor(e - BASE) for e in EXPERTS]
    x = sum(deltas).clone().requires_grad_()
    optimizer = torch.optim.Adam([x], lr=1e-3)
    for _ in range(20):
        optimizer.zero_grad()
        sum(((x - d) @ d.T).square().sum() / d.square().sum() for d in deltas).backward()
        optimizer.step()
    found = result("wudi,solver=adam,steps=20,lr=1e-3", BASE, EXPERTS) - BASE
    np.testing.assert_allclose(found, x.detach().numpy(), rtol=1e-3, atol=1e-4)


class TestReweighted:
    def test_equal_weights_and_floor_ranks_are_tsv(self):
        same = result("r-tsvm,reweight=none,rank=floor", BASE, EXPERTS)
        np.testing.assert_array_equal(same, result("tsv-m", BASE, EXPERTS))

    def test_experts_alike_are_tsv(self):
        """Equal outliers and equal sparsity: signs flipped, so that the deltas differ and their magnitudes do not."""
        delta = EXPERTS[0] - BASE
        zero = np.zeros_like(BASE)
        alike = [delta, delta * np.where(np.arange(33) % 2, 1, -1).astype(np.float32), -delta[::-1].copy()]
        found = result("r-tsvm", zero, alike)
        np.testing.assert_allclose(found, result("tsv-m", zero, alike), **CLOSE)

    @pytest.mark.parametrize("sign", ["boost", "damp"])
    def test_is_the_reading_in_its_docstring(self, sign):
        base, experts = models(3, seed=3)
        experts[1] = base + np.random.default_rng(9).standard_t(4, SHAPE).astype(np.float32) * np.float32(0.2)
        masses, filled = [], []
        for expert in experts:
            size = np.abs(expert - base).astype(np.float64)
            masses.append(size[size > size.mean() + 2 * size.std()].sum())
            filled.append((size > 0.1 * size.max()).mean())
        shares = np.array(masses) if sign == "boost" else 1 / np.array(masses)
        weights = list(3 * shares / shares.sum())
        ranks = [max(1, int(24 * f / sum(filled))) for f in filled]
        assert len({*ranks}) > 1
        found = result(f"r-tsvm,reweight={sign},k=2,sparse=0.1", base, experts)
        np.testing.assert_allclose(found, formula.tsv(base, experts, 1, ranks, weights), **CLOSE)


@pytest.mark.parametrize("spec", ["tsv-m", "r-tsvm", "r-tsvm,reweight=damp"])
def test_one_expert_at_full_rank_is_the_expert(spec):
    np.testing.assert_allclose(result(spec, BASE, EXPERTS[:1]), EXPERTS[0], **CLOSE)


ALONE = ["linear", "task-arithmetic", "ties,density=1", "dare-linear,density=1", "della,density=1", "wudi"]
ALONE += ["breadcrumbs,density=1", "breadcrumbs-ties,density=1", "consensus,k=1,scale=1", "dare-ties,density=1"]


@pytest.mark.parametrize("spec", ALONE)
def test_one_expert_of_which_nothing_is_dropped_is_the_expert(spec):
    np.testing.assert_allclose(result(spec, BASE, EXPERTS[:1]), EXPERTS[0], **CLOSE)


PLAIN = [name for name in methods.names() if methods.get(name).statistic is None]
ORDERLESS = [name for name in PLAIN if not name.startswith(("dare", "della", "slerp"))]


@pytest.mark.parametrize("name", ORDERLESS)
def test_the_order_of_experts_does_not_matter(name):
    turned = result(name, BASE, EXPERTS[::-1], WEIGHTS[::-1])
    np.testing.assert_allclose(result(name, BASE, EXPERTS, WEIGHTS), turned, rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize("name", [name for name in PLAIN if name != "slerp"])
def test_factors_and_the_same_delta_dense_are_merged_alike(name):
    base, parts = adapters()
    wholes = [base + part.b @ part.a for part in parts]
    found = result(name, base, parts, WEIGHTS)
    np.testing.assert_allclose(found, result(name, base, wholes, WEIGHTS), rtol=5e-3, atol=1e-3)


@pytest.mark.parametrize("name", ["linear", "task-arithmetic,scale=0.5", "tsv-m", "r-tsvm", "iso-c", "wudi"])
def test_merged_factors_are_the_merged_delta(name):
    base, parts = adapters()
    method = methods.build(name)
    held = stack(method, parts, base, WEIGHTS)
    factors = method.factors(held)
    assert factors.rank <= 12
    np.testing.assert_allclose(base + factors.b @ factors.a, merged(method, held), rtol=1e-4, atol=1e-5)


def test_ranks_are_cut_at_the_numeric_rank():
    base, parts = adapters(rank=2)
    wanted = formula.tsv(base, [base + part.b @ part.a for part in parts], ranks=[2, 2, 2])
    np.testing.assert_allclose(result("tsv-m", base, parts), wanted, rtol=1e-3, atol=1e-4)
    assert len(spectrum(parts[0]).s) == 2
    assert len(spectrum(np.zeros((5, 4), np.float32)).s) == 0
    doubled = LowRank(np.repeat(parts[0].b, 2, axis=1), np.repeat(parts[0].a, 2, axis=0))
    assert len(spectrum(doubled).s) == 2


@pytest.mark.parametrize("name", PLAIN)
@pytest.mark.parametrize("shape", [(7,), (1, 5), (6, 1), (2, 3, 4), ()])
def test_every_shape_is_merged(name, shape):
    base, experts = models(2, shape)
    found = result(name, np.asarray(base), [np.asarray(e) for e in experts])
    assert found.shape == shape
    assert np.isfinite(found).all()


@pytest.mark.parametrize("name", PLAIN)
def test_experts_that_changed_nothing_leave_the_base(name):
    np.testing.assert_allclose(result(name, BASE, [BASE, BASE]), BASE, **CLOSE)


@settings(max_examples=25)
@given(
    st.sampled_from([name for name in ORDERLESS if not issubclass(methods.get(name), methods.get("linear"))]),
    st.integers(1, 9),
    st.integers(1, 9),
    st.integers(0, 99),
)
def test_blocks_change_nothing(name, rows, columns, seed):
    base, experts = models(3, (rows, columns), seed)
    whole = result(name, base, experts, WEIGHTS)
    np.testing.assert_allclose(result(name, base, experts, WEIGHTS, block=4), whole, rtol=1e-3, atol=1e-4)


@settings(max_examples=60)
@given(st.integers(1, 60), st.integers(1, 5), st.integers(1, 300), st.integers(0, 99), st.booleans(), st.booleans())
def test_thresholds_are_those_of_a_sort(rows, columns, k, seed, ties, sampled):
    """Also where rows of a sample say nothing of the others: here they are ever larger."""
    draw = np.random.default_rng(seed)
    values = (draw.standard_normal((rows, columns)) * np.arange(1, rows + 1)[:, None] ** 2).astype(np.float32)
    values = np.round(values, 1) if ties else values
    held = stack(methods.build("ties"), [values], block=7)
    size = values.size
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(selecting, "SAMPLE", 20 if sampled else 1 << 17)
        patch.setattr(selecting, "MARGIN", 0.5)
        (found,) = thresholds(held, [[k, 0, size + 1]])
    assert found[1:] == [NOTHING, ALL]
    if k <= size:
        assert np.uint32(found[0]).view(np.float32) == np.sort(np.abs(values).ravel())[-k]


def test_ties_across_the_model_trims_the_flattened_vector():
    pieces = [
        models(2, shape, seed, spread) for shape, seed, spread in (((9, 5), 0, 0.1), ((30,), 1, 1.0), ((4, 4), 2, 3.0))
    ]
    method = methods.build("ties,across=model,density=0.25")
    stacks = [stack(method, experts, base) for base, experts in pieces]
    shared = None
    for level in range(method.surveys):
        total = sum(method.survey(one, level, shared) for one in stacks)
        shared = method.settle(total, level, shared, (method, method))
    flat = [np.concatenate([(experts[i] - base).ravel() for base, experts in pieces]) for i in range(2)]
    keep = int(0.25 * len(flat[0]))
    wanted = formula.elected([formula.trimmed(one, keep) for one in flat], [1, 1], True)
    parts = [merged(method, one, shared) - base for one, (base, _) in zip(stacks, pieces, strict=True)]
    found = np.concatenate([part.ravel() for part in parts])
    np.testing.assert_allclose(found, wanted, rtol=1e-3, atol=1e-5)


class TestDrawn:
    BIG = models(2, (200, 300), spread=1.0)

    @pytest.mark.parametrize("share", [0, 0.003, 0.2, 0.5, 0.997, 1])
    def test_kept_shares_are_what_was_asked(self, share):
        mask = kept(np.random.SFC64(3), share, (500, 400))
        assert abs(mask.mean() - share) < 5 * (share * (1 - share) / mask.size) ** 0.5 + 1e-12

    def test_shares_by_column(self):
        shares = np.array([0.0, 1.0, 0.3, 0.75])
        means = kept(np.random.SFC64(3), shares, (20_000, 4)).mean(0)
        np.testing.assert_allclose(means, shares, atol=0.02)
        assert means[0] == 0
        assert means[1] == 1

    @pytest.mark.parametrize("name", ["dare-linear,density=0.2", "della-linear,density=0.4"])
    def test_is_right_on_average(self, name):
        base, experts = self.BIG
        found = np.mean([result(name, base, experts, seed=seed) for seed in range(40)], axis=0) - base
        wanted = sum(e - base for e in experts)
        slope = (found * wanted).sum() / (wanted**2).sum()
        assert abs(slope - 1) < 0.02

    def test_dare_keeps_and_scales(self):
        base, experts = self.BIG
        delta = experts[0] - base
        found = result("dare-linear,density=0.25", base * 0, [delta])
        mask = found != 0
        assert abs(mask.mean() - 0.25) < 0.01
        np.testing.assert_allclose(found[mask], 4 * delta[mask], rtol=1e-5)
        by_norm = result("dare-linear,density=0.25,rescale=l1", base * 0, [delta])
        np.testing.assert_array_equal(by_norm != 0, mask)
        np.testing.assert_allclose(np.abs(by_norm).sum(), np.abs(delta).sum(), rtol=1e-4)

    def test_della_keeps_by_rank(self):
        draw = np.random.default_rng(0).standard_normal((4000, 11)).astype(np.float32)
        found = result("della-linear,density=0.5,epsilon=0.4", draw * 0, [draw])
        order = np.argsort(np.abs(draw), axis=1)
        by_rank = np.take_along_axis(found, order, axis=1)
        chances = np.linspace(0.1, 0.9, 11)
        np.testing.assert_allclose((by_rank != 0).mean(0), chances, atol=0.04)
        wanted = np.take_along_axis(draw, order, axis=1) / chances
        mask = by_rank != 0
        np.testing.assert_allclose(by_rank[mask], wanted[mask], rtol=1e-4)

    @pytest.mark.parametrize("pair", [("dare-linear", "dare-ties"), ("della-linear", "della,normalize=false")])
    def test_the_election_follows_the_same_drops(self, pair):
        base, experts = self.BIG
        zero = base * 0
        own = [result(pair[0], zero, [e - base]) for e in experts[:1]]
        np.testing.assert_array_equal(result(pair[1], zero, [experts[0] - base]), own[0])

    @pytest.mark.parametrize("name", ["dare-linear", "della"])
    def test_a_seed_draws_the_same_and_another_draws_others(self, name):
        base, experts = self.BIG
        first = result(name, base, experts, seed=5)
        np.testing.assert_array_equal(first, result(name, base, experts, seed=5))
        assert (first != result(name, base, experts, seed=6)).any()
        assert (first != result(name, base, experts, seed=5, name="other")).any()

    def test_impossible_probabilities_are_refused(self):
        with pytest.raises(ConfigError, match="epsilon") as caught:
            methods.build("della,density=0.1,epsilon=0.2")
        assert "0.1" in caught.value.fix


def test_weighted_sums_that_are_not_normalised_count_the_base_too():
    found = result("linear,normalize=false", BASE, EXPERTS, WEIGHTS)
    np.testing.assert_allclose(found, sum(w * e for w, e in zip(WEIGHTS, EXPERTS, strict=True)), **CLOSE)


def test_the_sweep_of_rewarded_soups_is_the_grid_of_the_simplex():
    points = list(methods.build("rewarded-soups,steps=3").sweep(3))
    assert len(points) == 10
    assert len({*points}) == 10
    assert all(abs(sum(point) - 1) < 1e-12 for point in points)
    assert {(1, 0, 0), (0, 1, 0), (0, 0, 1)} <= {*points}


def test_filter_wise_model_stock_takes_each_row_by_itself():
    found = result("model-stock,filter_wise=true", BASE, EXPERTS)
    rows = [formula.model_stock(BASE[i : i + 1], [e[i : i + 1] for e in EXPERTS]) for i in range(len(BASE))]
    np.testing.assert_allclose(found, np.concatenate(rows), **CLOSE)
