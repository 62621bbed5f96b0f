"""Linear probes on frozen features: every learner of a study solved as one batched problem."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated, ClassVar, NamedTuple

import numpy as np
import numpy.typing as npt
from pydantic import Field

from superalign.bank import item_features
from superalign.conflict import pull
from superalign.errors import ConfigError, DataError
from superalign.fit import Fit, Learned, Lesson, Report, fits
from superalign.model import Model
from superalign.objective import Objective
from superalign.store import Store
from superalign.task import Task

if TYPE_CHECKING:
    from torch import Tensor

FloatArray = npt.NDArray[np.float32]
IntArray = npt.NDArray[np.int64]
Groups = npt.NDArray[np.str_]
START = 0.01  # spread of the weights that peers start from, on standardised features
HELD = 256_000_000  # bytes of axes that are kept for the next lessons on the same items


class Seat(NamedTuple):
    """One learner of a batched problem.

    Args:
        trial: whose head it is a part of.
        objective: the loss.
        strength: of the penalty.
        weight: float32 [n] of the items it sees.
        rng: what a peer's beginning is drawn from; None for a learner of its own, which starts at zero.
    """

    trial: int
    objective: Objective
    strength: float
    weight: FloatArray
    rng: np.random.Generator | None


@fits.register("probe")
class Probe(Fit):
    """A linear head on one layer's features, which are computed once and kept.

    Features are standardised on the training items. All heads - objectives, seeds, strengths of regularisation -
    take full-batch Newton steps with the fixed curvature bound of Boehning (1992), times the objective's own. The
    regularisation is chosen on held-out labels of the learner's own kind (weak labels for a student), then the head
    is trained on all its items.

    Peers (co-teaching) need something to differ by: each starts from small random weights of its own and sees a
    bootstrap sample of the groups of its own, both drawn by the lesson's seed. Their prediction is the mean of their
    probabilities. That is our reading: a convex problem would lead two networks of one sample to one solution.

    A Comparison's features are the difference of its two responses', without centring or bias, so that swapping the
    responses swaps the probabilities.
    """

    together: ClassVar[bool] = True

    steps: Annotated[int, Field(ge=1)] = 50
    """Full-batch steps; schedules such as logconf's run over them."""
    l2: tuple[Annotated[float, Field(gt=0)], ...] = (0.01, 0.03, 0.1, 0.3)
    """Strengths of the penalty l2/2 |w|^2 next to the mean loss, standardised features."""
    validation: Annotated[float, Field(gt=0, lt=1)] = 0.2
    """Share of the groups whose labels choose among the strengths."""

    def check(self, objective: Objective, task: Task | None) -> None:
        """Refuse what is about single responses; see Fit.check."""
        if objective.unpaired:
            why = "a probe learns from the difference of two responses"
            raise ConfigError(f"{objective} learns from single responses", why=why, fix="fit=lora")
        if objective.wants_rewards != "none":
            why = "it is about what a policy says, and a probe moves none"
            raise ConfigError(f"{objective} takes in rewards", why=why, fix="fit=lora,read=policy")
        super().check(objective, task)

    def learn(
        self,
        model: Model,
        task: Task,
        lessons: Sequence[Lesson],
        predict: Sequence[IntArray],
        *,
        store: Store,
        report: Report,
    ) -> list[Learned]:
        """Train one head a lesson; see Fit.learn."""
        from superalign.models._torch import use_threads

        for lesson in lessons:
            self.check(lesson.objective, task)
        use_threads()
        x = item_features(model, task, store, report)
        groups = np.array(task.groups())
        heads = solve(self, x, groups, lessons, pairwise=task.pairwise)
        return [
            Learned(head.predict(x[rows]), head.facts, kept=head.kept)
            for head, rows in zip(heads, predict, strict=True)
        ]


