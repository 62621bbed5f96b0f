"""From answers to a BalanceResult."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, NoReturn

import numpy as np
import numpy.typing as npt

from superalign import metric
from superalign.balance_claims import PLAIN, PRUNING, claims
from superalign.balance_result import (
    ArmSummary,
    AxisFacts,
    BalanceResult,
    BalanceRow,
    BalanceTest,
    Choice,
    Interference,
    Kind,
    Measure,
)
from superalign.balance_verdict import flags, verdict
from superalign.errors import DataError
from superalign.job import Job
from superalign.metric import Bootstrap
from superalign.model import Model
from superalign.pareto import front
from superalign.result import Interval, ModelFacts
from superalign.scoring import conducted, interval, share, task_facts
from superalign.study import Conduct, Fetch
from superalign.task import Shares, Task, recorded_unsealings, split

FloatArray = npt.NDArray[np.floating[Any]]
BoolArray = npt.NDArray[np.bool_]
FIGURES = ("cosine", "conflict", "conflict_large", "overlap")


@dataclass(frozen=True)
class Arm:
    """Who answers: the model itself, an expert, a mixture or a merge."""

    name: str
    kind: Kind
    method: str | None = None

    def __str__(self) -> str:
        return {"base": "the model itself", "merge": self.name}.get(self.kind, f"{self.kind} {self.name}")


@dataclass(frozen=True)
class BalanceCell:
    """One arm of one seed: the job of its answers, and of what it learned if it did."""

    arm: Arm
    seed: int
    job: Job
    learner: Job | None = None


@dataclass(frozen=True)
class BalanceEvidence:
    """What a study of balance leaves to be scored; `drawn` is by axis, then seed, `between` by seed."""

    items: Job
    drawn: list[list[Job]]
    cells: list[BalanceCell]
    between: list[Job]
    axes: list[str]
    specs: list[str]
    model: Model
    shares: Shares
    choose: Measure
    pairs: int
    flags: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class Scored:
    """One arm: wanted [seeds, n] on the test part, replicates [axes, r] of each axis, validation [seeds, axes]."""

    arm: Arm
    wanted: BoolArray
    means: FloatArray
    replicates: FloatArray
    validation: FloatArray

    def of(self, measure: Measure) -> tuple[float, FloatArray]:
        """Return the average or the worst of the axes, and its replicates."""
        how = np.mean if measure == "average" else np.min
        return float(how(self.means)), np.asarray(how(self.replicates, axis=0))

    def validated(self, measure: Measure) -> float:
        """Return the same of the validation part, seeds averaged first."""
        return float((np.mean if measure == "average" else np.min)(self.validation.mean(0)))


def evaluate(evidence: BalanceEvidence, fetch: Fetch, conduct: Conduct) -> BalanceResult:
    """Score all arms; every reading of the truth is in the result's record."""
    with recorded_unsealings() as unsealed:
        return _Scorer(evidence, fetch).conclude(conduct, unsealed)


