"""What a sink is named and told: tags that every tool takes, packages that are looked for before any work."""

from __future__ import annotations

import re
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from superalign.errors import ConfigError, MissingExtraError
from superalign.sink import LONGEST, checked, sinks, tag


@given(st.text(st.characters(exclude_categories=["Cs"]), max_size=400))
def test_a_tag_is_what_every_tool_takes(text):
    assert re.fullmatch(r"[0-9A-Za-z_.-]+", tag(text))
    assert len(tag(text)) <= LONGEST + 12
    assert tag(text)[0] not in ".-"
    assert tag(text) == tag(text)


def test_a_plain_title_stays_readable():
    assert tag("student: lora on hf:./tiny, naive, seed 0") == "student_lora_on_hf_._tiny_naive_seed_0"


def test_what_looks_alike_is_told_apart():
    long = "x" * 300
    texts = ["模型", "模特", "../..", "", "a\x1b[31m", "a\x1b[32m", f"{long}a{long}", f"{long}b{long}"]
    assert len({tag(text) for text in texts}) == len(texts)


def test_sinks_are_chosen_by_name():
    assert {"mlflow", "tensorboard", "trackio", "wandb"} <= set(sinks.names())
    assert str(sinks.build("wandb,project=x")) == "wandb,project=x"
    with pytest.raises(ConfigError, match="unknown sink 'tensorbord'") as caught:
        checked(["tensorbord"])
    assert caught.value.fix == "did you mean 'tensorboard'?"


@pytest.mark.parametrize("name", ["mlflow", "tensorboard", "trackio", "wandb"])
def test_a_missing_package_names_its_extra(name, monkeypatch):
    monkeypatch.setitem(sys.modules, name, None)
    with pytest.raises(MissingExtraError) as caught:
        checked([name])
    assert caught.value.fix == f"pip install 'superalign[{name}]'"
