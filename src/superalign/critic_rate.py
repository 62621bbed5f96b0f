"""The share of good responses behind a critic's verdicts: corrected by how often it errs on cases with known truth."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import numpy.typing as npt

from superalign import agreement, metric
from superalign.agreement import figure
from superalign.critic_result import Rate
from superalign.metric import Bootstrap
from superalign.scoring import share

BoolArray = npt.NDArray[np.bool_]
FloatArray = npt.NDArray[np.floating[Any]]


@dataclass(frozen=True)
class Errors:
    """How often a critic of one seed calls good what is good, and bad what is bad, on the transfer part.

    Args:
        values: sensitivity and specificity; NaN where no case of a kind got a verdict.
        drawn: replicates of both, float [2, replicates].
        n: cases with a verdict.
    """

    values: tuple[float, float]
    drawn: FloatArray
    n: int

    @classmethod
    def of(cls, good: FloatArray, truth: BoolArray, groups: npt.ArrayLike, seed: int) -> Errors:
        """Measure them: what was said [n], the truth [n], and groups [n]."""
        judged, draws = ~np.isnan(good), Bootstrap(groups, 1, seed=1 + seed)  # not the draws of the test part
        rates = [
            partial(agreement.share, good > 0.5, among=judged & truth),
            partial(agreement.share, good <= 0.5, among=judged & ~truth),
        ]
        sensitivity, specificity = (float(one(np.ones((1, len(good))))[0]) for one in rates)
        drawn = np.stack([draws.replicates([one]) for one in rates])
        return cls((sensitivity, specificity), drawn, int(judged.sum()))


def rate(good: FloatArray, truth: BoolArray, bootstrap: Bootstrap, errors: Sequence[Errors]) -> Rate | None:
    """Return the rate of good responses by a critic and corrected, None where it gave no verdict.

    Args:
        good: what it said of the test part, [seeds, n]; NaN is no verdict.
        truth: of the test part, [n].
        bootstrap: of its groups and the seeds.
        errors: of each seed.
    """
    told = [partial(agreement.share, one > 0.5, among=~np.isnan(one)) for one in good]
    raw = figure(bootstrap, told)
    if raw is None:
        return None
    n = round(float(np.mean([one.n for one in errors])))
    about: dict[str, Any] = {"told": share(raw), "true": float(truth.mean()), "n": n}
    values = np.array([one.values for one in errors])  # [seeds, 2]
    if np.isnan(values).any():
        why = "the transfer part has no case of one kind with a verdict"
        return Rate(**about, corrected=None, reason=why, sensitivity=None, specificity=None)
    drawn = [bootstrap.over_seeds(np.stack([one.drawn[place] for one in errors], axis=1)) for place in (0, 1)]
    for name, mean, replicates in zip(("sensitivity", "specificity"), values.mean(0).tolist(), drawn, strict=True):
        about[name] = share(metric.interval(mean, replicates))
    if metric.interval(float(values.sum(1).mean() - 1), drawn[0] + drawn[1] - 1).low <= 0:
        why = "sensitivity + specificity - 1 is not above 0 beyond chance, so the verdicts tell nothing"
        return Rate(**about, corrected=None, reason=why)
    once, pairs = np.ones((1, len(truth))), list(zip(told, errors, strict=True))
    plain = [agreement.rogan_gladen(of(once)[0], *one.values) for of, one in pairs]
    each = [agreement.rogan_gladen(bootstrap.replicates([of]), *one.drawn) for of, one in pairs]
    corrected = metric.interval(float(np.mean(plain)), bootstrap.over_seeds(np.stack(each, axis=1)))
    return Rate(**about, corrected=share(corrected), reason=None)