class Head:
    """A trained probe, or several peers whose mean probability counts.

    Args:
        weight: [p, d, c] on raw features: p peers, c = classes, or 1 for two classes: the log-odds of the second.
        bias: [p, c].
        facts: what the training decided.
    """

    def __init__(self, weight: FloatArray, bias: FloatArray, facts: dict[str, float | int | str]) -> None:
        self.weight, self.bias, self.facts = weight, bias, facts

    @property
    def kept(self) -> dict[str, FloatArray]:
        """Weight [c, d] and bias [c] of a head alone; the mean of peers is no linear head."""
        return {"weight": self.weight[0].T, "bias": self.bias[0]} if len(self.weight) == 1 else {}

    def predict(self, x: FloatArray) -> FloatArray:
        """Return class probabilities, float32 [n, k], of features [n, d]."""
        z = x.astype(np.float64) @ self.weight + self.bias[:, None]
        if z.shape[2] == 1:
            z = np.concatenate([-z / 2, z / 2], axis=2)
        z -= z.max(2, keepdims=True)
        p = np.exp(z)
        return np.asarray((p / p.sum(2, keepdims=True)).mean(0), dtype=np.float32)


def solve(probe: Probe, x: FloatArray, groups: Groups, lessons: Sequence[Lesson], *, pairwise: bool) -> list[Head]:
    """Choose the regularisation of every lesson on held-out labels, then train its head on all its items."""
    if not np.isfinite(x).all():
        rows = np.flatnonzero(~np.isfinite(x).all(1))
        raise DataError(f"the features of {len(rows)} items hold NaN or infinity", where=f"item {rows[0]}")
    kept, held = zip(*(_hold_out(lesson, groups, probe.validation) for lesson in lessons), strict=True)
    strengths = list(probe.l2)
    if len(strengths) > 1:
        trials = [(lesson, rows, l2) for lesson, rows in zip(lessons, kept, strict=True) for l2 in strengths]
        tried = _train(probe, x, groups, trials, pairwise=pairwise)
        best = []
        for number, (lesson, rows) in enumerate(zip(lessons, held, strict=True)):
            mine = tried[number * len(strengths) : (number + 1) * len(strengths)]
            scores = [_score(head, x, lesson, rows) for head in mine]
            best.append(strengths[int(np.argmin(scores))])
    else:
        best = strengths * len(lessons)
    final = [(lesson, np.arange(len(lesson.items)), l2) for lesson, l2 in zip(lessons, best, strict=True)]
    return _train(probe, x, groups, final, pairwise=pairwise)


def _hold_out(lesson: Lesson, groups: Groups, share: float) -> tuple[IntArray, IntArray]:
    """Split a lesson's rows by group into those trained on and those held out."""
    mine = groups[lesson.items]
    names = np.unique(mine)
    if len(names) < 5:
        raise DataError(f"only {len(names)} groups to learn from", fix="give the task more rows, or other shares")
    chosen = np.random.default_rng(lesson.seed).permutation(names)[: max(1, round(len(names) * share))]
    out = np.isin(mine, chosen)
    return np.flatnonzero(~out), np.flatnonzero(out)


def _score(head: Head, x: FloatArray, lesson: Lesson, rows: IntArray) -> float:
    """Cross-entropy of the head against the held-out labels it was given, weighted as they are."""
    p = head.predict(x[lesson.items[rows]])
    weight = lesson.labels.weight[rows]
    each = -(lesson.labels.probs[rows] * np.log(np.maximum(p, 1e-9))).sum(1)
    return float(weight @ each / max(weight.sum(), 1e-12))


def _train(
    probe: Probe, x: FloatArray, groups: Groups, trials: list[tuple[Lesson, IntArray, float]], *, pairwise: bool
) -> list[Head]:
    """Train one head a trial (lesson, its rows to use, strength); trials on the same rows share one problem."""
    problems: dict[bytes, list[int]] = {}
    for number, (lesson, rows, _) in enumerate(trials):
        problems.setdefault(lesson.items[rows].tobytes(), []).append(number)
    heads: list[Head | None] = [None] * len(trials)
    for numbers in problems.values():
        solved = _solve_shared(probe, x, groups, [trials[n] for n in numbers], pairwise)
        for number, head in zip(numbers, solved, strict=True):
            heads[number] = head
    return [head for head in heads if head is not None]


