"""Candidate risks in planted clusters: what is planted is found, noise is not, order and copies change nothing."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from superalign.risk import Failure, Found, clustered, described, find

D = 24


def planted(sizes: dict[str, tuple[int, ...]], seed: int = 0, spread: float = 0.3) -> tuple[list[Failure], np.ndarray]:
    """Draw failures: of each kind so many a round around a direction of its own."""
    rng = np.random.default_rng(seed)
    failures, rows = [], []
    for place, (kind, counts) in enumerate(sizes.items()):
        for when, count in enumerate(counts):
            for n in range(count):
                noise = rng.normal(size=D)
                rows.append(np.eye(D)[place] + spread * noise / np.linalg.norm(noise))
                failures.append(Failure(f"{kind} {when} {n}", when, f"goal {kind} {when} {n}", 0, kind, (kind,)))
    return failures, np.array(rows)


def kinds(found: Found, failures: list[Failure]) -> list[tuple[set[str], bool, bool]]:
    return [({failures[place].tactic for place in one.members}, one.new, one.grows) for one in found.candidates]


def noise(seed: int, kinds: int = 8, n: int = 180, rounds: int = 3) -> tuple[list[Failure], np.ndarray]:
    """Draw failures whose kind and round have nothing to do with each other; some kinds are rare."""
    rng = np.random.default_rng(seed)
    shares = rng.dirichlet(np.full(kinds, 0.4))
    rows, failures = [], []
    for n_ in range(n):
        kind = int(rng.choice(kinds, p=shares))
        rows.append(np.eye(D)[kind] + rng.normal(size=D) * 0.12)
        failures.append(Failure(f"text {n_}", int(rng.integers(rounds)), f"goal {n_}"))
    return failures, np.array(rows)


def test_a_far_cluster_is_new_and_only_that():
    failures, x = planted({"old": (20, 20, 20), "other": (15, 15, 15), "far": (0, 12, 12)})
    found = find(failures, x)
    assert found.clusters == 3
    ((members, new, _),) = kinds(found, failures)
    assert members == {"far"}
    assert new
    one = found.candidates[0]
    assert one.sizes == [0, 12, 12]
    assert one.distance is not None
    assert one.distance == pytest.approx(1, abs=0.15)
    assert one.distance > found.far
    assert found.totals == [35, 47, 47]


def test_a_growing_cluster_grows_and_is_not_new():
    failures, x = planted({"steady": (40, 40, 40), "growing": (3, 12, 30)})
    ((members, new, grows),) = kinds(find(failures, x), failures)
    assert (members, new, grows) == ({"growing"}, False, True)


def test_one_that_shrinks_is_no_candidate():
    failures, x = planted({"steady": (20, 20, 20), "shrinks": (20, 8, 2), "steady too": (20, 20, 20)})
    assert {"shrinks"} not in [members for members, _, _ in kinds(find(failures, x), failures)]


def test_a_later_cluster_that_is_near_a_known_one_is_not_new():
    failures, x = planted({"old": (20, 0), "other": (20, 20)})
    shifted = np.eye(D)[0] + 0.45 * np.eye(D)[5]  # a cosine of 0.91 from the old one
    more = [Failure(f"near {n}", 1, f"near goal {n}", 0, "near") for n in range(12)]
    x = np.vstack([x, np.tile(shifted, (12, 1))])
    assert not [one for one in find([*failures, *more], x).candidates if one.new]


def test_false_alarms_are_as_rare_as_is_said():
    alarms = [bool(find(*noise(seed)).candidates) for seed in range(100)]
    assert sum(alarms) <= 10  # of 100 runs; more than 10 has a probability of 1 % where the true rate is 5 %


def test_the_growth_test_agrees_with_fishers():
    from scipy.stats import fisher_exact

    failures, x = planted({"steady": (30, 30), "growing": (4, 12)})
    by_hand = fisher_exact([[12, 30], [4, 30]], alternative="greater").pvalue
    found = find([one for one in failures if one.tactic], x)
    assert 2 * by_hand > 0.025  # corrected for two clusters: not a candidate
    assert not found.candidates
    failures, x = planted({"steady": (30, 30), "growing": (2, 14)})
    by_hand = fisher_exact([[14, 30], [2, 30]], alternative="greater").pvalue
    (one,) = find(failures, x).candidates
    assert one.p_grows == pytest.approx(2 * by_hand, rel=0.25)  # Holm's factor is 2; 10,000 random deals


@settings(max_examples=8)
@given(st.integers(0, 1000), st.integers(1, 3))
def test_order_and_copies_change_nothing(seed, copies):
    failures, x = planted({"old": (9, 9, 9), "growing": (1, 5, 15), "far": (0, 6, 6)}, seed)
    rng = np.random.default_rng(seed)
    again = rng.permutation(np.repeat(np.arange(len(failures)), copies))
    one, other = find(failures, x), find([failures[n] for n in again], x[again])
    assert described(one, failures) == described(other, [failures[n] for n in again])
    assert (one.clusters, one.far, one.totals) == (other.clusters, other.far, other.totals)


def test_several_failures_of_a_goal_count_once():
    failures, x = planted({"old": (20, 20), "other": (20, 20)})
    copies = [Failure(f"more {n}", 1, failures[0].goal, 0, "more") for n in range(30)]
    x = np.vstack([x, np.tile(np.eye(D)[9], (30, 1))])
    found = find([*failures, *copies], x)
    assert not found.candidates  # thirty texts, one goal
    assert found.totals == [40, 41]


def test_what_was_known_before_is_not_new_and_does_not_count_as_a_round():
    failures, x = planted({"old": (20, 20), "far": (0, 12)})
    assert [one.new for one in find(failures, x).candidates] == [True]
    before = [Failure(f"known {n}", -1, f"known goal {n}", -1) for n in range(12)]
    olds = [Failure(f"known old {n}", -1, f"known goal old {n}", -1) for n in range(12)]
    known = np.vstack([np.tile(np.eye(D)[1], (12, 1)), np.tile(np.eye(D)[0], (12, 1))])
    found = find([*failures, *before, *olds], np.vstack([x, known]))
    assert not [one for one in found.candidates if one.new]


def test_nothing_and_one_round_give_nothing():
    assert find([], np.empty((0, D))) == Found([], 0, 0.5, [], [])
    failures, x = planted({"old": (20,), "other": (3,)})
    assert not find(failures, x).candidates
    assert not find(failures[:1], x[:1]).candidates


def test_examples_are_the_nearest_and_different():
    failures, x = planted({"old": (20, 20), "far": (0, 12)})
    x[-1] = np.eye(D)[1]
    (one,) = described(find(failures, x), failures)
    assert len(set(one["examples"])) == 3
    assert all(text.startswith("far") for text in one["examples"])
    assert one["tags"] == one["tactics"] == ["far"]
    assert one["shares"] == [0, 12 / 32]


def test_clusters_join_by_mean_distance():
    x = np.eye(D)[[0, 0, 1, 1]] + np.array([[0.0], [0.1], [0.0], [0.1]]) * np.eye(D)[5]
    x /= np.linalg.norm(x, axis=1, keepdims=True)
    assert clustered(x, 0.5).tolist() in ([0, 0, 1, 1], [1, 1, 0, 0])
    assert len(set(clustered(x, 1.5).tolist())) == 1


def test_more_texts_than_are_clustered_join_the_nearest(monkeypatch):
    failures, x = planted({"old": (40,), "other": (40,)})
    whole = clustered(x / np.linalg.norm(x, axis=1, keepdims=True), 0.5)
    monkeypatch.setattr("superalign.risk.MOST", 20)
    part = clustered(x / np.linalg.norm(x, axis=1, keepdims=True), 0.5)
    assert len(set(zip(whole.tolist(), part.tolist(), strict=True))) == 2
    assert len(failures) == 80
