"""How different texts are from each other: distinct n-grams, self-BLEU, evenness.

Cosine similarity of TF-IDF vectors is not among them on purpose: it discounts what all texts share, and so calls
copies of one template the most diverse of all.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Sequence

import numpy as np

SAMPLE = 100  # texts that self-BLEU compares: its cost grows with their square


def distinct(texts: Sequence[str], n: int = 2) -> float | None:
    """Return the share of different n-grams of words among all (Li et al. 2016); None where there are none."""
    grams = [gram for text in texts for gram in _ngrams(_words(text), n)]
    return len(set(grams)) / len(grams) if grams else None


def self_bleu(texts: Sequence[str], n: int = 4, seed: int = 0) -> float | None:
    """Return the mean BLEU-n of each text with all others as references (Zhu et al. 2018); None for fewer than two.

    Counts of missing n-grams are smoothed by 1/2 (method 1 of Chen and Cherry 2014, with that constant). Of more than a
    hundred texts, a hundred are drawn.
    """
    if len(texts) < 2:
        return None
    if len(texts) > SAMPLE:
        chosen = np.random.default_rng(seed).permutation(len(texts))[:SAMPLE]
        texts = [texts[index] for index in sorted(chosen)]
    words = [_words(text) for text in texts]
    counts = [[Counter(_ngrams(row, order)) for order in range(1, n + 1)] for row in words]
    most = [_two_largest(one[order] for one in counts) for order in range(n)]
    lengths = [len(row) for row in words]
    return float(np.mean([_bleu(index, counts, most, lengths) for index in range(len(words))]))


def evenness(counts: Iterable[int]) -> float | None:
    """Return the entropy of the counts over the logarithm of their number (Pielou 1966); None for fewer than two."""
    known = [count for count in counts if count > 0]
    if len(known) < 2:
        return None
    total = sum(known)
    return -sum(count / total * math.log(count / total) for count in known) / math.log(len(known))


Largest = dict[tuple[str, ...], tuple[int, int, int]]


def _two_largest(counts: Iterable[Counter[tuple[str, ...]]]) -> Largest:
    """Return for each n-gram the text that has most of it, how many, and how many the next one has."""
    found: Largest = {}
    for index, one in enumerate(counts):
        for gram, count in one.items():
            owner, first, second = found.get(gram, (-1, 0, 0))
            found[gram] = (index, count, first) if count > first else (owner, first, max(second, count))
    return found


def _bleu(
    index: int, counts: Sequence[Sequence[Counter[tuple[str, ...]]]], most: Sequence[Largest], lengths: Sequence[int]
) -> float:
    """Return the BLEU of one text against all others: clipped precisions, geometric mean, brevity penalty."""
    length = lengths[index]
    if not length:
        return 0.0
    logs = 0.0
    for order, mine in enumerate(counts[index]):
        total, matched = sum(mine.values()), 0
        for gram, count in mine.items():
            owner, first, second = most[order][gram]
            matched += min(count, second if owner == index else first)
        logs += math.log(max(matched, 0.5) / total) if total else math.log(0.5)
    others = [n for place, n in enumerate(lengths) if place != index]
    closest = min(others, key=lambda n: (abs(n - length), n))
    penalty = 1.0 if length > closest else math.exp(1 - closest / length)
    return penalty * math.exp(logs / len(counts[index]))


def _words(text: str) -> list[str]:
    return text.casefold().split()


def _ngrams(words: Sequence[str], n: int) -> list[tuple[str, ...]]:
    return [tuple(words[start : start + n]) for start in range(len(words) - n + 1)]
