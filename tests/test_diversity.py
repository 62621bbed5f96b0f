"""Diversity against direct computations, and where the measures must end."""

from __future__ import annotations

import math
from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from superalign.diversity import distinct, evenness, self_bleu

SENTENCES = st.lists(st.lists(st.sampled_from("abcde"), min_size=1, max_size=8).map(" ".join), min_size=2, max_size=6)


def plain_bleu(hypothesis: list[str], references: list[list[str]]) -> float:
    """BLEU-4 straight from Papineni et al. (2002), with 1/2 for no match."""
    logs = 0.0
    for n in range(1, 5):
        grams = [tuple(hypothesis[i : i + n]) for i in range(len(hypothesis) - n + 1)]
        if not grams:
            logs += math.log(0.5)
            continue
        best = Counter()
        for reference in references:
            best |= Counter(tuple(reference[i : i + n]) for i in range(len(reference) - n + 1))
        matched = sum((Counter(grams) & best).values())
        logs += math.log(max(matched, 0.5) / len(grams))
    closest = min((len(r) for r in references), key=lambda size: (abs(size - len(hypothesis)), size))
    penalty = 1.0 if len(hypothesis) > closest else math.exp(1 - closest / len(hypothesis))
    return penalty * math.exp(logs / 4)


@given(SENTENCES)
def test_self_bleu_is_the_mean_of_each_against_the_others(texts: list[str]) -> None:
    words = [text.split() for text in texts]
    expected = [plain_bleu(row, words[:i] + words[i + 1 :]) for i, row in enumerate(words)]
    assert self_bleu(texts) == pytest.approx(sum(expected) / len(expected))


def test_copies_are_not_diverse_and_strangers_are() -> None:
    copies = ["the same words stand here again"] * 5
    strangers = [" ".join(f"w{i}{j}" for j in range(6)) for i in range(5)]
    assert self_bleu(copies) == pytest.approx(1.0)
    assert self_bleu(strangers) < 0.2
    assert distinct(copies) == pytest.approx(1 / 5)
    assert distinct(strangers) == 1.0
    assert self_bleu(["alone"]) is None
    assert distinct(["word"]) is None


@given(st.lists(st.integers(1, 50), min_size=2, max_size=9))
def test_evenness_is_entropy_over_its_most(counts: list[int]) -> None:
    total = sum(counts)
    entropy = -sum(c / total * math.log(c / total) for c in counts)
    assert evenness(counts) == pytest.approx(entropy / math.log(len(counts)))
    assert evenness([7] * len(counts)) == pytest.approx(1.0)


def test_evenness_of_one_is_none() -> None:
    assert evenness([3]) is None
    assert evenness([3, 0]) is None
