"""Metrics against independent computations, and the honesty of their intervals by simulation."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from superalign import metric
from superalign.metric import Bootstrap

probs_strategy = hnp.arrays(np.float64, st.tuples(st.integers(1, 60), st.just(3)), elements=st.floats(0.01, 1)).map(
    lambda a: a / a.sum(1, keepdims=True)
)


@given(probs_strategy, st.integers(0, 2**32 - 1))
def test_ece_equals_a_plain_loop(probs, seed):
    truth = np.random.default_rng(seed).integers(0, 3, len(probs))
    correct = probs.argmax(1) == truth
    expected, bins = 0.0, 15
    for b in range(bins):
        inside = [i for i, p in enumerate(probs.max(1)) if b / bins <= p < (b + 1) / bins or (b == bins - 1 and p == 1)]
        if inside:
            confidence = sum(probs[i].max() for i in inside) / len(inside)
            accuracy = sum(correct[i] for i in inside) / len(inside)
            expected += len(inside) / len(probs) * abs(confidence - accuracy)
    assert metric.expected_calibration_error(probs, correct) == pytest.approx(expected)
    assert sum(b.n for b in metric.reliability(probs, correct)) == len(probs)


def test_agreement_is_split_by_whether_the_supervisor_is_right():
    truth = np.array([0, 0, 1, 1, 0])
    supervisor = np.array([0, 1, 1, 0, 0])
    student = np.array([0, 0, 1, 0, 1])
    found = metric.agreement(student, supervisor, truth)
    assert (found.overall, found.when_right, found.when_wrong, found.n_wrong) == (0.6, 2 / 3, 0.5, 2)


def test_agreement_over_no_items_is_none_and_not_zero():
    same = np.array([0, 1])
    assert metric.agreement(same, same, same).when_wrong is None


def test_pgr_is_the_share_of_the_gap():
    groups = np.arange(1000)
    weak, student, ceiling = (np.tile(np.arange(1000) < 1000 * a, (3, 1)) for a in (0.6, 0.75, 0.9))
    found = metric.performance_gap_recovered(weak, student, ceiling, Bootstrap(groups, 3))
    assert found.bounds is not None
    assert found.bounds.value == pytest.approx(0.5)
    assert found.bounds.low < 0.5 < found.bounds.high


@pytest.mark.parametrize("ceiling", [0.70, 0.71, 0.6])
def test_pgr_is_refused_with_the_reason_when_the_gap_is_noise(ceiling):
    rng = np.random.default_rng(0)
    weak, student = rng.random((5, 200)) < 0.7, rng.random((5, 200)) < 0.8
    found = metric.performance_gap_recovered(weak, student, rng.random((5, 200)) < ceiling, Bootstrap(range(200), 5))
    assert found.bounds is None
    assert "within noise" in (found.reason or "")


def _simulate(rng: np.random.Generator, seeds: int, items: int, seed_sd: float, item_sd: float) -> np.ndarray:
    """Scores with a seed effect and an item effect; their true mean is 0."""
    return rng.normal(0, seed_sd, (seeds, 1)) + rng.normal(0, item_sd, (1, items)) + rng.normal(0, 0.1, (seeds, items))


@pytest.mark.parametrize(("seed_sd", "item_sd"), [(1.0, 0.0), (0.0, 1.0), (0.1, 1.0)])
def test_intervals_cover_the_truth_as_often_as_they_say(seed_sd, item_sd):
    rng = np.random.default_rng(0)
    bootstrap = Bootstrap(range(60), 5, replicates=800)
    found = [bootstrap.mean(_simulate(rng, 5, 60, seed_sd, item_sd)) for _ in range(300)]
    coverage = np.mean([b.low <= 0 <= b.high for b in found])
    assert coverage > 0.91


def test_paired_test_rejects_seldom_when_there_is_no_difference():
    rng = np.random.default_rng(1)
    bootstrap = Bootstrap(range(60), 5, replicates=800)
    p = [
        metric.paired_test(_simulate(rng, 5, 60, 1.0, 0.3), _simulate(rng, 5, 60, 1.0, 0.3), bootstrap).p
        for _ in range(300)
    ]
    assert np.mean(np.array(p) < 0.05) < 0.09


def test_paired_test_finds_a_difference_and_p_agrees_with_the_interval():
    rng = np.random.default_rng(2)
    base = rng.random((5, 400))
    found = metric.paired_test(base < 0.8, base < 0.7, Bootstrap(range(400), 5))
    assert found.p < 0.01
    assert found.difference.low > 0


def test_copies_of_a_row_in_one_group_do_not_narrow_the_interval():
    scores = np.random.default_rng(3).random((1, 80)) < 0.7
    single = Bootstrap(np.arange(80), 1).mean(scores)
    copied = Bootstrap(np.repeat(np.arange(80), 4), 1).mean(np.repeat(scores, 4, axis=1))
    assert copied == pytest.approx(single)


def test_mean_over_some_items_is_that_of_those_items():
    scores = np.random.default_rng(4).random((3, 50))
    where = np.arange(50) % 3 == 0
    found = Bootstrap(range(50), 3).mean(scores, where)
    assert found.value == pytest.approx(scores[:, where].mean())
    assert found.low < found.value < found.high


def test_small_sample_factor_is_the_t_quantile_over_the_normal():
    assert metric.small_sample_factor(5) == pytest.approx((5 / 4) ** 0.5 * 2.7764 / 1.95996, rel=1e-4)
    assert metric.small_sample_factor(1) == 1
    assert metric.small_sample_factor(1000) == pytest.approx(1, abs=0.01)


@settings(max_examples=50)
@given(hnp.arrays(np.float64, st.integers(1, 80), elements=st.floats(-1e6, 1e6)), st.integers(1, 8))
def test_quantile_bins_hold_each_item_once(values, bins):
    found = metric.quantile_bins(values, bins)
    assert np.sum([inside for _, _, inside in found], axis=0).tolist() == [1] * len(values)
    for low, high, inside in found:
        assert low == values[inside].min()
        assert high == values[inside].max()


@given(st.lists(st.floats(0, 1), max_size=12))
def test_holm_rejects_what_its_step_down_procedure_rejects(p):
    corrected = metric.holm(p)
    for level in (0.01, 0.05, 0.3):
        rejected = set()
        for rank, index in enumerate(sorted(range(len(p)), key=lambda i: p[i])):
            if p[index] * (len(p) - rank) > level:
                break
            rejected.add(index)
        assert rejected == {i for i, value in enumerate(corrected) if value <= level}
