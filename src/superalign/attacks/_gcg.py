"""One step of greedy coordinate gradient: the swaps of tokens that promise most, of which the best is kept."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import chain
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import numpy.typing as npt

from superalign.attacks._glass import Glass, Seen
from superalign.attacks._place import Place, allowed_tokens
from superalign.errors import ModelError

if TYPE_CHECKING:
    from torch import Tensor

IntArray = npt.NDArray[np.int64]


class Rule(NamedTuple):
    """How a step proposes strings.

    Args:
        width: strings proposed.
        topk: tokens a position that may be put there.
        replaced: positions of a string that are changed.
        momentum: share of the former slopes in the one that is followed.
    """

    width: int
    topk: int
    replaced: int
    momentum: float


class Origin(NamedTuple):
    """What a step went on from.

    Args:
        string: token ids.
        goals: how many goals counted, from the first on.
    """

    string: tuple[int, ...]
    goals: int


class Descent:
    """The steps of one search, for some goals and one or several models at once.

    Args:
        glasses: the models.
        places: of each model, those of the goals.
        allowed: ids a string may be made of.
        rule: of a step.
    """

    def __init__(self, glasses: Sequence[Glass], places: Sequence[Sequence[Place]], allowed: IntArray, rule: Rule):
        self.glasses, self.places, self.allowed, self.rule = glasses, places, allowed, rule
        self._momentum: Tensor | None = None
        self._followed = 0

    def slope(self, origin: Origin) -> tuple[float, Tensor, list[list[Seen]]]:
        """Return the mean loss of a string, the sum of its slopes, float32 [n, a], and what each model kept of it.

        With several models each one's sum is brought to length 1: their embeddings have scales of their own.
        """
        import torch

        string = np.array(origin.string, dtype=np.int64)
        kept: list[list[Seen]] = []
        sums: list[Tensor] = []
        losses: list[Tensor] = []
        for glass, places in zip(self.glasses, self.places, strict=True):
            columns = torch.from_numpy(self.allowed).to(glass.device)
            found = [glass.slope(place, string, columns) for place in places[: origin.goals]]
            whole = torch.stack([each for _, each, _ in found]).sum(0).to(self.glasses[0].device)
            sums.append(whole / whole.norm() if len(self.glasses) > 1 else whole)
            losses += [loss.to(self.glasses[0].device) for loss, _, _ in found]
            kept.append([seen for _, _, seen in found])
        return float(torch.stack(losses).float().mean()), torch.stack(sums).sum(0), kept

    def losses(self, strings: IntArray, goals: int, kept: Sequence[Sequence[Seen]] | None = None) -> Tensor:
        """Return each string's loss, the mean of all models and goals, float32 [b]."""
        import torch

        total = []
        for number, (glass, places) in enumerate(zip(self.glasses, self.places, strict=True)):
            seen = kept[number] if kept else [None] * goals
            each = [glass.losses(place, strings, one) for place, one in zip(places[:goals], seen, strict=True)]
            total += [loss.to(self.glasses[0].device) for loss in each]
        return torch.stack(total).mean(0)

    def step(self, trail: Sequence[Origin], rng: np.random.Generator) -> dict[str, Any]:
        """Go on from the last string of a trail.

        Args:
            trail: what each step so far went on from, this one last.
            rng: draws what is proposed.

        Returns:
            `before`: the loss of the string it went on from; `ids`, `loss`: of the best string proposed; `said`:
        whether every model's likeliest answer to each goal that counts begins with its target.
        """
        origin = trail[-1]
        before, slope, kept = self.slope(origin)
        followed = self._steadied(trail, slope)
        topk = min(self.rule.topk, len(self.allowed))
        best = self.allowed[(-followed).topk(topk, dim=1).indices.cpu().numpy()]
        strings = proposals(np.array(origin.string, dtype=np.int64), best, self.rule, rng)
        for place in chain(*self.places):  # those that do not count yet will
            strings = strings[place.survive(strings)]
        losses = self.losses(strings, origin.goals, kept).cpu().numpy() if len(strings) else np.empty(0, np.float32)
        for index in np.argsort(losses, kind="stable"):
            string: list[int] = strings[index].tolist()
            if self._meant(string):
                return self._found(before, string, float(losses[index]), origin.goals)
        return self._found(before, origin.string, before, origin.goals)

    def _steadied(self, trail: Sequence[Origin], slope: Tensor) -> Tensor:
        """Return the slope with its momentum; slopes of steps that were not computed by this process are now."""
        share = self.rule.momentum
        if not share:
            return slope
        for origin in trail[self._followed :]:
            now = slope if origin is trail[-1] else self.slope(origin)[1]
            self._momentum = now if self._momentum is None else share * self._momentum + (1 - share) * now
        self._followed = len(trail)
        return slope if self._momentum is None else self._momentum

    def _meant(self, string: Sequence[int]) -> bool:
        return all(place.messages(string) is not None for place in chain(*self.places))

    def _found(self, before: float, string: Sequence[int], loss: float, goals: int) -> dict[str, Any]:
        ids = np.array(string, dtype=np.int64)
        pairs = zip(self.glasses, self.places, strict=True)
        said = all(glass.says(place, ids) for glass, places in pairs for place in places[:goals])
        return {"before": before, "ids": list(string), "loss": loss, "said": said}


def proposals(string: IntArray, best: IntArray, rule: Rule, rng: np.random.Generator) -> IntArray:
    """Return distinct strings, int64 [b, n], that differ from a string in a few positions; all, if all are asked for.

    Args:
        string: int64 [n].
        best: tokens to put at each position, int64 [n, k].
        rule: how many, and in how many positions each is changed.
        rng: draws positions and tokens.
    """
    n, k = best.shape
    if rule.replaced == 1 and rule.width >= n * k:
        rows, places, tokens = np.arange(n * k)[:, None], np.repeat(np.arange(n), k)[:, None], best.reshape(-1, 1)
    else:
        rows = np.arange(rule.width)[:, None]
        places = rng.random((rule.width, n)).argsort(1)[:, : rule.replaced]
        tokens = best[places, rng.integers(k, size=places.shape)]
    strings = np.tile(string, (len(rows), 1))
    strings[rows, places] = tokens
    strings = np.unique(strings, axis=0)
    changed: IntArray = strings[(strings != string).any(1)]
    return changed


def common_tokens(glasses: Sequence[Glass], ascii_only: bool) -> IntArray:
    """Return the ids that strings for all these models may be made of.

    Raises:
        ModelError: their vocabularies differ.
    """
    first, *others = glasses
    vocabulary = first.voice.spelling.tokenizer.get_vocab()
    for other in others:
        if other.voice.spelling.tokenizer.get_vocab() != vocabulary:
            why = "one string of tokens must mean the same to both"
            raise ModelError(f"{first.name} and {other.name} have different vocabularies", why=why, fix="leave one out")
    size = min(int(glass.table.weight.shape[0]) for glass in glasses)
    return allowed_tokens(first.voice.spelling, size, ascii_only)
