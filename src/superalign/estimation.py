"""How many labels are wrong, and how: estimated from what probes say about items they were not trained on."""

from __future__ import annotations

from typing import Any, Literal, NamedTuple

import numpy as np
import numpy.typing as npt
from pydantic import Field

from superalign.config import Config
from superalign.errors import DataError
from superalign.label import Labels
from superalign.metric import interval
from superalign.result import Interval

Float64Array = npt.NDArray[np.float64]
FloatArray = npt.NDArray[np.floating[Any]]
IntArray = npt.NDArray[np.int64]
Method = Literal["likelihood", "confident"]
MIN_ITEMS = 20
REPLICATES = 100
SHARPENINGS = np.exp(np.linspace(np.log(0.6), np.log(12.0), 24))
USUAL_SHARPENING, TRUST = 2.0, 10.0
"""Prior of the log of the sharpening: its mean, and the inverse of its variance (a spread of a factor 1.4)."""
RATES = 80
PARTS = 5
EM_STEPS = 3
WEAK = 0.7
"""Agreement under which the rate leans on the model of the noise more than on the labels."""
LITTLE = 0.1
"""Weight of an even structure beside the confident joint's own."""


class NoiseEstimate(Config):
    """What is known of the noise in given labels, without any truth."""

    method: Method
    """`likelihood` (the default) or plain `confident` learning."""
    rate: Interval
    """Share of the labels that are wrong, with a bootstrap interval over groups."""
    transition: list[list[float]]
    """[k, k]: entry i, j is the probability that an item of true class i is labelled j."""
    prior: list[float]
    """Share of each true class, [k]."""
    thresholds: list[float]
    """Mean probability of class j among the items labelled j, [k]; 1 for a class no item has."""
    confident_joint: list[list[int]]
    """[k, k] counts: entry i, j are items labelled i that are confidently of class j."""
    confident_rate: float
    """Rate by plain confident learning, which is far too high when the probe is weak."""
    structure: Literal["even", "by class"]
    """Whether wrong labels go to all other classes alike, or where the confident joint says."""
    sharpening: float | None
    """Exponent that turns the probe's probabilities into those of the true class; None for confident learning."""
    agreement: float
    """Share of the items whose out-of-sample class is the given one."""
    n: int
    notes: list[str] = Field(default_factory=list)
    """What a reader must know before quoting the rate."""


class Joint(NamedTuple):
    """The confident joint.

    Args:
        thresholds: [k].
        counts: int64 [k, k], given class by confident class.
        calibrated: float64 [k, k], sums to 1; its rows sum to the shares of the given classes.
    """

    thresholds: Float64Array
    counts: IntArray
    calibrated: Float64Array

    @property
    def rate(self) -> float:
        """Share of the labels that are wrong."""
        return float(1 - np.trace(self.calibrated))


class _Items(NamedTuple):
    """Labelled items."""

    given: IntArray  # [n]
    probs: Float64Array  # [n, k]
    unit: IntArray  # [n], resampled together

    @property
    def k(self) -> int:
        return int(self.probs.shape[1])

    @property
    def agreement(self) -> float:
        return float((self.probs.argmax(1) == self.given).mean())

    def with_swapped(self) -> _Items:
        """Return Comparisons, then the same with their responses swapped."""
        given, probs = np.r_[self.given, 1 - self.given], np.r_[self.probs, self.probs[:, ::-1]]
        return _Items(given, probs, np.r_[self.unit, self.unit])


class _Found(NamedTuple):
    """What one method says of the noise."""

    rate: float
    samples: Float64Array  # [r], of the bootstrap
    transition: Float64Array  # [k, k]
    prior: Float64Array  # [k]
    structure: Literal["even", "by class"]
    sharpening: float | None


class _Evidence(NamedTuple):
    """Log-likelihood of the labels for each structure, sharpening and rate, weighted in r ways."""

    table: Float64Array  # [structures, a, e, r]
    priors: Float64Array  # [structures, a, k], of the true class
    structures: list[Float64Array]
    rates: Float64Array  # [e]


