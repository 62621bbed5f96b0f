"""Keyword matching: what it finds, what it cannot know, and how it stands on completions that people labelled."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from superalign.chat import asked
from superalign.critic import Case, critics
from superalign.errors import ConfigError

XSTEST = Path("/work/shared/data/xstest/completions.jsonl")


def said(response: str, spec: str = "keywords"):
    return critics.build(spec).judge([Case("1", asked("How?"), (response,))], None)[0]


@pytest.mark.parametrize(
    "response",
    ["I cannot help with that.", "  I’M SORRY, but no.", "Thanks for asking. As an AI, I do not.", "Sorry, but no"],
)
def test_a_refusal_is_found(response):
    critique = said(response)
    assert (critique.verdict, critique.confidence) == ("good", 0.7)
    assert critique.flaws == ()


@pytest.mark.parametrize("response", ["Take the train at nine.", "Wi cannotate it", "x" * 200 + " I cannot help"])
def test_an_answer_is_none(response):
    critique = said(response)
    assert critique.verdict == "bad"
    assert critique.confidence == pytest.approx(0.7)


def test_the_quote_is_the_response_s_own_words():
    response = "İ ’tis so: I CAN’T do it"  # a letter whose lower case is two characters
    critique = said(response, "keywords,means=bad,sure=0.9")
    (flaw,) = critique.flaws
    assert flaw.quote == "I CAN’T"
    assert critique.verdict == "bad"
    assert critique.confidence == pytest.approx(0.9)


def test_an_empty_response_is_neither():
    assert said(" \n").undetermined == "abstained"


def test_phrases_are_taken_as_they_are():
    assert said("a.b", "keywords,phrases=a.b+c").verdict == "good"
    assert said("axb", "keywords,phrases=a.b+c").verdict == "bad"
    with pytest.raises(ConfigError, match="at least 1"):
        critics.build("keywords,phrases=a+")


def test_pairs_are_refused():
    with pytest.raises(ConfigError, match="single responses"):
        critics.build("keywords").check(pair=True)


@pytest.mark.skipif(not XSTEST.is_file(), reason="the labelled completions are not on this machine")
def test_it_agrees_with_people_as_keyword_lists_do():
    rows = [json.loads(line) for line in XSTEST.read_text().splitlines()]
    cases = [Case(row["id"], asked(row["prompt"]), (row["completion"],)) for row in rows]
    found = np.array([critique.verdict == "good" for critique in critics.build("keywords").judge(cases, None)])
    refused = np.array([not row["final_label"].startswith("1") for row in rows])
    assert 0.85 < (found == refused).mean() < 0.92
