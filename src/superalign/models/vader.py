"""VADER's four scores as features: the weakest supervisor, rules only."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from functools import lru_cache
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from typing import ClassVar

import numpy as np

from superalign.config import digest
from superalign.errors import ModelError
from superalign.model import Features, Model, Progress
from superalign.models._catalog import CATALOG
from superalign.task import Text

SCORES = ("neg", "neu", "pos", "compound")
_PINS = {piece.name: piece.sha256 for piece in CATALOG["vader"].pieces}


class Vader(Model):
    """Shares of negative, neutral and positive words, and their compound, of a text.

    Source: Hutto and Gilbert, VADER: A Parsimonious Rule-based Model for Sentiment Analysis, ICWSM 2014.
    """

    name: ClassVar[str] = "embedded:vader"

    folder: Path
    """Where `fetch` put the lexicon and the rules."""

    def fingerprint(self) -> str:
        """Return the SHA-256 of the pinned rules and lexica."""
        return digest(_PINS)

    def depth(self) -> int:
        """Return 0: there are no layers above the scores."""
        return 0

    def chosen_layer(self) -> int:
        """Return 0."""
        return 0

    def features(self, texts: Sequence[Text], layers: Sequence[int], progress: Progress | None = None) -> Features:
        """Score each text; a prompt with a response is read as one text of two lines."""
        score = _scorer(self.folder)
        values = np.empty((len(texts), len(SCORES)), dtype=np.float32)
        words = []
        for index, text in enumerate(texts):
            line = text.plain
            scores = score(line)
            values[index] = [scores[name] for name in SCORES]
            words.append(len(line.split()))
            if progress:
                progress(index + 1, len(texts), sum(words))
        return Features(
            {layer: values for layer in layers if self.check_layer(layer) == 0}, [False] * len(texts), words
        )


@lru_cache(maxsize=1)
def _scorer(folder: Path) -> Callable[[str], dict[str, float]]:
    for name, pin in _PINS.items():  # this file is about to run
        if hashlib.sha256((folder / name).read_bytes()).hexdigest() != pin:
            raise ModelError(
                "a file of embedded:vader is not what its pin says",
                where=str(folder / name),
                fix="superalign models remove vader, then superalign models fetch vader",
            )
    spec = spec_from_file_location("superalign_vader", folder / "vaderSentiment.py")
    if spec is None or spec.loader is None:
        raise ModelError("embedded:vader cannot be loaded", where=str(folder))
    module = module_from_spec(spec)
    spec.loader.exec_module(module)
    analyzer = module.SentimentIntensityAnalyzer(
        str(folder / "vader_lexicon.txt"), str(folder / "emoji_utf8_lexicon.txt")
    )
    scores: Callable[[str], dict[str, float]] = analyzer.polarity_scores
    return scores
