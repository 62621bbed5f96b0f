"""Agreement of verdicts with labels, against scikit-learn, against items repeated, and against what is known."""

from __future__ import annotations

import math
import warnings

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn import metrics

from superalign import agreement, metric
from superalign.metric import Bootstrap

Items = st.integers(2, 40).flatmap(
    lambda n: st.tuples(
        st.lists(st.integers(0, 1), min_size=n, max_size=n),
        st.lists(st.integers(0, 10), min_size=n, max_size=n),
        st.lists(st.integers(0, 4), min_size=n, max_size=n).filter(any),
    )
)


def read(items):
    truth, score, weight = (np.array(one) for one in items)
    return truth == 1, score / 10, weight.astype(float)


def alone(figure, *args):
    *given, weight = args
    return float(figure(*given, weight[None])[0])


@given(Items)
def test_kappa_is_that_of_scikit_learn(items):
    truth, prob, weight = read(items)
    said = (prob > 0.5).astype(np.int64)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # it divides by 0 where kappa does not exist
        expected = metrics.cohen_kappa_score(truth.astype(int), said, sample_weight=weight)
    used = weight > 0
    one = len({*truth[used].astype(int), *said[used]}) == 1
    found = alone(agreement.kappa, said, truth.astype(np.int64), weight)
    assert math.isnan(found) if one else found == pytest.approx(expected)


@given(Items)
def test_auroc_is_that_of_scikit_learn(items):
    truth, prob, weight = read(items)
    found = alone(agreement.auroc, prob, truth, weight)
    if len(set(truth[weight > 0])) == 1:
        assert math.isnan(found)
    else:
        assert found == pytest.approx(metrics.roc_auc_score(truth, prob, sample_weight=weight))


@given(Items)
def test_brier_is_that_of_scikit_learn_and_calibration_that_of_items_repeated(items):
    truth, prob, weight = read(items)
    expected = metrics.brier_score_loss(truth, prob, sample_weight=weight, pos_label=True)
    assert alone(agreement.brier, prob, truth, weight) == pytest.approx(expected)
    often = weight.astype(int)
    repeated, right = np.repeat(prob, often), np.repeat((prob > 0.5) == truth, often)
    both = np.stack([1 - repeated, repeated], axis=1)
    known = metric.expected_calibration_error(both, right)
    assert alone(agreement.calibration_error, prob, truth, weight) == pytest.approx(known, abs=1e-12)


@given(Items)
def test_precision_is_a_share(items):
    truth, prob, weight = read(items)
    said = prob > 0.5
    found = alone(lambda w: agreement.share(truth, w, among=said), weight)
    if not weight[said].sum():
        assert math.isnan(found)
    else:
        assert found == pytest.approx(metrics.precision_score(truth, said, sample_weight=weight, zero_division=0))


@given(st.floats(0, 1), st.floats(0.51, 1), st.floats(0.51, 1))
def test_rogan_gladen_turns_back_what_errors_did(true, sensitivity, specificity):
    observed = true * sensitivity + (1 - true) * (1 - specificity)
    assert agreement.rogan_gladen(observed, sensitivity, specificity) == pytest.approx(true, abs=1e-9)


def test_rogan_gladen_is_held_within_0_and_1_and_refused_without_information():
    assert agreement.rogan_gladen([0.0, 1.0], 0.9, 0.9).tolist() == [0.0, 1.0]
    assert np.isnan(agreement.rogan_gladen(0.5, 0.5, 0.5))
    assert np.isnan(agreement.rogan_gladen(0.5, 0.2, 0.5))


@pytest.mark.parametrize("seeds", [1, 3])
def test_a_figure_that_is_a_mean_has_the_interval_of_a_mean(seeds):
    rng = np.random.default_rng(1)
    groups, scores = rng.integers(0, 30, 120), rng.random((seeds, 120))
    bootstrap = Bootstrap(groups, seeds)
    found = agreement.figure(bootstrap, [lambda w, s=s: agreement.share(s, w) for s in scores])
    assert found == pytest.approx(bootstrap.mean(scores), abs=1e-6)


def test_a_difference_is_that_of_the_paired_test():
    rng = np.random.default_rng(2)
    bootstrap = Bootstrap(np.arange(80), 2)
    a, b = rng.random((2, 80)) < 0.8, rng.random((2, 80)) < 0.6
    known = metric.paired_test(a, b, bootstrap)
    statistics = [lambda w, x=x, y=y: agreement.share(x.astype(float) - y, w) for x, y in zip(a, b, strict=True)]
    found = agreement.difference(bootstrap, statistics)
    assert found is not None
    assert found.difference == pytest.approx(known.difference, abs=1e-6)
    assert found.p == pytest.approx(known.p, abs=2e-3)


def test_a_figure_that_does_not_exist_is_none():
    bootstrap = Bootstrap(np.arange(4), 1)
    ones = np.ones(4, dtype=bool)
    assert agreement.figure(bootstrap, [lambda w: agreement.auroc(np.arange(4.0), ones, w)]) is None
    assert agreement.difference(bootstrap, [lambda w: agreement.share(ones, w, among=~ones)]) is None


def test_the_interval_of_kappa_covers_about_as_often_as_it_says():
    rng = np.random.default_rng(3)
    truth = rng.integers(0, 2, 200_000)
    said = np.where(rng.random(len(truth)) < 0.8, truth, 1 - truth)
    true = metrics.cohen_kappa_score(truth, said)
    inside = 0
    for number in range(100):
        rows = rng.integers(0, len(truth), 150)
        bootstrap = Bootstrap(np.arange(150), 1, replicates=400, seed=number)
        found = agreement.figure(bootstrap, [lambda w, r=rows: agreement.kappa(said[r], truth[r], w)])
        inside += found is not None and found.low <= true <= found.high
    assert 88 <= inside <= 100
