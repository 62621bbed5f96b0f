"""Every filter: the contract, that it finds known noise, and that its rule is what its source says."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from superalign.errors import ConfigError, DataError
from superalign.estimation import confident_joint
from superalign.filter import Evidence, compare, filters, one_hot, worst
from superalign.filters._mixture import clean_chance
from superalign.filters.topofilter import largest_component
from superalign.label import Labels
from superalign.neighbours import nearest, standardised, votes

NAMES = filters.names()
RELABEL = ["dividemix", "p-ik", "student", "knn,action=relabel", "logistic,action=relabel", "posterior,action=relabel"]
DROP = [name for name in NAMES if name not in RELABEL]


def evidence(n: int = 240, k: int = 3, rate: float = 0.15, seed: int = 0, pairwise: bool = False):
    """Well-separated items of which a known share is labelled wrongly; returns Evidence and which are wrong."""
    rng = np.random.default_rng(seed)
    true = rng.integers(0, k, n)
    x = rng.normal(size=(n, 8)).astype(np.float32)
    if pairwise:
        x[:, 0] += np.where(true == 1, 2.5, -2.5)
    else:
        x[:, :k] += 4 * np.eye(k)[true]
    wrong = np.zeros(n, dtype=bool)
    wrong[rng.permutation(n)[: round(rate * n)]] = True
    labels = Labels.hard(np.where(wrong, (true + 1) % k, true), k, "someone")
    return Evidence(x, labels, np.array([f"g{i}" for i in range(n)]), seed, pairwise), wrong, true


@pytest.fixture(scope="module")
def points():
    return evidence()


@pytest.fixture(scope="module")
def pairs():
    return evidence(k=2, pairwise=True)


@pytest.mark.parametrize("spec", [*NAMES, *RELABEL[3:], "confident,rule=noise-rate", "small-loss,share=0.15"])
class TestContract:
    def test_labels_stay_labels_and_say_what_was_done(self, spec, points):
        given_ = points[0]
        done = filters.build(spec).judge(given_)
        assert done.probs.shape == given_.labels.probs.shape
        assert done.by == f"someone | {filters.build(spec)}"
        assert set(np.unique(done.weight)) <= {0.0, 1.0}
        facts = compare(spec, given_.labels, done)
        assert (facts.dropped > 0) != (facts.softened > 0)
        assert facts.n == 240
        assert filters.build(spec).source

    def test_calling_it_is_judging_the_evidence(self, spec, points):
        given_ = points[0]
        called = filters.build(spec)(given_.features, given_.labels, given_.groups, given_.seed)
        np.testing.assert_allclose(called.probs, filters.build(spec).judge(given_).probs, atol=1e-6)
        np.testing.assert_array_equal(called.weight, filters.build(spec).judge(given_).weight)

    def test_it_makes_the_labels_better(self, spec, points, pairs):
        for given_, wrong, true in (points, pairs):
            done = filters.build(spec).judge(given_)
            kept = done.weight > 0
            assert (done.argmax == true)[kept].mean() > (~wrong).mean() + 0.04
            assert kept.mean() > 0.6

    def test_swapping_the_responses_of_comparisons_changes_nothing(self, spec, pairs):
        given_ = pairs[0]
        swap = np.random.default_rng(5).random(len(given_.labels)) < 0.5
        turned = np.where(swap[:, None], given_.labels.probs[:, ::-1], given_.labels.probs)
        x = np.where(swap[:, None], -given_.features, given_.features)
        other = filters.build(spec).judge(
            Evidence(x, Labels(turned, given_.labels.weight, "t"), given_.groups, given_.seed, True)
        )
        plain = filters.build(spec).judge(given_)
        assert (other.weight == plain.weight).mean() > 0.99  # rounding may turn a tie
        back = np.where(swap[:, None], other.probs[:, ::-1], other.probs)
        assert np.isclose(back, plain.probs, atol=1e-3).all(1).mean() > 0.99

    def test_items_without_weight_count_as_absent(self, spec, points):
        given_ = points[0]
        weight = given_.labels.weight.copy()
        weight[:40] = 0
        probs = given_.labels.probs.copy()
        one = Labels(probs, weight, "t")
        probs = probs.copy()
        probs[:40] = np.roll(probs[:40], 1, axis=1)
        done = [
            filters.build(spec).judge(Evidence(given_.features, labels, given_.groups))
            for labels in (one, Labels(probs, weight, "t"))
        ]
        assert not done[0].weight[:40].any()
        np.testing.assert_array_equal(done[0].weight, done[1].weight)
        np.testing.assert_allclose(done[0].probs[40:], done[1].probs[40:], atol=1e-5)


@pytest.mark.parametrize("spec", ["agreement", "posterior", "confident,rule=noise-rate", "topofilter"])
def test_wrong_labels_are_found_where_classes_are_far_apart(spec, points):
    given_, wrong, _ = points
    called = filters.build(spec).judge(given_).weight == 0
    assert (called & wrong).sum() / wrong.sum() > 0.8
    assert (called & wrong).sum() / called.sum() > 0.8


def test_agreement_keeps_what_the_probe_also_says(points):
    given_ = points[0]
    kept = filters.build("agreement").judge(given_).weight > 0
    assert [bool(k) for k in kept] == [
        int(np.argmax(p)) == int(y) for p, y in zip(given_.probs, given_.labels.argmax, strict=True)
    ]


def test_confident_is_the_off_diagonal_of_the_joint(points):
    given_ = points[0]
    classes, counts = given_.labels.argmax, confident_joint(given_.labels.argmax, given_.probs, 3).counts
    dropped = filters.build("confident").judge(given_).weight == 0
    np.testing.assert_array_equal(np.bincount(classes[dropped], minlength=3), counts.sum(1) - np.diag(counts))


@pytest.mark.parametrize(
    ("rule", "peer"), [("off-diagonal", "confident_learning"), ("noise-rate", "prune_by_noise_rate")]
)
def test_confident_is_cleanlabs(rule, peer, points):
    cleanlab = pytest.importorskip("cleanlab.filter")
    given_ = points[0]
    ours = filters.build(f"confident,rule={rule}").judge(given_).weight == 0
    theirs = cleanlab.find_label_issues(given_.labels.argmax, given_.probs, filter_by=peer, n_jobs=1)
    assert (ours == theirs).mean() > 0.98


@pytest.mark.parametrize("share", [0.05, 0.2, 0.5])
def test_a_share_is_a_share(points, share):
    for name in ("knn", "logistic", "small-loss"):
        done = filters.build(f"{name},share={share}").judge(points[0])
        assert (done.weight == 0).sum() == round(share * 240)


def test_knn_drops_those_whose_neighbours_vote_least_for_them(points):
    given_ = points[0]
    found = nearest(standardised(given_.features), 24, groups=given_.groups)
    vote = votes(found, given_.labels.probs)[np.arange(240), given_.labels.argmax]
    kept = filters.build("knn,k=24").judge(given_).weight > 0
    assert vote[kept].min() >= vote[~kept].max()


def test_the_largest_component_is_the_larger_of_two_heaps():
    rng = np.random.default_rng(0)
    heaps = np.concatenate([rng.normal(size=(40, 3)) * 0.05 + [3, 0, 0], rng.normal(size=(12, 3)) * 0.05 - [3, 0, 0]])
    rows = (heaps / np.linalg.norm(heaps, axis=1, keepdims=True)).astype(np.float32)
    kept = largest_component(rows, 8)
    assert kept.max() < 40
    assert len(kept) > 30


def test_dividemix_is_the_sharpened_mixture(points):
    given_ = points[0]
    w = clean_chance(-np.log(given_.self_confidence))
    done = filters.build("dividemix").judge(given_)
    for i in range(0, 240, 17):
        target = w[i] * given_.labels.probs[i] + (1 - w[i]) * given_.probs[i]
        np.testing.assert_allclose(done.probs[i], target**2 / (target**2).sum(), atol=1e-4)


def test_p_ik_takes_its_own_label_where_it_is_sure_and_smooths_elsewhere(points):
    given_ = points[0]
    done = filters.build("p-ik,threshold=0.9,k=5").judge(given_)
    sure = given_.probs.max(1) >= 0.9
    np.testing.assert_array_equal(done.probs[sure], one_hot(given_.probs.argmax(1), 3)[sure])
    around = votes(nearest(standardised(given_.features), 5, groups=given_.groups), given_.labels.probs)
    np.testing.assert_allclose(done.probs[~sure], 0.5 * given_.labels.probs[~sure] + 0.5 * around[~sure], atol=1e-5)


def test_a_student_of_one_round_is_the_out_of_sample_prediction(points):
    np.testing.assert_allclose(filters.build("student,rounds=1").judge(points[0]).probs, points[0].probs)


@settings(max_examples=30)
@given(st.integers(0, 1000), st.floats(0.05, 0.4))
def test_the_mixture_tells_small_from_large_losses(seed, share):
    rng = np.random.default_rng(seed)
    large = rng.random(200) < share
    large[:3] = True
    losses = np.where(large, rng.normal(3, 0.3, 200), rng.normal(0.3, 0.1, 200))
    chance = clean_chance(losses)
    assert ((chance < 0.5) == large).mean() > 0.97
    assert chance[losses.argmin()] >= 0.5
    assert ((chance >= 0) & (chance <= 1)).all()


def test_equal_losses_are_all_clean():
    assert (clean_chance(np.full(9, 0.7)) == 1).all()


@given(st.lists(st.floats(0, 1), min_size=2, max_size=50), st.floats(0.01, 0.99))
def test_the_worst_are_the_largest(badness, share):
    values = np.array(badness)
    bad = worst(values, share, np.ones(len(values), dtype=bool))
    assert bad.sum() == round(share * len(values))
    if bad.any() and not bad.all():
        assert values[bad].min() >= values[~bad].max()


def test_bad_input_is_refused(points):
    given_ = points[0]
    with pytest.raises(DataError, match="not of the same items"):
        Evidence(given_.features[:9], given_.labels, given_.groups)
    with pytest.raises(DataError, match="2 classes, not 3"):
        Evidence(given_.features, given_.labels, given_.groups, pairwise=True)
    with pytest.raises(DataError, match="NaN"):
        Evidence(np.full_like(given_.features, np.nan), given_.labels, given_.groups)
    few = Labels.hard(given_.labels.argmax[:4], 3, "t")
    with pytest.raises(DataError, match="groups"):
        filters.build("agreement")(given_.features[:4], few, given_.groups[:4])
    with pytest.raises(ConfigError, match="unknown filter"):
        filters.build("agrement")
    with pytest.raises(DataError, match="not of the same items"):
        compare("x", given_.labels, few)
