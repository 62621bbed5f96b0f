"""Probabilities as log-odds: what critics say is pooled and compared there."""

from __future__ import annotations

import math
from collections.abc import Sequence

EDGE = 1e-6  # probabilities stay so far from 0 and 1


def sigmoid(odds: float) -> float:
    """Return the probability of log-odds; that of the negative is what is left to 1."""
    return 0.5 + math.tanh(odds / 2) / 2


def log_odds(p: float) -> float:
    """Return the log-odds of a probability, at most 14 nats."""
    p = min(max(p, EDGE), 1 - EDGE)
    return math.log(p / (1 - p))


def preferred(worse: float, better: float) -> float:
    """Return how probably one response is better than another, by how probably each is good: their odds are divided."""
    return sigmoid(log_odds(better) - log_odds(worse))


def pooled(each: Sequence[float | None]) -> float | None:
    """Return the probability whose log-odds are the mean of those given; None where nobody can tell."""
    odds = [log_odds(one) for one in each if one is not None]
    return sigmoid(sum(odds) / len(odds)) if odds else None


def spread(each: Sequence[float | None]) -> float:
    """Return how far apart probabilities are, the largest minus the smallest of those given."""
    known = [one for one in each if one is not None]
    return max(known) - min(known) if known else 0.0