def _seats(groups: Groups, trials: list[tuple[Lesson, IntArray, float]]) -> list[Seat]:
    """Return what each learner of each trial starts from and sees, the peers of a trial side by side."""
    seats = []
    for number, (lesson, rows, strength) in enumerate(trials):
        weight = lesson.labels.weight[rows]
        if lesson.objective.peers == 1:
            seats.append(Seat(number, lesson.objective, strength, weight, None))
            continue
        for peer in range(lesson.objective.peers):
            rng = np.random.default_rng([lesson.seed, peer])
            drawn = weight * _bootstrap(groups[lesson.items[rows]], weight, rng)
            seats.append(Seat(number, lesson.objective, strength, drawn, rng))
    return seats


def _bootstrap(groups: Groups, weight: FloatArray, rng: np.random.Generator) -> FloatArray:
    """Return how often each item is in a sample, as large as they are many, of the groups that have any weight."""
    names, which = np.unique(groups, return_inverse=True)
    present = np.bincount(which, weights=weight > 0, minlength=len(names)) > 0
    return np.asarray(rng.multinomial(present.sum(), present / present.sum())[which], dtype=np.float32)


def _solve_shared(
    probe: Probe, x: FloatArray, groups: Groups, trials: list[tuple[Lesson, IntArray, float]], pairwise: bool
) -> list[Head]:
    """Train heads that share their training items: logits of all of them are one matrix product a step."""
    import torch

    lesson, rows, _ = trials[0]
    raw = torch.from_numpy(x[lesson.items[rows]])
    n, k = len(raw), lesson.labels.probs.shape[1]
    mean = torch.zeros(raw.shape[1]) if pairwise else raw.mean(0)
    scale = (raw - mean).square().mean(0).sqrt()
    scale = torch.where(scale > 1e-6 * scale.max().clamp(min=1e-12), scale, torch.inf)  # constant columns: no say
    z = (raw - mean) / scale  # [n, d]

    columns, bound = (1, 0.25) if k == 2 else (k, 0.5)  # bound: of the Hessian of cross-entropy in the scores
    seats = _seats(groups, trials)
    labels = torch.stack([torch.from_numpy(trials[seat.trial][0].labels.probs[rows]) for seat in seats])  # [m, n, k]
    weight = torch.stack([torch.from_numpy(seat.weight) for seat in seats])  # [m, n]
    weight = weight / weight.sum(1, keepdim=True)
    objectives = _by_objective([seat.objective for seat in seats])
    drawn = torch.tensor([seat.rng is not None for seat in seats])  # their largest weights would slow the others down
    heaviest = torch.where(drawn, (weight * drawn[:, None]).max(), (weight * ~drawn[:, None]).max())  # [m]
    against = _against([trials[seat.trial] for seat in seats])  # [m, n, 2] or None
    paid = torch.zeros(len(seats)) if against is None else against.sum(-1).amax(1)  # [m]: cross-entropy, too
    bounds = torch.tensor([bound * seat.objective.curvature for seat in seats]) + bound * paid  # [m]
    axes, turned = _AXES.of(z)  # [d, r], [n, r]
    strengths = torch.tensor([seat.strength for seat in seats])  # [m]
    steps = (bounds * heaviest) * turned.square().sum(0)[:, None] + strengths  # [r, m]: bound z'z + l2 is diagonal here

    w = torch.zeros(turned.shape[1], len(seats), columns)  # [r, m, c]
    for number, seat in enumerate(seats):
        if seat.rng is not None:
            w[:, number] = axes.T @ torch.from_numpy(seat.rng.normal(0, START, (len(axes), columns)).astype(np.float32))
    b = torch.zeros(len(seats), columns)
    for number in range(probe.steps):
        flat = (turned @ w.flatten(1)).view(n, len(seats), columns)
        scores = (flat.transpose(0, 1) + b[:, None]).contiguous().requires_grad_()  # [m, n, c]
        logits = torch.cat([-scores / 2, scores / 2], -1) if k == 2 else scores
        losses = []
        for objective, which in objectives:
            said, given, share = (_peers_apart(all_of[which], objective) for all_of in (logits, labels, weight))
            context = objective.batch_context(said.detach(), given, share)
            losses.append((share * objective(said, given, progress=number / probe.steps, context=context)).sum())
        if against is not None:
            losses.append((weight * pull(logits, against)).sum())
        (gradient,) = torch.autograd.grad(torch.stack(losses).sum(), scores)
        pulled = (turned.T @ gradient.transpose(0, 1).flatten(1)).view_as(w)
        w -= (pulled + strengths[:, None] * w) / steps[..., None]
        if not pairwise:
            b = b - gradient.sum(1) / bounds[:, None]
    w = (axes @ w.flatten(1)).view(-1, len(seats), columns)
    return _heads(w.transpose(0, 1), b, mean, scale, trials)


