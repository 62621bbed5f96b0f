"""What the literature found about where errors are, as regression tests: directions with margins that were measured."""

from __future__ import annotations

import numpy as np
import pytest

from superalign import ErrorLab, run
from superalign.fit import Lesson
from superalign.fits.probe import Head, Probe, solve
from superalign.label import Labels
from superalign.objective import objectives
from superalign.store import Store
from superalign.structure import OracleStructure, Scene, structures

WIDTH, KNOWN, TRANSFER, TEST = 40, 6, 2000, 1000


def taught(features: np.ndarray, classes: np.ndarray) -> Head:
    """A probe that learnt the classes of the first items."""
    rows = np.arange(len(classes))
    lesson = Lesson(objectives.build("naive"), rows, Labels.hard(classes, 2, "test"), 0)
    (head,) = solve(Probe(), features, np.arange(len(features)).astype(str), [lesson], pairwise=False)
    return head


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_a_student_imitates_errors_of_its_own_features_and_outdoes_as_many_random_ones(seed):
    """Burns et al. 2023, simulation difficulty: the weak model is a probe on the first of the student's features.

    Measured on seeds 0 to 5: simulable errors leave a gain over the supervisor of -0.004 to 0.012, random ones one of
    0.14 to 0.21.
    """
    rng = np.random.default_rng(seed)
    n = 2 * TRANSFER + TEST  # supervise, transfer, test
    features = rng.normal(size=(n, WIDTH)).astype(np.float32)
    truth = (features @ rng.normal(size=WIDTH) > 0).astype(np.int64)
    supervise, rest = np.arange(TRANSFER), np.arange(TRANSFER, n)

    def narrow(width: int) -> np.ndarray:
        return taught(features[:, :width], truth[supervise]).predict(features[rest][:, :width])

    lengths = np.zeros(len(rest), dtype=np.int64)
    scene = Scene(
        truth[rest], narrow(KNOWN), lengths, np.arange(len(rest)) < TRANSFER, lambda: narrow(KNOWN), narrow, WIDTH
    )
    gain = {}
    for name in (f"simulable,k={KNOWN}", "random"):
        labels = OracleStructure(structures.build(name), "rate").label(scene, seed=seed, pairwise=False).classes
        head = taught(features[rest], labels[:TRANSFER])
        right = head.predict(features[rest[TRANSFER:]]).argmax(1) == scene.truth[TRANSFER:]
        gain[name] = right.mean() - (labels[TRANSFER:] == scene.truth[TRANSFER:]).mean()
    assert abs(gain[f"simulable,k={KNOWN}"]) < 0.04
    assert gain["random"] > 0.08


@pytest.mark.model
@pytest.mark.slow
def test_on_facts_sure_errors_cost_more_than_random_ones_and_simulable_ones_are_repeated(tmp_path, embedded_home):
    """Measured on seeds 0 to 4 and 600 cities, single seeds: -0.11 to -0.16 of accuracy, +0.28 to +0.41 of errors."""
    asked = ErrorLab(
        weak="embedded:minilm,layer=2",
        strong="embedded:minilm",
        task="facts,cities=600",
        structures=("random", "ceiling-sure", "simulable"),
        methods=("naive",),
        seeds=2,
    )
    result = run(asked, out=tmp_path / "run", store=Store(tmp_path / "store"))
    random, sure, simulable = (result.at(str(one), "naive") for one in asked.structures)
    assert sure.accuracy.value < random.accuracy.value - 0.05
    assert random.agrees_wrong
    assert simulable.agrees_wrong
    assert simulable.agrees_wrong.value > random.agrees_wrong.value + 0.15
