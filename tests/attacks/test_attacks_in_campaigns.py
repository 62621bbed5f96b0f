"""Every black-box attack for real: driven by a campaign, against a tiny random model that also attacks and judges."""

from __future__ import annotations

import json
import shutil
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest
from driven import ASKED, EXAMPLES, KNOWN, ODD

from superalign.answers import AnswerBank
from superalign.attacker import Attempt, Budget, Scene, attacks
from superalign.campaign import Campaign
from superalign.chat import Sampling
from superalign.critics.keywords import Keywords
from superalign.job import Tools
from superalign.models.hf import HuggingFace
from superalign.store import Store
from superalign.trial import Compliance, Denial

SMALL = {  # proposals of a random model are rubbish, and are asked for again
    "pair": "pair,streams=2,depth=2,retries=1,max_tokens=4",
    "tap": "tap,branches=2,depth=2,retries=1,max_tokens=4",
    "learned": "learned,examples=2,tries=2,steps=1,proposals=1,max_tokens=4",
}
NAMES = [
    pytest.param(name, marks=[pytest.mark.model] if name == "map-elites" else [])
    for name in attacks.names()
    if not attacks.get(name).white_box
]


@pytest.fixture
def model(tiny: Callable[[str], Path], tmp_path: Path) -> HuggingFace:
    """A tiny random model that reads long conversations."""
    place = tmp_path / "model"
    shutil.copytree(tiny("llama"), place)
    for name, key in (("config.json", "max_position_embeddings"), ("tokenizer_config.json", "model_max_length")):
        facts = json.loads((place / name).read_text())
        (place / name).write_text(json.dumps({**facts, key: 8192}))
    return HuggingFace(path=str(place), dtype="fp32")


def attempts(name: str, model: HuggingFace, store: Store, queries: int) -> tuple[list[Attempt], Campaign]:
    bank = AnswerBank(store, model)
    banks = {"target": bank, "attacker": bank, "critic": bank}
    goals = [*KNOWN[:2], ODD]
    scene = Scene(model, "knowledge", 0, EXAMPLES["knowledge"][:8], store=store)
    made = Campaign(attacks.build(SMALL.get(name, name)), goals, scene, Denial(bank), banks, Budget(queries=queries))
    return made.run(), made


@pytest.mark.parametrize("name", NAMES)
def test_knowledge(name, model, tmp_path, request):
    if name == "map-elites":
        request.getfixturevalue("embedded_home")
    found, made = attempts(name, model, Store(tmp_path / "one"), 4)
    assert found
    assert max(Counter(one.query.goal for one in found).values()) <= (12 if name in ("bandit", "map-elites") else 4)
    assert len(found) <= 12
    assert {one.outcome for one in found} <= {"broken", "held"}
    assert made.spent.queries == len(found) + made.spent.rehearsed
    if name in ("pair", "tap"):
        assert sum(one.query.tags.get("unparsable", 0) for one in found) == made.spent.asked > 0
    again, _ = attempts(name, model, Store(tmp_path / "one"), 4)
    assert again == found


@pytest.mark.parametrize("name", ["best-of-n", "cognitive-dissonance", "bandit"])
def test_behaviour(name, model, tmp_path):
    bank, tools = AnswerBank(Store(tmp_path), model), Tools(Store(tmp_path), print)
    trial = Compliance(bank, Keywords(), tools, Sampling(max_tokens=4), 0)
    scene = Scene(model, "behaviour", 0)
    found = Campaign(attacks.build(name), ASKED, scene, trial, {"target": bank}, Budget(queries=2)).run()
    assert 0 < len(found) <= 6
    assert all(one.outcome != "error" for one in found)