def confident_joint(given: IntArray, probs: FloatArray, k: int) -> Joint:
    """Count items that are confidently of a class, by the class they are given.

    Northcutt et al. 2021 (arXiv 1911.00068), section 3: item x, given i, counts for the class j whose p_j is
    the largest among those with p_j at least t_j, the mean p_j of the items given j; rows are then scaled to the number
    of items given i. A class in which no item counts keeps its own label.

    Args:
        given: [n].
        probs: [n, k] out-of-sample.
        k: number of classes.
    """
    sizes = np.bincount(given, minlength=k)
    sums = np.bincount(given, probs[np.arange(len(given)), given].astype(np.float64), k)
    thresholds = np.where(sizes > 0, sums / np.maximum(sizes, 1), 1.0)
    above = probs >= thresholds - 1e-9
    best = np.where(above, probs, -1).argmax(1)
    sure = above.any(1)
    counts = np.zeros((k, k), dtype=np.int64)
    np.add.at(counts, (given[sure], best[sure]), 1)
    filled = counts + np.diag((counts.sum(1) == 0).astype(np.int64))
    calibrated = filled / filled.sum(1, keepdims=True) * sizes[:, None] / max(len(given), 1)
    return Joint(thresholds, counts, calibrated)


def estimate(
    labels: Labels,
    probs: FloatArray,
    *,
    groups: npt.NDArray[np.str_] | None = None,
    pairwise: bool = False,
    method: Method = "likelihood",
    replicates: int = REPLICATES,
    seed: int = 0,
) -> NoiseEstimate:
    """Estimate how many of the given labels are wrong.

    Method `likelihood` (ours). The probe's out-of-sample probabilities p, trained on noisy labels, are too flat; the
    true class is taken to follow q = p^a / sum p^a, and the label to be drawn from T' q, where T = I - e (I - R) has
    rate e and structure R: all other classes alike, or (k > 2) the off-diagonal of the confident joint, whichever
    predicts labels better that it was not learned from. a and e are averaged over a grid with their
    likelihood; log a has a normal prior around log 2, as seen on public sets, e a flat one. What identifies e is
    where the labels stop following the probe however sure it is. Of two classes only even noise can be told.

    Method `confident`: the calibrated confident joint, which takes every item that a weak probe gets wrong for a wrong
    label.

    Comparisons count twice, once with the responses swapped, so that the estimate is symmetric.

    Args:
        labels: given labels; soft ones count as their largest class, items of weight 0 are left out.
        probs: [n, k] out-of-sample, as from `cross_fit`.
        groups: [n], resampled together; every item is its own group when None.
        pairwise: whether the items are Comparisons.
        method: see above.
        replicates: of the bootstrap.
        seed: of the bootstrap and of the parts that the structure is learned from.

    Raises:
        DataError: too few labels, fewer than two classes, or probabilities of other items.
    """
    items = _checked(labels, probs, groups, pairwise)
    n, notes = len(items.given), _notes(items, pairwise)
    if pairwise:
        items = items.with_swapped()
    rng = np.random.default_rng(seed)
    weights = _resampled(items.unit, replicates, rng)
    joint = confident_joint(items.given, items.probs, items.k)
    if method == "confident":
        found = _confident(items, joint, weights)
    else:
        found = _likelihood(items, weights, rng, copies=2 if pairwise else 1)
    bounds = interval(found.rate, found.samples)
    if bounds.high - bounds.low > 0.2:
        notes.append("the interval is wide: more rows, or a stronger model, would tell more")
    return NoiseEstimate(
        method=method,
        rate=Interval(value=found.rate, low=min(bounds.low, found.rate), high=max(bounds.high, found.rate)),
        transition=found.transition.tolist(),
        prior=found.prior.tolist(),
        thresholds=joint.thresholds.tolist(),
        confident_joint=joint.counts.tolist(),
        confident_rate=joint.rate,
        structure=found.structure,
        sharpening=found.sharpening,
        agreement=items.agreement,
        n=n,
        notes=notes,
    )


def posterior(noise: NoiseEstimate, given: IntArray, probs: FloatArray) -> Float64Array:
    """Return the probability of each true class given the label and the item, [n, k]: q_i T_iy, normalised.

    Args:
        noise: what was estimated from these labels.
        given: [n].
        probs: [n, k] out-of-sample.
    """
    q = (noise.sharpening or 1.0) * np.log(np.maximum(np.asarray(probs, dtype=np.float64), 1e-9))
    q = np.exp(q - q.max(1, keepdims=True))
    said = q * np.array(noise.transition)[:, given].T
    total = said.sum(1, keepdims=True)
    return np.asarray(np.where(total > 0, said / np.where(total > 0, total, 1), np.eye(q.shape[1])[given]))