def _against(trials: list[tuple[Lesson, IntArray, float]]) -> Tensor | None:
    """Return what another aim pays each learner for each class of its items, [m, n, 2]; None where none is paid."""
    import torch

    if all(lesson.labels.against is None for lesson, _, _ in trials):
        return None
    each = [
        np.zeros((len(rows), 2), np.float32) if (paid := lesson.labels.against) is None else paid[rows]
        for lesson, rows, _ in trials
    ]
    return torch.from_numpy(np.stack(each))


def _peers_apart(values: Tensor, objective: Objective) -> Tensor:
    """Return [m, ...] as [m / peers, peers, ...], or as it is where there are none."""
    return values if objective.peers == 1 else values.view(-1, objective.peers, *values.shape[1:])


def _axes(z: Tensor) -> tuple[Tensor, Tensor]:
    """Return the principal axes of features [n, d] that are not flat, [d, r], and the features along them, [n, r].

    Along them a Newton step is a division, for every strength and curvature, and no step ever leaves them.
    """
    import torch

    whole = z.double()
    wide = len(z) < z.shape[1]
    values, vectors = torch.linalg.eigh(whole @ whole.T if wide else whole.T @ whole)
    real = values > 1e-10 * values[-1].clamp(min=1e-12)
    values, vectors = values[real], vectors[:, real]
    axes = whole.T @ vectors / values.sqrt() if wide else vectors
    return axes.float(), (whole @ axes).float()


class _Axes:
    """The axes of the features that were learnt from last: finding them is most of the work of a few heads."""

    def __init__(self) -> None:
        self._held: dict[bytes, tuple[Tensor, Tensor]] = {}

    def of(self, z: Tensor) -> tuple[Tensor, Tensor]:
        """Return `_axes` of features, found anew unless they were asked for lately."""
        key = hashlib.sha256(f"{tuple(z.shape)}".encode() + z.numpy().tobytes()).digest()
        found = self._held.pop(key, None) or _axes(z)
        self._held[key] = found  # the latest stands last
        while len(self._held) > 1 and sum(a.nbytes + b.nbytes for a, b in self._held.values()) > HELD:
            del self._held[next(iter(self._held))]
        return found


_AXES = _Axes()


def _by_objective(each: list[Objective]) -> list[tuple[Objective, list[int]]]:
    """Group heads by objective, so that each objective is evaluated once a step for all its heads."""
    found: dict[str, tuple[Objective, list[int]]] = {}
    for number, objective in enumerate(each):
        found.setdefault(str(objective), (objective, []))[1].append(number)
    return list(found.values())


def _heads(
    w: Tensor, b: Tensor, mean: Tensor, scale: Tensor, trials: list[tuple[Lesson, IntArray, float]]
) -> list[Head]:
    """Turn weights [m, d, c] on standardised features into weights on raw ones; peers share a head."""
    import torch

    raw = w.double() / scale.double()[:, None]
    bias = b.double() - torch.einsum("d,mdc->mc", mean.double(), raw)
    peers = [lesson.objective.peers for lesson, _, _ in trials]
    return [
        Head(
            weights.numpy(),
            biases.numpy(),
            {"l2": strength, "items": len(rows), "objective": str(lesson.objective)},
        )
        for weights, biases, (lesson, rows, strength) in zip(
            torch.split(raw, peers), torch.split(bias, peers), trials, strict=True
        )
    ]
