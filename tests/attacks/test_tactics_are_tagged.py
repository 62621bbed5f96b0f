"""No attack has a tactic that the taxonomy does not know."""

from __future__ import annotations

import pytest
from driven import GOALS, run, scene

from superalign.attacker import attacks
from superalign.attacks._sentences import FAMILIES
from superalign.attacks.pair import PERSONAS
from superalign.attacks.pressure import TACTICS
from superalign.taxonomy import UNTAGGED, load, tags_of

NAMED = {"pressure": TACTICS, "pair": PERSONAS, "map-elites": FAMILIES, "gcg": ("gcg",)}
DRIVEN = [
    (name, world)
    for name in attacks.names()
    for world in sorted(attacks.get(name).worlds)
    if not attacks.get(name).white_box and name != "map-elites"  # which reads with a model; its families are above
]


@pytest.mark.parametrize("name", attacks.names())
def test_every_attack_has_leaves(name):
    tactics = load().attacks[name]
    assert set(NAMED.get(name, ())) <= set(tactics)
    for world in attacks.get(name).worlds:
        assert set(tags_of(name, world)) <= set(load().leaves)
        assert UNTAGGED not in tags_of(name, world)


@pytest.mark.parametrize(("name", "world"), DRIVEN)
def test_every_tactic_that_is_tried_is_of_its_attack(name, world):
    tried = {one.query.tactic for one in run(attacks.build(name), GOALS[world], scene(world), most=12)}
    assert tried
    assert tried <= set(load().attacks[name])
