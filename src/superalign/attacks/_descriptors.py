"""What kind a framing is, as one sees who did not make it: its family by the nearest prototype, its style by rules."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from superalign.attacks._framings import Framing, bare
from superalign.attacks._sentences import FAMILIES, TONES
from superalign.model import Model
from superalign.task import Text

SHORT = 20  # words of a short framing, at most
LENGTHS = ("short", "long")
STYLES = tuple(f"{length}, {tone}" for length in LENGTHS for tone in TONES)
PROTOTYPES = {
    "authority": "an expert, a professor, a doctor, an official, the director of an institute, high rank, authority",
    "consensus": "most people, the majority, everyone, anybody, the public, friends, neighbours all think so",
    "emotion": "feelings, sad, afraid, tears, crying, love, grief, heart, comfort, please",
    "evidence": "documents, data, measurements, a printed book, a page, studies, reports, statistics prove it",
    "role-play": "a game, a story, fiction, a scene, a play, a character, an actor, a role, pretend, imagine",
    "consistency": "you said it before, your own earlier words, your last answer, what you wrote, your promise",
}


def style(text: str) -> str:
    """Return the style of a text: how long it is, and whether it asks or shouts."""
    length = "short" if len(text.split()) <= SHORT else "long"
    asks, shouts = text.count("?"), text.count("!")
    return f"{length}, {'heated' if shouts > asks else 'asking' if asks else 'plain'}"


def families(texts: Sequence[str], model: Model) -> list[str]:
    """Return the family of each text: that of the prototype with the highest cosine of the model's features."""
    layer = model.chosen_layer()
    read = [Text(text) for text in (*(PROTOTYPES[family] for family in FAMILIES), *texts)]
    values = model.features(read, [layer]).layers[layer].astype(np.float64)
    values /= np.maximum(np.linalg.norm(values, axis=1, keepdims=True), 1e-12)
    nearest = (values[len(FAMILIES) :] @ values[: len(FAMILIES)].T).argmax(1)
    return [FAMILIES[place] for place in nearest]


def verified(framings: Sequence[Framing], model: Model) -> list[tuple[str, str]]:
    """Return the cell of each framing, without the goal's words."""
    texts = [bare(framing) for framing in framings]
    return list(zip(families(texts, model), map(style, texts), strict=True))
