"""The critic `trained` with a weak model: a bag of words judges."""

from __future__ import annotations

from superalign.critic import critics
from superalign.critics.trained import Trained
from superalign.model import ModelChoice
from superalign.registry import default


@critics.register("weak")
class Weak(Trained):
    """As `trained`, with the features of a weak model: a cheap judge of a model that is stronger than it."""

    model: ModelChoice = default("embedded:wordllama")
    """Whose features it reads."""
