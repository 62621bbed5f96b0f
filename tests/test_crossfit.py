"""Out-of-sample probabilities: nobody is judged by a probe that saw its group, and the folds are what they say."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from superalign.crossfit import cross_fit, deal
from superalign.errors import DataError
from superalign.fit import Lesson
from superalign.fits.probe import Probe, solve
from superalign.label import Labels
from superalign.objective import objectives

PROBE = Probe(l2=(0.1,), steps=20)


def data(n: int = 120, k: int = 3, seed: int = 0) -> tuple[np.ndarray, Labels, np.ndarray]:
    rng = np.random.default_rng(seed)
    classes = rng.integers(0, k, n)
    x = (rng.normal(size=(n, 6)) + 2 * np.eye(k, 6)[classes]).astype(np.float32)
    return x, Labels.hard(classes, k, "test"), np.array([f"g{i // 2}" for i in range(n)])


@given(st.integers(10, 60), st.integers(2, 5), st.integers(0, 1000))
def test_folds_hold_whole_groups_and_as_many_of_them(groups, folds, seed):
    names = np.repeat([f"g{i}" for i in range(groups)], 3)
    fold = deal(names, folds, seed)
    assert all(len(set(fold[names == name])) == 1 for name in set(names))
    sizes = np.bincount(fold, minlength=folds)
    assert sizes.max() - sizes.min() <= 3
    assert (fold == deal(names, folds, seed)).all()


def test_is_the_probe_of_the_other_folds():
    x, labels, groups = data()
    said = cross_fit(x, labels, groups, folds=4, seed=3, probe=PROBE)
    fold = deal(groups, 4, 3)
    for number in range(4):
        rows = np.flatnonzero(fold != number)
        taught = Labels(labels.probs[rows], labels.weight[rows], "t")
        lesson = Lesson(objectives.build("naive"), rows, taught, 3)
        (head,) = solve(PROBE, x, groups, [lesson], pairwise=False)
        np.testing.assert_allclose(said[fold == number], head.predict(x[fold == number]), atol=1e-5)


def test_the_label_of_an_item_has_no_say_in_its_own_probabilities():
    x, labels, groups = data()
    probs = labels.probs.copy()
    probs[groups == "g7"] = probs[groups == "g7"][:, ::-1]
    changed = Labels(probs, labels.weight, "t")
    before, after = (cross_fit(x, given, groups, probe=PROBE) for given in (labels, changed))
    np.testing.assert_array_equal(before[groups == "g7"], after[groups == "g7"])
    assert not np.allclose(before, after)


def test_items_without_weight_are_predicted_and_teach_nothing():
    x, labels, groups = data()
    weight = np.where(np.arange(len(x)) < 20, 0, 1).astype(np.float32)
    probs = labels.probs.copy()
    probs[:20] = probs[:20, ::-1]
    one, two = (Labels(p, weight, "t") for p in (labels.probs, probs))
    np.testing.assert_allclose(
        cross_fit(x, one, groups, probe=PROBE), cross_fit(x, two, groups, probe=PROBE), atol=1e-6
    )


def test_swapping_the_responses_of_comparisons_swaps_their_probabilities():
    x, labels, groups = data(k=2)
    swap = np.random.default_rng(1).random(len(x)) < 0.5
    turned = Labels(np.where(swap[:, None], labels.probs[:, ::-1], labels.probs), labels.weight, "t")
    flipped = np.where(swap[:, None], -x, x)
    plain = cross_fit(x, labels, groups, pairwise=True, probe=PROBE)
    other = cross_fit(flipped, turned, groups, pairwise=True, probe=PROBE)
    np.testing.assert_allclose(np.where(swap[:, None], other[:, ::-1], other), plain, atol=1e-5)


def test_too_little_is_refused():
    x, labels, groups = data()
    few = slice(0, 8)
    with pytest.raises(DataError, match="only 4 groups"):
        cross_fit(x[few], Labels(labels.probs[few], labels.weight[few], "t"), groups[few])
    with pytest.raises(DataError, match="not of the same items"):
        cross_fit(x[:10], labels, groups)
    with pytest.raises(DataError, match="at least 2"):
        deal(groups, 1, 0)
    with pytest.raises(DataError, match="2 classes, not 3"):
        cross_fit(x, labels, groups, pairwise=True)
    weight = np.where(deal(groups, 5, 0) == 2, 1, 0).astype(np.float32)
    with pytest.raises(DataError, match="all items but those of one fold"):
        cross_fit(x, Labels(labels.probs, weight, "t"), groups)
