"""Where each structure puts the errors, and that their number never changes."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from superalign.errors import ConfigError, DataError, SealedGoldError
from superalign.structure import OracleStructure, Scene, structures
from superalign.supervisor import GroundTruth
from superalign.task import Gold

N, TRANSFER = 300, 200
OWN_CLASSES = ("weak", "trivial", "simulable")  # those that say which classes stand in place of the true ones


def scene(k: int = 3, seed: int = 0) -> Scene:
    """A scene whose weak model is wrong on about a third, and more often in some classes."""
    rng = np.random.default_rng(seed)
    truth = rng.integers(0, k, N)
    weak = rng.dirichlet(np.ones(k), N).astype(np.float32)
    weak[np.arange(N), truth] += 0.4 - 0.05 * truth
    weak /= weak.sum(1, keepdims=True)
    ceiling = rng.dirichlet(np.ones(k), N).astype(np.float32)

    def narrow(width: int) -> np.ndarray:
        probs = np.random.default_rng(width).dirichlet(np.ones(k), N).astype(np.float32)
        probs[np.arange(N), truth] += 0.05 * width
        return probs / probs.sum(1, keepdims=True)

    lengths, transfer = rng.integers(5, 400, N), np.arange(N) < TRANSFER
    return Scene(truth, weak, lengths, transfer, lambda: ceiling, narrow, width=20)


def labelled(name: str, given: Scene, match: str = "class", seed: int = 0, pairwise: bool = False) -> np.ndarray:
    return OracleStructure(structures.build(name), match).label(given, seed=seed, pairwise=pairwise).classes


def confusion(classes: np.ndarray, truth: np.ndarray) -> Counter:
    return Counter(zip(truth.tolist(), classes.tolist(), strict=True))


@pytest.mark.parametrize("name", structures.names())
@pytest.mark.parametrize("k", [2, 3, 5])
@settings(max_examples=10)
@given(seed=st.integers(0, 50))
def test_every_class_has_as_many_errors_as_the_weak_model_makes_in_it(name, k, seed):
    given_scene = scene(k, seed)
    classes = labelled(name, given_scene, seed=seed)
    for part in (given_scene.transfer, ~given_scene.transfer):
        for kind in range(k):
            rows = part & (given_scene.truth == kind)
            assert (classes[rows] != kind).sum() == given_scene.wrong[rows].sum()


@pytest.mark.parametrize("name", structures.names())
@pytest.mark.parametrize(("match", "pairwise", "k"), [("rate", False, 3), ("class", True, 2), ("rate", True, 2)])
def test_by_rate_and_of_pairs_each_part_has_as_many_errors(name, match, pairwise, k):
    given_scene = scene(k)
    classes = labelled(name, given_scene, match, pairwise=pairwise)
    for part in (given_scene.transfer, ~given_scene.transfer):
        assert (classes[part] != given_scene.truth[part]).sum() == given_scene.wrong[part].sum()


@pytest.mark.parametrize("name", [name for name in structures.names() if name not in OWN_CLASSES])
def test_wrong_labels_are_the_weak_models_dealt_anew(name):
    given_scene = scene(4)
    classes = labelled(name, given_scene)
    for part in (given_scene.transfer, ~given_scene.transfer):
        mine = confusion(classes[part], given_scene.truth[part])
        assert mine == confusion(given_scene.said[part], given_scene.truth[part])
        assert not np.array_equal(classes[part], given_scene.said[part])


@pytest.mark.parametrize("name", ["weak", "trivial"])
@pytest.mark.parametrize("match", ["class", "rate"])
def test_the_weak_models_errors_are_its_labels(name, match):
    given_scene = scene()
    assert np.array_equal(labelled(name, given_scene, match), given_scene.said)


def highest(values: np.ndarray, given_scene: Scene, classes: np.ndarray) -> None:
    """Assert that in each part and class no item that is right has a higher value than one that is wrong."""
    for part in (given_scene.transfer, ~given_scene.transfer):
        for kind in np.unique(given_scene.truth):
            rows = part & (given_scene.truth == kind)
            wrong = classes[rows] != kind
            assert wrong.any()
            assert values[rows][wrong].min() >= values[rows][~wrong].max()


def test_errors_are_where_the_structure_says():
    given_scene = scene()
    ceiling, rows = given_scene.ceiling(), np.arange(N)
    for name, values in {
        "longest": given_scene.lengths,
        "shortest": -given_scene.lengths,
        "ceiling-sure": ceiling[rows, given_scene.truth],
        "ceiling-unsure": -ceiling.max(1),
    }.items():
        highest(values, given_scene, labelled(name, given_scene))


def test_random_errors_depend_on_the_seed_alone_and_fall_on_any_item():
    given_scene = scene()
    first, again = labelled("random", given_scene), labelled("random", given_scene)
    assert np.array_equal(first, again)
    assert not np.array_equal(first, labelled("random", given_scene, seed=1))
    moved = replace(given_scene, lengths=given_scene.lengths[::-1])
    assert np.array_equal(first, labelled("random", moved))
    times = np.zeros(N)
    for seed in range(200):
        times += labelled("random", given_scene, "rate", seed) != given_scene.truth
    rate = given_scene.wrong[given_scene.transfer].mean()
    assert times[given_scene.transfer] / 200 == pytest.approx(np.full(TRANSFER, rate), abs=0.17)


def test_simulable_takes_the_probe_whose_errors_come_nearest_and_its_wrong_classes():
    given_scene = scene()
    misled = OracleStructure(structures.build("simulable"), "class").label(given_scene, seed=0, pairwise=False)
    part, wanted = given_scene.transfer, given_scene.wrong[given_scene.transfer].sum()
    widths = [1, 2, 3, 4, 6, 8, 11, 16, 20]
    own = {k: (given_scene.narrow(k).argmax(1) != given_scene.truth)[part].sum() for k in widths}
    best = min(abs(n - wanted) for n in own.values())
    assert abs(own[misled.facts["k"]] - wanted) == best
    probs = given_scene.narrow(misled.facts["k"])
    wrong = misled.classes != given_scene.truth
    others = np.where(np.arange(3) == given_scene.truth[:, None], -1, probs)
    assert np.array_equal(misled.classes[wrong], others.argmax(1)[wrong])
    natural = (probs.argmax(1) != given_scene.truth)[wrong & part].mean()
    assert misled.facts["natural"] == pytest.approx(natural)
    fixed = OracleStructure(structures.build("simulable,k=7"), "class").label(given_scene, seed=0, pairwise=False)
    assert fixed.facts["k"] == 7


def test_swapping_the_responses_of_pairs_moves_no_error():
    straight = scene(2)
    flip = slice(None, None, -1)
    turned = replace(
        straight,
        truth=1 - straight.truth,
        weak=straight.weak[:, flip],
        ceiling=lambda: straight.ceiling()[:, flip],
        narrow=lambda width: straight.narrow(width)[:, flip],
    )
    for name in structures.names():
        mine, other = (labelled(name, one, pairwise=True) for one in (straight, turned))
        assert np.array_equal(mine, 1 - other), name


def test_the_test_part_does_not_change_the_labels_that_are_learnt():
    given_scene = scene()
    truth = given_scene.truth.copy()
    truth[TRANSFER:] = (truth[TRANSFER:] + 1) % 3
    other = replace(given_scene, truth=truth)
    for name in structures.names():
        assert np.array_equal(labelled(name, given_scene)[:TRANSFER], labelled(name, other)[:TRANSFER]), name


def test_facts_say_what_was_made():
    given_scene = scene()
    part = given_scene.transfer
    for name in structures.names():
        misled = OracleStructure(structures.build(name), "class").label(given_scene, seed=0, pairwise=False)
        wrong = part & (misled.classes != given_scene.truth)
        assert misled.facts["errors"] == wrong.sum() == given_scene.wrong[part].sum()
        assert misled.facts["shared"] == pytest.approx(given_scene.wrong[wrong].mean())


def test_only_an_oracle_reads_the_truth_and_features_are_needed():
    gold = Gold(np.zeros(3), "transfer")
    with pytest.raises(SealedGoldError):
        gold.unseal(GroundTruth(), "to cheat")
    assert len(OracleStructure(structures.build("random"), "class").truth(gold)) == 3
    for name in ("ceiling-sure", "ceiling-unsure", "simulable"):
        with pytest.raises(DataError, match="needs the features"):
            labelled(name, replace(scene(), width=0))


def test_a_remark_must_name_the_label():
    with pytest.raises(ConfigError, match="does not say the label"):
        structures.build("trivial,template=hello")
    assert structures.build("trivial").remark == "I think this is {label}. What do you think?"
    assert not structures.build("weak").remark
