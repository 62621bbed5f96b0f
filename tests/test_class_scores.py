"""Balanced accuracy and weighted F1 against scikit-learn, on the data and on resamples of its own."""

from __future__ import annotations

import warnings

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from superalign.class_scores import class_scores, one_hot, scores
from superalign.metric import Bootstrap

sklearn = pytest.importorskip("sklearn.metrics")


@given(
    data=st.integers(2, 5).flatmap(
        lambda k: st.tuples(
            st.just(k), st.lists(st.tuples(*[st.integers(0, k - 1)] * 2, st.integers(1, 3)), min_size=1, max_size=40)
        )
    )
)
def test_they_are_scikit_learns(data: tuple[int, list[tuple[int, int, int]]]) -> None:
    k, rows = data
    truth, said, weight = np.array(rows).T
    true, given_ = one_hot(truth, k) * weight, one_hot(said, k) * weight
    balanced, f1 = scores((true * (given_ > 0)).sum(1)[None], true.sum(1)[None], given_.sum(1)[None])
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        assert balanced[0] == pytest.approx(sklearn.balanced_accuracy_score(truth, said, sample_weight=weight))
        expected = sklearn.f1_score(truth, said, average="weighted", sample_weight=weight, zero_division=0)
    assert f1[0] == pytest.approx(expected)


def test_intervals_are_of_resampled_groups() -> None:
    """One seed, an own bootstrap over groups with scikit-learn: the same interval within what chance explains."""
    rng = np.random.default_rng(1)
    groups = np.repeat(np.arange(60), 3)
    truth = (rng.random(180) < 0.25).astype(np.int64)
    said = np.where(rng.random(180) < 0.8, truth, 1 - truth)
    found = class_scores(said[None], truth, 2, Bootstrap(groups, 1))
    assert found.balanced_accuracy.value == pytest.approx(sklearn.balanced_accuracy_score(truth, said))
    assert found.weighted_f1.value == pytest.approx(sklearn.f1_score(truth, said, average="weighted"))
    drawn = []
    for _ in range(600):
        picked = np.concatenate([np.arange(3 * g, 3 * g + 3) for g in rng.integers(0, 60, 60)])
        a, b = truth[picked], said[picked]
        drawn.append((sklearn.balanced_accuracy_score(a, b), sklearn.f1_score(a, b, average="weighted")))
    for bounds, own in zip(found, np.quantile(drawn, [0.025, 0.975], axis=0).T, strict=True):
        assert bounds.low == pytest.approx(own[0], abs=0.015)
        assert bounds.high == pytest.approx(own[1], abs=0.015)


def test_seeds_are_averaged_and_widen_the_interval() -> None:
    rng = np.random.default_rng(2)
    truth = (rng.random(200) < 0.3).astype(np.int64)
    said = np.stack([np.where(rng.random(200) < sure, truth, 1 - truth) for sure in (0.6, 0.9)])
    groups = np.arange(200)
    both = class_scores(said, truth, 2, Bootstrap(groups, 2)).balanced_accuracy
    alone = [class_scores(one[None], truth, 2, Bootstrap(groups, 1)).balanced_accuracy for one in said]
    assert both.value == pytest.approx(np.mean([one.value for one in alone]))
    assert both.high - both.low > max(one.high - one.low for one in alone)


def test_with_even_classes_balanced_accuracy_is_accuracy() -> None:
    truth = np.arange(100) % 2
    said = np.where(np.arange(100) % 10 < 7, truth, 1 - truth)
    found = class_scores(said[None], truth, 2, Bootstrap(np.arange(100), 1))
    assert found.balanced_accuracy.value == pytest.approx((said == truth).mean())
