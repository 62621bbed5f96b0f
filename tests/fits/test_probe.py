"""The batched probe against scikit-learn, and the properties a probe must have."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression

from superalign.errors import DataError
from superalign.fit import Lesson
from superalign.fits.probe import Probe, solve
from superalign.label import Labels
from superalign.objective import objectives

NAIVE = objectives.build("naive")


def data(seed: int = 0, n: int = 300, d: int = 12, k: int = 2) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    x = (rng.normal(size=(n, d)) * rng.uniform(0.1, 5, d) + rng.normal(size=d)).astype(np.float32)
    truth = (x / x.std(0) @ rng.normal(size=(d, k)) + rng.normal(size=(n, k))).argmax(1)
    return x, truth, np.array([f"g{i}" for i in range(n)])


def lesson(truth: np.ndarray, rows: np.ndarray | None = None, k: int = 2, seed: int = 0, objective=NAIVE) -> Lesson:
    rows = np.arange(len(truth)) if rows is None else rows
    return Lesson(objective, rows, Labels.hard(truth[rows], k, "test"), seed)


@pytest.mark.parametrize("k", [2, 4])
def test_equals_scikit_learns_logistic_regression(k):
    x, truth, groups = data(k=k)
    l2 = 0.1
    (head,) = solve(Probe(l2=(l2,), steps=400), x, groups, [lesson(truth, k=k)], pairwise=False)
    standard = (x - x.mean(0)) / x.std(0)
    peer = LogisticRegression(C=1 / (len(x) * l2), tol=1e-8, max_iter=2000).fit(standard, truth)
    np.testing.assert_allclose(head.predict(x), peer.predict_proba(standard), atol=2e-3)


def test_soft_labels_and_weights_are_honoured():
    x, truth, groups = data()
    probe = Probe(l2=(0.1,))
    weight = np.ones(len(x), dtype=np.float32)
    weight[:100] = 0
    labels = Labels.hard(truth, 2, "test")
    flipped = labels.probs.copy()
    flipped[:100] = flipped[:100, ::-1]
    (wrong,) = solve(probe, x, groups, [Lesson(NAIVE, np.arange(300), Labels(flipped, weight, "t"), 0)], pairwise=False)
    (right,) = solve(
        probe, x, groups, [Lesson(NAIVE, np.arange(300), Labels(labels.probs, weight, "t"), 0)], pairwise=False
    )
    np.testing.assert_allclose(wrong.predict(x), right.predict(x), atol=1e-6)


def test_lessons_solved_together_are_as_if_solved_alone():
    x, truth, groups = data()
    lessons = [
        lesson(truth, np.arange(0, 200), seed=1),
        lesson(1 - truth, np.arange(0, 200), seed=1),
        lesson(truth, np.arange(50, 300), seed=2, objective=objectives.build("logconf")),
    ]
    probe = Probe()
    together = solve(probe, x, groups, lessons, pairwise=False)
    for one, head in zip(lessons, together, strict=True):
        (alone,) = solve(probe, x, groups, [one], pairwise=False)
        assert alone.facts == head.facts
        np.testing.assert_allclose(alone.predict(x), head.predict(x), atol=1e-4)


def test_swapping_the_responses_of_a_comparison_swaps_the_probabilities():
    x, truth, groups = data()
    (head,) = solve(Probe(), x, groups, [lesson(truth)], pairwise=True)
    np.testing.assert_allclose(head.predict(-x), head.predict(x)[:, ::-1], atol=1e-6)


def test_pairwise_is_bradley_terry_on_feature_differences():
    x, truth, groups = data()
    l2 = 0.05
    (head,) = solve(Probe(l2=(l2,), steps=400), x, groups, [lesson(truth)], pairwise=True)
    scaled = x / np.sqrt((x**2).mean(0))
    peer = LogisticRegression(C=1 / (len(x) * l2), fit_intercept=False, tol=1e-8, max_iter=2000).fit(scaled, truth)
    np.testing.assert_allclose(head.predict(x), peer.predict_proba(scaled), atol=2e-3)


def test_regularisation_is_chosen_on_held_out_labels_of_other_groups():
    rng = np.random.default_rng(0)
    x = np.repeat(rng.normal(size=(60, 200)), 2, axis=0).astype(np.float32)  # two copies a group, labels are noise
    truth = np.repeat(rng.integers(0, 2, 60), 2)
    groups = np.repeat([f"g{i}" for i in range(60)], 2)
    (head,) = solve(Probe(l2=(0.001, 10.0)), x, groups, [lesson(truth)], pairwise=False)
    assert head.facts["l2"] == 10.0  # were a copy held out, the weak penalty would look perfect


def test_constant_and_huge_columns_do_no_harm():
    x, truth, groups = data()
    (plain,) = solve(Probe(), x, groups, [lesson(truth)], pairwise=False)
    padded = np.hstack([x, np.full((len(x), 1), 1e4, np.float32), np.zeros((len(x), 1), np.float32)])
    (head,) = solve(Probe(), padded, groups, [lesson(truth)], pairwise=False)
    np.testing.assert_allclose(head.predict(padded), plain.predict(x), atol=1e-3)


def test_nan_features_are_an_error_and_not_a_score():
    x, truth, groups = data()
    x[3, 2] = np.nan
    with pytest.raises(DataError, match="NaN"):
        solve(Probe(l2=(0.1,)), x, groups, [lesson(truth)], pairwise=False)


def test_too_few_groups_are_refused():
    x, truth, _ = data(n=20)
    with pytest.raises(DataError, match="3 groups"):
        solve(Probe(), x, np.array(["a", "b", "c", "c"] * 5), [lesson(truth)], pairwise=False)