def _checked(labels: Labels, probs: FloatArray, groups: npt.NDArray[np.str_] | None, pairwise: bool) -> _Items:
    """Return the items of some weight, when there is enough to estimate from; see `estimate`."""
    k = labels.probs.shape[1]
    if probs.shape != labels.probs.shape or not np.isfinite(probs).all():
        raise DataError(f"probabilities {probs.shape} do not fit labels {labels.probs.shape}, or are not finite")
    if pairwise and k != 2:
        raise DataError(f"labels of Comparisons have 2 classes, not {k}")
    rows = np.flatnonzero(labels.weight)
    unit = np.arange(len(rows)) if groups is None else np.unique(np.asarray(groups)[rows], return_inverse=True)[1]
    items = _Items(labels.argmax[rows], np.asarray(probs[rows], dtype=np.float64), unit)
    if len(np.unique(unit)) < MIN_ITEMS:
        raise DataError(
            f"{len(np.unique(unit))} groups of labelled items are too few to estimate noise from",
            fix=f"at least {MIN_ITEMS} are needed, and a few hundred for a useful interval",
        )
    if not pairwise and len(np.unique(items.given)) < 2:
        raise DataError("all labels are of one class: nothing tells which are wrong")
    return items


def _notes(items: _Items, pairwise: bool) -> list[str]:
    """Say when the probe knows too little of the labels for any estimate to be good."""
    given, p, agreement = items.given, items.probs, items.agreement
    shares = np.full(2, 0.5) if pairwise else np.bincount(given, minlength=items.k) / len(given)
    gain = np.log(np.maximum(p[np.arange(len(given)), given], 1e-9)) - np.log(shares[given])
    if gain.mean() > 2 * gain.std() / np.sqrt(len(given)):
        weak = f"the model is weak here: out of sample it agrees with {agreement:.0%} of the labels; the rate may be "
        return [weak + "off by several points beyond its interval"] if agreement < WEAK else []
    return [
        "out of sample the model says next to nothing about these labels: either they are mostly noise, or this model "
        "cannot tell; the rate is a guess"
    ]


def _resampled(unit: IntArray, replicates: int, rng: np.random.Generator) -> npt.NDArray[np.float32]:
    """Return bootstrap weights of the items, float32 [replicates, n]; items of one unit are drawn together."""
    _, unit = np.unique(unit, return_inverse=True)
    units = int(unit.max()) + 1
    return rng.multinomial(units, np.full(units, 1 / units), replicates).astype(np.float32)[:, unit]


def _confident(items: _Items, joint: Joint, weights: npt.NDArray[np.float32]) -> _Found:
    samples = np.array([_resampled_joint(items, weight).rate for weight in weights])
    prior = joint.calibrated.sum(0)
    return _Found(joint.rate, samples, _transition(joint.calibrated), prior, "by class", None)


def _resampled_joint(items: _Items, weight: npt.NDArray[np.float32]) -> Joint:
    rows = np.repeat(np.arange(len(items.given)), weight.astype(np.int64))
    return confident_joint(items.given[rows], items.probs[rows], items.k)


def _likelihood(items: _Items, weights: npt.NDArray[np.float32], rng: np.random.Generator, copies: int) -> _Found:
    part = rng.integers(0, PARTS, int(items.unit.max()) + 1)[items.unit]
    evidence = _evidence(items, np.concatenate([np.ones_like(weights[:1]), weights]), part)
    best = (evidence.table[..., 0] - _penalty()[:, None]).reshape(len(evidence.structures), -1).max(1)
    which = int(best.argmax())
    rate, samples, sharpening, prior = _average(evidence, which, copies)
    transition = np.maximum(np.eye(items.k) - rate * _pull(evidence.structures[which], prior), 0)
    transition /= transition.sum(1, keepdims=True)
    return _Found(rate, samples, transition, prior, "by class" if which else "even", sharpening)


def _transition(joint: Float64Array) -> Float64Array:
    """Return P(given j | true i), [k, k], of a joint [given, true]; a class nobody is of keeps its label."""
    shares = joint.sum(0)
    made = (joint / np.where(shares > 0, shares, 1)).T
    return np.asarray(np.where(shares[:, None] > 0, made, np.eye(len(joint))))


