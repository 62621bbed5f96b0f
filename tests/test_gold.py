"""Gold is sealed: only those who may, by name and part, read it, and every reading is recorded."""

from __future__ import annotations

import copy
from multiprocessing.reduction import ForkingPickler

import numpy as np
import pytest

from superalign.errors import DataError, SealedGoldError
from superalign.fits.probe import Probe
from superalign.label import Labels
from superalign.metric import Metric
from superalign.objective import objectives
from superalign.supervisor import GroundTruth, OracleSupervisor, ShuffledSupervisor, Supervisor, WeakSupervisor
from superalign.task import PARTS, Gold, GoldReader, recorded_unsealings

LABELS = np.array([0, 1, 1, 0])


@pytest.mark.parametrize("part", PARTS)
@pytest.mark.parametrize(
    "reader", [Probe(), objectives.build("logconf"), object(), None, WeakSupervisor()], ids=lambda r: type(r).__name__
)
def test_learners_and_others_may_not_read(reader, part):
    if isinstance(reader, Supervisor) and part == "supervise":
        pytest.skip("a supervisor may read the supervise part")
    with recorded_unsealings() as log, pytest.raises(SealedGoldError, match="may not read"):
        Gold(LABELS, part).unseal(reader, "to cheat")
    assert log == []


def test_the_ways_round_the_seal_are_shut():
    gold = Gold(LABELS, "test")
    for attempt in (
        lambda: gold[0],
        lambda: list(gold),
        lambda: np.asarray(gold),
        lambda: ForkingPickler.dumps(gold),  # what would send it to a worker process
        lambda: copy.copy(gold),
        lambda: copy.deepcopy(gold),
    ):
        with pytest.raises(SealedGoldError):
            attempt()
    assert not hasattr(gold, "labels")
    assert "0" not in repr(gold).replace("n=4", "")


@pytest.mark.parametrize(
    ("reader", "parts"),
    [(GroundTruth(), {"supervise"}), (OracleSupervisor(), {"supervise", "transfer"}), (Metric(), set(PARTS))],
    ids=["truth", "oracle", "metric"],
)
def test_those_who_may_read_their_parts_and_no_other(reader, parts):
    for part in PARTS:
        gold = Gold(LABELS, part)
        if part in parts:
            with recorded_unsealings() as log:
                assert gold.unseal(reader, "why").tolist() == LABELS.tolist()
            assert log == [(part, type(reader).__name__, "why", 4)]
        else:
            with pytest.raises(SealedGoldError):
                gold.unseal(reader, "why")


def test_reading_more_than_the_parent_takes_oracle_in_the_name():
    with pytest.raises(SealedGoldError, match="put 'Oracle' into its name"):
        type("SlyFilter", (Supervisor,), {"gold_parts": frozenset({"transfer"})})
    assert issubclass(type("OracleFilter", (Supervisor,), {"gold_parts": frozenset({"transfer"})}), GoldReader)


def test_a_new_kind_of_reader_is_not_let_in_either():
    with pytest.raises(SealedGoldError, match="put 'Oracle' into its name"):
        type("Metric", (GoldReader,), {"gold_parts": frozenset({"test"}), "__module__": "somewhere.else"})


def test_what_is_unsealed_is_a_copy():
    gold = Gold(LABELS, "test")
    gold.unseal(Metric(), "why")[:] = 9
    assert gold.unseal(Metric(), "why").tolist() == LABELS.tolist()


def test_shuffled_labels_keep_their_distribution_and_lose_their_place():
    probs = np.random.default_rng(0).dirichlet([1, 1], 200).astype(np.float32)
    labels = ShuffledSupervisor().label(probs, seed=1)
    assert sorted(labels.probs[:, 0]) == sorted(probs[:, 0])
    assert abs(np.corrcoef(labels.probs[:, 0], probs[:, 0])[0, 1]) < 0.2


@pytest.mark.parametrize(
    ("probs", "weight", "message"),
    [
        ([[0.5, 0.6]], [1], "sum to 1"),
        ([[np.nan, 1]], [1], "NaN"),
        ([[0.5, 0.5]], [np.nan], "NaN"),
        ([[0.5, 0.5]], [-1], "negative"),
        ([[1.5, -0.5]], [1], "probabilities"),
        ([[0.5, 0.5]], [1, 1], "do not fit"),
    ],
)
def test_bad_labels_are_refused_by_name(probs, weight, message):
    with pytest.raises(DataError, match=f"(?s)labels by someone.*{message}"):
        Labels(np.array(probs, np.float32), np.array(weight, np.float32), "someone")