class _Scorer:
    def __init__(self, evidence: BalanceEvidence, fetch: Fetch) -> None:
        self.evidence, self.fetch = evidence, fetch
        self.drawn = [[fetch(job).meta for job in axis] for axis in evidence.drawn]
        self.seeds = len(evidence.between)
        cells: dict[Arm, list[BalanceCell]] = {}
        for cell in evidence.cells:
            cells.setdefault(cell.arm, []).append(cell)
        self.cells = cells
        odds = {arm: self._odds(mine, "test") for arm, mine in cells.items()}
        known = np.isfinite(np.stack(list(odds.values()))).all((0, 1))
        self.places = self._places("test")
        self.axis, self.groups = self.places[known], self._groups()[known]
        left = np.isin(np.arange(len(self.drawn)), self.axis)
        if not left.all():
            self._nothing_left(left, "test")
        self.bootstrap = Bootstrap(self.groups, self.seeds)
        self.validation = self._validation()
        self.scored = {arm: self._score(arm, odds[arm][:, known] > 0) for arm in cells}
        self.missing = {arm: ~np.isfinite(one) for arm, one in odds.items()}

    def conclude(self, conduct: Conduct, unsealed: Sequence[tuple[str, str, str, int]]) -> BalanceResult:
        task = Task.from_meta(self.fetch(self.evidence.items).meta)
        summary, chosen = self._summary(), self._chosen()
        tests = self._tests(chosen)
        axes = [self._axis(place) for place in range(len(self.evidence.axes))]
        interference, singular = self._interference()
        learnt = self.fetch(next(cell.learner for cell in self.evidence.cells if cell.learner)).meta["facts"]
        read = {name: learnt[name] for name in ("layer", "truncated", "tokens")}
        return BalanceResult(
            **conducted(conduct, unsealed),
            task=task_facts(task, split(task, self.evidence.shares, 0)),
            model=ModelFacts.of(self.evidence.model, texts=2 * self.evidence.pairs, **read),
            axes=axes,
            rows=list(self._rows()),
            summary=summary,
            chosen=chosen,
            tests=tests,
            interference=interference,
            singular=singular,
            claims=claims(summary, tests, chosen),
            flags=[*self.evidence.flags, *flags(summary, axes, self.seeds)],
            verdict=verdict(summary, tests, chosen, interference, self.evidence.pairs),
        )

    def _nothing_left(self, left: BoolArray, part: str) -> NoReturn:
        """Refuse an axis of which no probe was answered by all arms."""
        lost = self.evidence.axes[int(np.argmin(left))]
        why = "every one of them lacks an answer of some arm"
        raise DataError(f"no probe of the {part} part is left of the axis {lost}", why=why)

    def _odds(self, cells: Sequence[BalanceCell], part: str) -> FloatArray:
        """Return the log-odds of what is wanted, all axes side by side, [seeds, n]."""
        said = [self.fetch(cell.job).tensors for cell in cells]
        return np.stack(
            [np.concatenate([one[f"axis{place} {part}"] for place in range(len(self.drawn))]) for one in said]
        )

    def _groups(self) -> npt.NDArray[np.str_]:
        """Return the group of each test probe; axes of one task share them."""
        return np.array(
            [
                f"{jobs[0].inputs['items'].key}/{probe[4]}"
                for jobs, axis in zip(self.evidence.drawn, self.drawn, strict=True)
                for probe in axis[0]["test"]
            ]
        )

    def _validation(self) -> dict[Arm, FloatArray]:
        """Return the share answered as wanted, [seeds, axes], of probes that all arms of a seed answered."""
        odds = {arm: self._odds(mine, "validation") for arm, mine in self.cells.items()}
        known = np.isfinite(np.stack(list(odds.values()))).all(0)
        places = self._places("validation")
        masks = np.stack([known & (places == place) for place in range(len(self.drawn))], axis=1)  # [seeds, axes, n]
        left = np.asarray(masks.any(-1).all(0))
        if not left.all():
            self._nothing_left(left, "supervise")
        return {arm: ((one[:, None] > 0) & masks).sum(-1) / masks.sum(-1) for arm, one in odds.items()}

    def _places(self, part: str) -> npt.NDArray[np.int64]:
        """Return the axis of each probe."""
        return np.concatenate([np.full(len(axis[0][part]), place) for place, axis in enumerate(self.drawn)])

    def _score(self, arm: Arm, wanted: BoolArray) -> Scored:
        masks = [self.axis == place for place in range(len(self.drawn))]
        means = np.array([wanted[:, mask].mean() for mask in masks])
        replicates = np.stack([self.bootstrap.means(wanted, mask) for mask in masks])
        return Scored(arm, wanted, means, replicates, self.validation[arm])

    def _summary(self) -> list[ArmSummary]:
        arms = list(self.scored.values())
        on_front = front(np.stack([one.means for one in arms]))
        often = front(np.stack([one.replicates for one in arms]).transpose(2, 0, 1)).mean(0)
        base = next(one for one in arms if one.arm.kind == "base")
        return [
            ArmSummary(
                arm=one.arm.name,
                kind=one.arm.kind,
                method=one.arm.method,
                scores=self._by_axis(one),
                changes=self._by_axis(one, base),
                average=_bounds(*one.of("average"), shared=True),
                worst=_bounds(*one.of("worst"), shared=True),
                validation_average=one.validated("average"),
                validation_worst=one.validated("worst"),
                front=bool(on_front[place]),
                front_share=float(often[place]),
                seeds=self.seeds,
            )
            for place, one in enumerate(arms)
        ]

    def _by_axis(self, one: Scored, minus: Scored | None = None) -> dict[str, Interval]:
        found = {}
        for place, name in enumerate(self.evidence.axes):
            value, drawn = one.means[place], one.replicates[place]
            if minus is not None:
                value, drawn = value - minus.means[place], drawn - minus.replicates[place]
            found[name] = _bounds(float(value), drawn, shared=minus is None)
        return found

    def _best(self, kind: Kind, measure: Measure, among: Sequence[str] = ()) -> Scored | None:
        """Return the arm of a kind that the validation part puts first; the first of equals."""
        mine = [s for s in self.scored.values() if s.arm.kind == kind and (not among or s.arm.method in among)]
        return max(mine, key=lambda one: one.validated(measure)) if mine else None

    def _chosen(self) -> Choice:
        by = self.evidence.choose
        merge, mixture = self._best("merge", by), self._best("mixture", by)
        return Choice(merge=merge.arm.name if merge else "", mixture=mixture.arm.name if mixture else "", by=by)

    def _tests(self, chosen: Choice) -> list[BalanceTest]:
        """Compare what was chosen, R-TSVM with TSV-M, and pruning with plain merges; all are one family."""
        by = chosen.by
        merge, mixture = self._best("merge", by), self._best("mixture", by)
        tsv, best = self._best("merge", by, ("tsv-m",)), self._best("merge", by, ("r-tsvm",))
        pruned, plain = self._best("merge", by, PRUNING), self._best("merge", by, PLAIN)
        reweighted = [s for s in self.scored.values() if s.arm.method == "r-tsvm"]
        wanted: list[tuple[Scored | None, Scored | None, Measure]] = [
            (merge, mixture, "average"),
            (merge, mixture, "worst"),
            *((one, tsv, "average") for one in reweighted),
            (best, mixture, "average"),
            (pruned, plain, "average"),
        ]
        pairs = {(str(a.arm), str(b.arm), m): (a, b, m) for a, b, m in wanted if a and b and a is not b}
        found = []
        for a, b, measure in pairs.values():
            (one, drawn), (other, against) = a.of(measure), b.of(measure)
            found.append((a, b, measure, one - other, drawn - against))
        p = [metric.straying(value, drawn) for *_, value, drawn in found]
        return [
            BalanceTest(
                a=str(a.arm),
                b=str(b.arm),
                difference=_bounds(value, drawn),
                p=own,
                p_holm=holm,
                n=a.wanted.shape[1],
                groups=self.bootstrap.n_groups,
                seeds=self.seeds,
                measure=measure,
            )
            for (a, b, measure, value, drawn), own, holm in zip(found, p, metric.holm(p), strict=True)
        ]

    def _rows(self) -> Iterator[BalanceRow]:
        for arm, cells in self.cells.items():
            one = self.scored[arm]
            for number, cell in enumerate(cells):
                counts = self._counts(cell)
                for place, name in enumerate(self.evidence.axes):
                    mine = one.wanted[number, self.axis == place]
                    yield BalanceRow(
                        arm=arm.name,
                        kind=arm.kind,
                        seed=cell.seed,
                        axis=name,
                        score=float(mine.mean()),
                        n=len(mine),
                        validation=float(one.validation[number, place]),
                        pairs=None if cell.learner is None else counts.get(f"axis{place}", 0),
                    )

    def _counts(self, cell: BalanceCell) -> dict[str, int]:
        return dict(self.fetch(cell.learner.inputs["mixed"]).meta["counts"]) if cell.learner else {}

    def _axis(self, place: int) -> AxisFacts:
        drawn, mine = self.drawn[place], self.axis == place
        return AxisFacts(
            axis=self.evidence.axes[place],
            spec=self.evidence.specs[place],
            test=int(mine.sum()),
            groups=len(set(self.groups[mine].tolist())),
            validation=len(drawn[0]["validation"]),
            pool=[len(one["pairs"]) for one in drawn],
            unanswered=int(sum(missing[:, self.places == place].sum() for missing in self.missing.values())),
            unasked=sum(len(one["errors"]) for one in drawn),
        )

    def _interference(self) -> tuple[list[Interference], float]:
        seeds = [self.fetch(job).meta for job in self.evidence.between]
        names = {f"expert{place}": name for place, name in enumerate(self.evidence.axes)}
        found = []
        for number, first in enumerate(seeds[0]["pairs"]):
            by_seed = {name: [float(one["pairs"][number][name]) for one in seeds] for name in FIGURES}
            found.append(
                Interference(
                    first=names[first["first"]],
                    second=names[first["second"]],
                    **{name: float(np.mean(values)) for name, values in by_seed.items()},
                    by_seed=by_seed,
                )
            )
        return found, float(np.mean([one["singular"] for one in seeds]))


def _bounds(value: float, replicates: FloatArray, shared: bool = False) -> Interval:
    """Return a figure with its interval; that of a share ends at 0 and 1."""
    found = metric.interval(value, replicates)
    return share(found) if shared else interval(found)
