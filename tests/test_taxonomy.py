"""The taxonomy: its shape, what carries what, and what may be claimed of what was covered."""

from __future__ import annotations

from itertools import pairwise

import pytest

from superalign.errors import ConfigError
from superalign.taxonomy import UNTAGGED, claim, coverage, load, tags_of

SURVEYS = {  # the leaves that the two surveys have under these headings
    "goal.L1": {"instructions"},
    "goal.L2": {"demonstrations", "feedback", "synthetic-feedback"},
    "goal.L3.principles": {"hhh", "norms", "basic-values"},
    "goal.L3.target": {"behaviours", "intrinsic"},
    "method.outer.non-recursive": {"rl", "sl"},
    "method.outer.scalable": {
        "decomposition",
        "rrm",
        "constitutional",
        "debate",
        "market-making",
        "consistency",
        "process",
    },
    "attack": {"privacy", "backdoor", "adversarial"},
    "eval.L1": {"benchmarks", "arenas"},
    "eval.L2": {"benchmarks", "human", "reward-model"},
    "eval.L3.benchmarks": {"safety", "norms", "surveys"},
}


def test_every_id_stands_below_its_parent():
    seen: set[str] = set()
    for one in load().names:
        parent = one.rpartition(".")[0]
        assert not parent or parent in seen, one
        seen.add(one)
    depths = [place.depth for place in coverage(())]
    assert all(after <= before + 1 for before, after in pairwise(depths))


def test_the_leaves_are_those_of_the_surveys():
    leaves = set(load().leaves)
    for parent, named in SURVEYS.items():
        below = {one.removeprefix(f"{parent}.") for one in leaves if one.startswith(f"{parent}.")}
        assert below == named
    assert {"method.inner", "method.interpretability", "eval.factuality", "eval.ethics", "eval.general"} <= leaves


def test_nothing_carries_an_id_that_is_no_leaf():
    known = load()
    tables = (known.worlds, known.tactics, known.measures)
    carried = {tag for table in tables for ids in table.values() for tag in ids}
    assert carried <= set(known.leaves)
    assert UNTAGGED in known.leaves
    assert {tactic for tactics in known.attacks.values() for tactic in tactics} <= set(known.tactics)


def test_a_wrong_id_names_the_nearest():
    with pytest.raises(ConfigError, match=r"did you mean 'failure\.sycophancy\.authority'"):
        load().name("failure.sycophancy.autority")
    with pytest.raises(ConfigError):
        coverage(["failure.nowhere"])


def test_a_failure_carries_its_tactic_and_its_world():
    knowledge, behaviour = tags_of("authority", "knowledge"), tags_of("authority", "behaviour")
    assert knowledge[0] == behaviour[0] == "failure.sycophancy.authority"
    assert "failure.harm.complied" in behaviour
    assert "failure.harm.complied" not in knowledge
    assert set(tags_of("cognitive-dissonance", "knowledge")) == set(tags_of("cognitive dissonance", "knowledge"))
    assert tags_of("a tactic of somebody else", "knowledge")[0] == UNTAGGED


def test_coverage_adds_up_from_the_leaves():
    found = {one.id: one for one in coverage({"failure.sycophancy.authority": 3, "failure.framing.dissonance": 2})}
    assert found["failure"].n == 5
    assert found["failure.sycophancy"].n == 3
    assert found["failure.sycophancy.emotion"].n == found["goal"].n == 0
    assert coverage(["attack.privacy"] * 4) == coverage({"attack.privacy": 4})


def test_one_level_of_goals_is_not_called_aligned():
    for tags in ((), tags_of("authority", "knowledge"), tags_of("authority", "behaviour")):
        assert "nothing here says that a model is aligned" in claim(tags)
    both = claim([*tags_of("authority", "knowledge"), "goal.L1.instructions"])
    assert "aligned" not in both
    assert "L1 (human instructions) and L3 (human values)" in both