def _learned(given: IntArray, p: Float64Array, k: int) -> Float64Array:
    """Return the joint [given, true] that a few steps of EM make of the confident joint, at the usual sharpening."""
    joint = confident_joint(given, p, k).calibrated
    q = np.maximum(p, 1e-9) ** USUAL_SHARPENING
    q /= q.sum(1, keepdims=True)
    for _ in range(EM_STEPS):
        smooth = joint + LITTLE / k**2
        true = q * (smooth / smooth.sum(0))[given]
        true /= true.sum(1, keepdims=True)
        joint = np.stack([np.bincount(given, true[:, j], k) for j in range(k)], 1) / len(given)
    return np.asarray(joint)


def _structure(joint: Float64Array) -> Float64Array:
    """Return where wrong labels go, [k, k]: non-negative, zero diagonal; row sums are relative rates of the classes."""
    k = len(joint)
    even = (1 - np.eye(k)) / (k - 1)
    wrong = joint.T * (1 - np.eye(k))  # [true, given]
    rows, prior = wrong.sum(1), joint.sum(0)
    total = max(wrong.sum(), 1e-9)
    goes = (wrong + LITTLE * total / k * even) / (rows + LITTLE * total / k)[:, None]
    relative = (rows + LITTLE * total / k) / ((prior + LITTLE / k) * total)
    return np.asarray(relative[:, None] * goes)


def _pull(structure: Float64Array, prior: Float64Array) -> Float64Array:
    """Return D such that T = I - e D has overall rate e under a prior [k] of the true classes."""
    scaled = structure / max(float(prior @ structure.sum(1)), 1e-9)
    return np.asarray(np.diag(scaled.sum(1)) - scaled)


def _evidence(items: _Items, weights: npt.NDArray[np.float32], part: IntArray) -> _Evidence:
    """Tabulate the log-likelihood of the labels over the grid of sharpenings and rates.

    Args:
        items: n.
        weights: [r, n].
        part: [n]; the structure that judges a part is learned from the others, else it would know the labels.
    """
    given, p, k = items.given, items.probs, items.k
    even = (1 - np.eye(k)) / (k - 1)
    everywhere = np.arange(len(given))
    judged: list[list[tuple[IntArray, Float64Array]]] = [[(everywhere, even)]]
    structures = [even]
    if k > 2:
        parts = [np.flatnonzero(part == number) for number in np.unique(part)]
        others = [np.setdiff1d(everywhere, rows) for rows in parts]
        judged.append(
            [
                (rows, _structure(_learned(given[rest], p[rest], k)))
                for rows, rest in zip(parts, others, strict=True)
                if len(rest)
            ]
        )
        structures.append(_structure(_learned(given, p, k)))
    rates = np.linspace(0, 0.98 * (k - 1) / k, RATES)
    logs = np.log(np.maximum(p, 1e-9))
    table = np.empty((len(structures), len(SHARPENINGS), RATES, len(weights)))
    priors = np.empty((len(structures), len(SHARPENINGS), k))
    lost = np.empty(len(given))
    for number, a in enumerate(SHARPENINGS):
        q = a * logs
        q = np.exp(q - q.max(1, keepdims=True))
        q /= q.sum(1, keepdims=True)
        for which, pieces in enumerate(judged):
            priors[which, number] = q.mean(0)
            for rows, structure in pieces:
                pull = _pull(structure, priors[which, number])
                lost[rows] = np.einsum("nk,kn->n", q[rows], pull[:, given[rows]])
            likelihood = q[everywhere, given][None] - rates[:, None] * lost[None]
            table[which, number] = np.log(np.maximum(likelihood, 1e-9)).astype(np.float32) @ weights.T
    return _Evidence(table, priors, structures, rates)


def _penalty() -> Float64Array:
    return np.asarray(TRUST / 2 * (np.log(SHARPENINGS) - np.log(USUAL_SHARPENING)) ** 2)


def _average(evidence: _Evidence, which: int, copies: int) -> tuple[float, Float64Array, float, Float64Array]:
    """Return the posterior means of the rate, its bootstrap replicates, the sharpening and the prior [k]."""
    score = evidence.table[which] / copies - _penalty()[:, None, None]  # [a, e, 1 + replicates]
    share = np.exp(score - score.max((0, 1)))
    share /= share.sum((0, 1))
    rates = np.einsum("aer,e->r", share, evidence.rates)
    over_a = share[:, :, 0].sum(1)
    return float(rates[0]), rates[1:], float(over_a @ SHARPENINGS), np.asarray(over_a @ evidence.priors[which])
