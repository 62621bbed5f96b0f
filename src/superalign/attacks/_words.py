"""Sentences as parts of others."""

from __future__ import annotations

OPENINGS = ("The ", "In ", "A ", "An ", "There ", "It ", "This ", "That ")


def clause(sentence: str) -> str:
    """Return a sentence as it stands after "that": without its full stop, its first word small if it is no name."""
    bare = sentence.strip().rstrip(".").rstrip()
    return bare[:1].lower() + bare[1:] if bare.startswith(OPENINGS) else bare
