"""The confident joint against plain loops and cleanlab; the estimate against known noise, made up and in real text."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from superalign.crossfit import cross_fit
from superalign.errors import DataError
from superalign.estimation import confident_joint, estimate, posterior
from superalign.label import Labels
from superalign.noise import OracleNoise, noises
from superalign.task import Gold, tasks


def said(seed: int, n: int = 60, k: int = 3) -> tuple[np.ndarray, np.ndarray]:
    """Labels and unrelated probabilities."""
    rng = np.random.default_rng(seed)
    return rng.integers(0, k, n), rng.dirichlet(np.ones(k), n)


def channel(rate: float, n: int = 3000, k: int = 3, sure: float = 4.0, seed: int = 0, spread: int = 0):
    """Draw true classes from softmax(sure z), flip them, and give a probe that is too flat by a factor of 2."""
    rng = np.random.default_rng(seed)
    z = sure * rng.normal(size=(n, k))
    q = np.exp(z) / np.exp(z).sum(1, keepdims=True)
    true = np.array([rng.choice(k, p=row) for row in q])
    wrong = rng.random(n) < rate
    shift = np.full(n, spread) if spread else rng.integers(1, k, n)
    given_ = np.where(wrong, (true + shift) % k, true)
    flat = np.sqrt(q) / np.sqrt(q).sum(1, keepdims=True)
    return given_, flat, true


@given(st.integers(0, 500), st.integers(2, 5), st.integers(5, 80))
def test_the_confident_joint_is_what_the_equations_say(seed, k, n):
    labels, probs = said(seed, n, k)
    thresholds = []
    for j in range(k):
        mine = [probs[i][j] for i in range(n) if labels[i] == j]
        thresholds.append(sum(mine) / len(mine) if mine else 1.0)
    counts = np.zeros((k, k))
    for i in range(n):
        allowed = [j for j in range(k) if probs[i][j] >= thresholds[j] - 1e-9]
        if allowed:
            counts[labels[i], max(allowed, key=lambda j: probs[i][j])] += 1
    joint = confident_joint(labels, probs, k)
    np.testing.assert_allclose(joint.thresholds, thresholds, atol=1e-9)
    np.testing.assert_array_equal(joint.counts, counts)
    sizes = np.bincount(labels, minlength=k)
    for i in range(k):
        row = counts[i] / counts[i].sum() if counts[i].sum() else np.eye(k)[i]
        np.testing.assert_allclose(joint.calibrated[i], row * sizes[i] / n, atol=1e-9)
    assert joint.calibrated.sum() == pytest.approx(1)


@pytest.mark.parametrize("k", [2, 4])
def test_the_confident_joint_is_cleanlabs(k):
    count = pytest.importorskip("cleanlab.count")
    given_, probs, _ = channel(0.2, 800, k)
    ours = confident_joint(given_, probs, k)
    np.testing.assert_array_equal(ours.counts, count.compute_confident_joint(given_, probs, calibrate=False))
    np.testing.assert_allclose(ours.calibrated, count.estimate_joint(given_, probs), atol=2e-3)


@pytest.mark.parametrize("rate", [0.0, 0.1, 0.2, 0.3, 0.4])
@pytest.mark.parametrize("k", [2, 5])
def test_the_rate_is_found_when_the_model_of_the_noise_holds(rate, k):
    given_, probs, true = channel(rate, 4000, k)
    actual = (given_ != true).mean()
    found = estimate(Labels.hard(given_, k, "t"), probs)
    assert found.rate.value == pytest.approx(actual, abs=0.03)
    assert found.rate.low - 0.01 <= actual <= found.rate.high + 0.01
    assert abs(found.confident_rate - actual) > abs(found.rate.value - actual) - 0.005


def test_where_wrong_labels_go_is_found():
    given_, probs, true = channel(0.3, 4000, 4, spread=1)
    found = estimate(Labels.hard(given_, 4, "t"), probs)
    assert found.structure == "by class"
    assert found.rate.value == pytest.approx((given_ != true).mean(), abs=0.04)
    matrix = np.array(found.transition)
    assert (matrix.argsort(1)[:, -2] == (np.arange(4) + 1) % 4).all()


@settings(max_examples=15)
@given(st.integers(0, 200), st.integers(2, 4), st.sampled_from(["likelihood", "confident"]))
def test_an_estimate_is_made_of_probabilities(seed, k, method):
    labels, probs = said(seed, 40, k)
    labels[:k] = np.arange(k)
    found = estimate(Labels.hard(labels, k, "t"), probs, method=method, replicates=20)
    assert 0 <= found.rate.low <= found.rate.value <= found.rate.high <= 1
    matrix = np.array(found.transition)
    assert (matrix >= 0).all()
    np.testing.assert_allclose(matrix.sum(1), 1, atol=1e-6)
    assert sum(found.prior) == pytest.approx(1, abs=1e-6)
    assert type(found).model_validate_json(found.model_dump_json()) == found
    np.testing.assert_allclose(posterior(found, labels, probs).sum(1), 1, atol=1e-9)


@settings(max_examples=10)
@given(st.integers(0, 100))
def test_swapping_responses_changes_nothing_of_an_estimate(seed):
    labels, probs = said(seed, 50, 2)
    swap = np.random.default_rng(seed).random(50) < 0.5
    other = estimate(
        Labels.hard(np.where(swap, 1 - labels, labels), 2, "t"),
        np.where(swap[:, None], probs[:, ::-1], probs),
        pairwise=True,
    )
    plain = estimate(Labels.hard(labels, 2, "t"), probs, pairwise=True)
    assert other.rate.value == pytest.approx(plain.rate.value, abs=1e-5)
    assert plain.prior == pytest.approx([0.5, 0.5])
    matrix = np.array(plain.transition)
    np.testing.assert_allclose(matrix, matrix[::-1, ::-1], atol=1e-9)


def test_the_posterior_is_bayes_rule():
    given_, probs, _ = channel(0.2, 300, 3)
    found = estimate(Labels.hard(given_, 3, "t"), probs)
    for row in range(20):
        q = probs[row] ** found.sharpening
        q /= q.sum()
        joint = [q[i] * found.transition[i][given_[row]] for i in range(3)]
        np.testing.assert_allclose(posterior(found, given_, probs)[row], np.array(joint) / sum(joint), atol=1e-9)


def test_a_model_that_knows_nothing_is_called_that():
    labels, probs = said(0, 400, 3)
    assert "next to nothing" in " ".join(estimate(Labels.hard(labels, 3, "t"), probs).notes)
    given_, good, _ = channel(0.1)
    assert not estimate(Labels.hard(given_, 3, "t"), good).notes


def test_items_without_weight_do_not_count():
    given_, probs, _ = channel(0.2, 400)
    weight = np.r_[np.ones(300), np.zeros(100)].astype(np.float32)
    all_of_them = estimate(Labels(Labels.hard(given_, 3, "t").probs, weight, "t"), probs)
    assert all_of_them == estimate(Labels.hard(given_[:300], 3, "t"), probs[:300])
    assert all_of_them.n == 300


def test_bad_input_is_refused():
    labels, probs = said(0)
    hard = Labels.hard(labels, 3, "t")
    with pytest.raises(DataError, match="do not fit"):
        estimate(hard, probs[:10])
    with pytest.raises(DataError, match="do not fit"):
        estimate(hard, np.full_like(probs, np.nan))
    with pytest.raises(DataError, match="too few"):
        estimate(Labels.hard(labels[:9], 3, "t"), probs[:9])
    with pytest.raises(DataError, match="too few"):
        estimate(hard, probs, groups=np.array(["a", "b", "c"] * 20))
    with pytest.raises(DataError, match="one class"):
        estimate(Labels.hard(0 * labels, 3, "t"), probs)
    with pytest.raises(DataError, match="2 classes, not 3"):
        estimate(hard, probs, pairwise=True)


REAL = [("sms_spam/messages.jsonl", 0.045), ("intents/banking77_test.jsonl", 0.04)]


@pytest.mark.model
@pytest.mark.parametrize("rate", [0.1, 0.3])
@pytest.mark.parametrize(("path", "most"), REAL, ids=["sms_spam", "banking77"])
def test_the_rate_is_found_in_real_text(embedded_home: Path, path: str, most: float, rate: float) -> None:
    default = Path(__file__).parents[2] / "shared" / "data"
    folder = Path(os.environ.get("SUPERALIGN_SHARED_DATA", default))
    if not folder.is_dir():
        pytest.skip("the real data sets are not here: set SUPERALIGN_SHARED_DATA to their folder")
    from superalign.bank import item_features
    from superalign.model import models
    from superalign.store import Store

    task, truth = tasks.build(f"file:{folder}/{path},limit=1500").load()
    k, model = len(task.classes), models.build("embedded:wordllama")
    x = item_features(model, task, Store(), lambda **_: None)
    groups = np.array(task.groups())
    labels = OracleNoise(noises.build(f"symmetric,rate={rate}")).label(Gold(truth, "transfer"), k, seed=1)
    found = estimate(labels, cross_fit(x, labels, groups), groups=groups)
    actual = (labels.argmax != truth).mean()
    assert found.rate.value == pytest.approx(actual, abs=most)
    assert abs(found.confident_rate - actual) > abs(found.rate.value - actual)
