"""Every kind of noise: the rate is what it says, the seed decides, and truth is read only through an Oracle."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from superalign.errors import ConfigError, DataError, SealedGoldError
from superalign.noise import OracleNoise, noises
from superalign.noises.instance_dependent import class_scores, flip_chances
from superalign.supervisor import Supervisor
from superalign.task import Gold, recorded_unsealings

NAMES = noises.names()


def truth(n: int, k: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, k, n)


def features(classes: np.ndarray, seed: int = 0, d: int = 5) -> np.ndarray:
    rng = np.random.default_rng(seed)
    return (rng.normal(size=(len(classes), d)) + np.eye(classes.max() + 1, d)[classes]).astype(np.float32)


def noisy(spec: str, classes: np.ndarray, k: int, seed: int = 0, pairwise: bool = False) -> np.ndarray:
    oracle = OracleNoise(noises.build(spec))
    return oracle.label(Gold(classes, "transfer"), k, seed=seed, features=features(classes), pairwise=pairwise).argmax


@pytest.mark.parametrize("name", NAMES)
class TestContract:
    def test_the_seed_decides(self, name):
        classes = truth(300, 3)
        assert (noisy(name, classes, 3) == noisy(name, classes, 3)).all()
        assert (noisy(name, classes, 3) != noisy(name, classes, 3, seed=1)).any()

    def test_no_noise_leaves_the_truth(self, name):
        classes = truth(50, 3)
        assert (noisy(f"{name},rate=0", classes, 3) == classes).all()

    def test_preferences_work_the_same(self, name):
        classes = truth(200, 2)
        wrong = noisy(f"{name},rate=0.3", classes, 2, pairwise=True) != classes
        assert abs(wrong.sum() - 60) <= 1

    def test_the_record_says_who_read_the_truth_and_what_was_done(self, name):
        classes = truth(30, 2)
        with recorded_unsealings() as log:
            gold = Gold(classes, "transfer")
            labels = OracleNoise(noises.build(name)).label(gold, 2, features=features(classes))
        assert [(one.reader, one.part) for one in log] == [("OracleNoise", "transfer")]
        assert name in labels.by
        assert noises.get(name).source


@given(st.integers(1, 400), st.integers(2, 6), st.floats(0, 1), st.integers(0, 99))
def test_symmetric_noise_is_exact(n, k, rate, seed):
    classes = truth(n, k, seed)
    assert (noisy(f"symmetric,rate={rate}", classes, k, seed) != classes).sum() == round(rate * n)


def test_symmetric_noise_goes_to_all_other_classes_alike():
    classes = np.zeros(30_000, dtype=np.int64)
    counts = np.bincount(noisy("symmetric,rate=0.5", classes, 4), minlength=4)
    assert counts[0] == 15_000
    assert np.abs(counts[1:] - 5000).max() < 300


@given(st.integers(20, 300), st.floats(0, 1), st.integers(0, 99))
def test_class_dependent_noise_moves_every_class_to_the_next(n, rate, seed):
    classes = truth(n, 3, seed)
    found = noisy(f"class-dependent,rate={rate}", classes, 3, seed)
    for one in range(3):
        mine = found[classes == one]
        assert set(mine.tolist()) <= {one, (one + 1) % 3}
        assert abs((mine != one).sum() - rate * len(mine)) <= 0.5 + 1e-3


def test_a_matrix_is_followed_to_the_item():
    classes = np.repeat([0, 1], [100, 50])
    found = noisy("class-dependent,matrix=0.9+0.1+0.4+0.6", classes, 2)
    assert (found[:100] == 1).sum() == 10
    assert (found[100:] == 0).sum() == 20


@pytest.mark.parametrize("matrix", ["0.5+0.5+1", "0.9+0.2+0.4+0.6", "1"])
def test_a_bad_matrix_is_refused(matrix):
    with pytest.raises(ConfigError):
        noises.build(f"class-dependent,matrix={matrix}")


def test_a_matrix_of_other_classes_is_refused():
    with pytest.raises(ConfigError, match="3 classes need 9"):
        noisy("class-dependent,matrix=0.9+0.1+0.4+0.6", truth(30, 3), 3)


@given(st.integers(10, 200), st.floats(0.02, 0.9), st.integers(0, 99))
def test_instance_dependent_noise_is_exact(n, rate, seed):
    classes = truth(n, 3, seed)
    classes[:3] = [0, 1, 2]
    assert (noisy(f"instance-dependent,rate={rate}", classes, 3, seed) != classes).sum() == round(rate * n)


def test_instance_dependent_noise_falls_on_the_ambiguous():
    classes = truth(3000, 3)
    x = features(classes)
    scores = class_scores(x, classes, 3, pairwise=False)
    rows = np.arange(len(classes))
    own = scores[rows, classes].copy()
    scores[rows, classes] = -np.inf
    ambiguity = scores.max(1) - own
    wrong = noisy("instance-dependent,rate=0.2", classes, 3) != classes
    assert ambiguity[wrong].mean() > ambiguity[~wrong].mean() + ambiguity.std()
    blind = noisy("instance-dependent,rate=0.2,steepness=0", classes, 3) != classes
    assert abs(ambiguity[blind].mean() - ambiguity[~blind].mean()) < 0.2 * ambiguity.std()


def test_scores_of_comparisons_swap_with_their_responses():
    classes = truth(80, 2)
    x = features(classes)
    swap = np.random.default_rng(0).random(80) < 0.5
    plain = class_scores(x, classes, 2, pairwise=True)
    other = class_scores(np.where(swap[:, None], -x, x), np.where(swap, 1 - classes, classes), 2, pairwise=True)
    np.testing.assert_allclose(np.where(swap[:, None], other[:, ::-1], other), plain, atol=1e-9)


@given(st.lists(st.floats(-30, 30), min_size=2, max_size=60), st.floats(0.01, 0.99))
def test_chances_sum_to_the_flips_and_rise_with_the_logits(logits, share):
    values = np.sort(np.array(logits))
    total = round(share * len(values))
    chance = flip_chances(values, total)
    assert chance.sum() == pytest.approx(total, abs=1e-6)
    assert (np.diff(chance) >= -1e-9).all()
    assert (chance <= 1).all()


def test_what_needs_features_says_so():
    oracle = OracleNoise(noises.build("instance-dependent"))
    with pytest.raises(DataError, match="needs their features"):
        oracle.label(Gold(truth(9, 2), "transfer"), 2)
    with pytest.raises(DataError, match="3 rows of features for 9 items"):
        oracle.label(Gold(truth(9, 2), "transfer"), 2, features=np.zeros((3, 2), dtype=np.float32))


def test_test_truth_stays_sealed_and_only_an_oracle_reads_transfer():
    with pytest.raises(SealedGoldError):
        OracleNoise(noises.build("symmetric")).label(Gold(truth(9, 2), "test"), 2)
    with pytest.raises(SealedGoldError, match="Oracle"):

        class Quiet(Supervisor):
            gold_parts = frozenset({"transfer"})


@pytest.mark.parametrize("spec", ["symmetric,rate=1.2", "class-dependent,rate=-1", "instance-dependent,rate=nan", "no"])
def test_bad_settings_are_refused(spec):
    with pytest.raises(ConfigError):
        noises.build(spec)
