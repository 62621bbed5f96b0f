"""From what learners say to a RecommendResult: predictions of every seed, from no truth but the gold labels."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import Any

import numpy as np
import numpy.typing as npt

from superalign.agreement import kappa
from superalign.evaluation import Cell
from superalign.job import Job
from superalign.metric import Bootstrap, clustered_share
from superalign.model import Model
from superalign.recommend_check import Found, Grid, checked
from superalign.recommend_result import Candidate, RecommendResult, RecommendRow, SupervisorFacts, SupervisorPair
from superalign.recommend_verdict import flags, verdict
from superalign.recommendation import (
    Sharpened,
    error_similarity,
    misfit,
    retrained,
    sharpened,
    squared_error,
    widened,
)
from superalign.recommending import FOLDS, TAKES, folds, gold_rows
from superalign.result import Interval, ModelFacts
from superalign.scoring import TestPart, conducted, interval, model_facts, task_facts
from superalign.steps import part_of
from superalign.study import Conduct, Fetch
from superalign.task import Shares, Task, recorded_unsealings, split

FloatArray = npt.NDArray[np.float32]
BoolArray = npt.NDArray[np.bool_]
FRESH = 30  # items unrelated to any with a gold label, with fewer of which the transfer part is taken


@dataclass(frozen=True)
class Asked:
    """A candidate and its learners, those of a seed side by side, each seed's last with all gold labels."""

    supervisor: str | None
    method: str
    budget: int
    cells: list[Cell]


@dataclass(frozen=True)
class RecommendEvidence:
    """What the study leaves to be scored; see studies.recommend.RecommendPlan."""

    items: Job
    gold: Job
    few: Job
    features: Mapping[str, Job]
    supervisors: Mapping[str, list[Cell]]
    asked: list[Asked]
    grid: Grid | None
    models: Mapping[str, Model]
    strong: str
    shares: Shares
    count: int
    seeds: int


def evaluate(evidence: RecommendEvidence, fetch: Fetch, conduct: Conduct) -> RecommendResult:
    """Predict and rank; read the truth of the test part only for a check."""
    task = Task.from_meta(fetch(evidence.items).meta)
    seeds = [SeedScores(evidence, fetch, task, seed) for seed in range(evidence.seeds)]
    first = seeds[0]
    ranked = [seed.ranked() for seed in seeds]
    with recorded_unsealings() as unsealed:
        check, truth = None, list[list[float | None]]([[None] * len(evidence.asked) for _ in seeds])
        if evidence.grid:
            part = TestPart(task, fetch(evidence.gold).tensors["labels"], evidence.shares, evidence.seeds)
            said = [seed.tested(part.rows) for seed in seeds]
            found = [
                Found(seed.predicted(), order, seed.indicators(), seed.bounds(), probs, part.truth)
                for seed, order, probs in zip(seeds, ranked, said, strict=True)
            ]
            supervised = [one.supervisor is not None for one in evidence.asked]
            plain = [
                (one.supervisor, one.method) if one.supervisor and not one.budget else None for one in evidence.asked
            ]
            check = checked(found, supervised, plain, evidence.grid, part, fetch)
            truth = [list[float | None](one.accuracy.tolist()) for one in found]
    candidates = first.candidates(ranked[0])
    supervisors, pairs = first.supervisors(), first.pairs()
    return RecommendResult(
        **conducted(conduct, unsealed),
        task=task_facts(task, split(task, evidence.shares, 0)),
        used=[_used(evidence, fetch, task, name) for name in evidence.models],
        gold=evidence.count,
        gold_groups=len(set(first.groups)),
        unlabelled=len(first.fresh),
        unlabelled_part=first.where,
        candidates=candidates,
        supervisors=supervisors,
        pairs=pairs,
        rows=[
            seed.row(place, rank, accuracy[place])
            for seed, order, accuracy in zip(seeds, ranked, truth, strict=True)
            for rank, place in enumerate(order, 1)
        ],
        check=check,
        flags=flags(candidates),
        verdict=verdict(evidence.count, candidates, supervisors, check),
    )


def _used(evidence: RecommendEvidence, fetch: Fetch, task: Task, name: str) -> ModelFacts:
    cell = evidence.asked[0].cells[0] if name == evidence.strong else evidence.supervisors[name][0]
    trained, features = fetch(cell.job).meta["facts"][cell.row], evidence.features.get(name)
    return model_facts(evidence.models[name], task, trained, fetch(features) if features else None)


class SeedScores:
    """All candidates of one seed: its gold labels, and what was said of them by learners that had not seen them."""

    def __init__(self, evidence: RecommendEvidence, fetch: Fetch, task: Task, seed: int) -> None:
        self.asked, self.seed, self.fetch = evidence.asked, seed, fetch
        self.gold = gold_rows(task, evidence.shares, seed, evidence.count)
        few, last = fetch(evidence.few).tensors, seed * TAKES + TAKES - 1
        self.truth = few["probs"][last, self.gold].argmax(1)
        self.groups, self.fold = np.array(task.groups())[self.gold], folds(task, self.gold, seed)
        self.bootstrap = Bootstrap(self.groups, 1)
        rest, all_groups = part_of(task, evidence.shares, seed, "supervise"), np.array(task.groups())
        rest = rest[~np.isin(all_groups[rest], self.groups)]
        enough = len(rest) >= FRESH
        self.where = "supervise" if enough else "transfer"
        self.fresh = rest if enough else part_of(task, evidence.shares, seed, "transfer")
        self.weak = {name: self._said(cells) for name, cells in evidence.supervisors.items()}
        self.said = [self._said(one.cells) for one in evidence.asked]
        self.alone = next(
            said
            for one, said in zip(self.asked, self.said, strict=True)
            if not one.supervisor and one.budget == len(self.gold)
        )
        self.sharp = self._sharpened()

    def ranked(self) -> list[int]:
        """Return the candidates' places in `asked`, best first; of equals the first asked for."""
        return sorted(range(len(self.asked)), key=lambda place: -self.sharp[place].bounds.value)

    def predicted(self) -> list[Interval]:
        """Return what is predicted of each candidate, in the order they were asked for."""
        return [interval(one.bounds) for one in self.sharp]

    def bounds(self) -> list[float | None]:
        """Return the largest squared error of each by theory."""
        return [self._theory(place)[1] for place in range(len(self.asked))]

    def tested(self, rows: npt.NDArray[np.int64]) -> FloatArray:
        """Return what each candidate, taught with all gold labels, says of other items, [candidates, n, k]."""
        return np.stack([said[-1, rows] for said in self.said])

    def indicators(self) -> dict[str, list[float | None]]:
        """Return the figures that might order the candidates, the higher the better; None of those without one."""
        found: dict[str, list[float | None]] = {
            "predicted": [one.bounds.value for one in self.sharp],
            "cross-fitted accuracy": [float(self._right(said).mean()) for said in self.said],
        }
        rest: list[list[float | None]] = [self._told(place) for place in range(len(self.asked))]
        names = ("supervisor's accuracy", "bound", "misfit", "disagreement", "unlike errors")
        return {**found, **{name: [one[number] for one in rest] for number, name in enumerate(names)}}

    def candidates(self, order: Sequence[int]) -> list[Candidate]:
        """Return all candidates, best first."""
        return [self._candidate(place, rank, order[0]) for rank, place in enumerate(order, 1)]

    def supervisors(self) -> list[SupervisorFacts]:
        """Return what the gold labels show of each supervisor."""
        return [
            SupervisorFacts(
                model=name,
                accuracy=interval(clustered_share(self.groups, self._right(said))),
                squared_error=squared_error(self._held(said), self.truth),
                error_similarity=self._similarity(said, self.alone),
            )
            for name, said in self.weak.items()
        ]

    def pairs(self) -> list[SupervisorPair]:
        """Return every two supervisors side by side."""
        found = []
        for (a, one), (b, other) in combinations(self.weak.items(), 2):
            x, y = (said[-1, self.fresh].argmax(-1) for said in (one, other))
            beyond = float(kappa(x, y, np.ones((1, len(x))))[0])
            found.append(
                SupervisorPair(
                    a=a,
                    b=b,
                    agreement=float((x == y).mean()),
                    kappa=beyond if np.isfinite(beyond) else None,
                    error_similarity=self._similarity(one, other),
                )
            )
        return found

    def row(self, place: int, rank: int, accuracy: float | None) -> RecommendRow:
        """Return the figures of one candidate."""
        one, bounds = self.asked[place], self.sharp[place].bounds
        weak, similar = self._weak(one), None
        if weak is not None:
            similar = self._similarity(weak, self.alone)
        found, bound = self._theory(place)
        return RecommendRow(
            seed=self.seed,
            rank=rank,
            supervisor=one.supervisor,
            method=one.method,
            budget=one.budget,
            predicted=bounds.value,
            low=bounds.low,
            high=bounds.high,
            cross_fitted=float(self._right(self.said[place]).mean()),
            supervisor_accuracy=None if weak is None else float(self._right(weak).mean()),
            misfit=found,
            bound=bound,
            agreement=self._agreement(place),
            error_similarity=similar,
            accuracy=accuracy,
        )

    def _candidate(self, place: int, rank: int, first: int) -> Candidate:
        one, said = self.asked[place], self.said[place]
        weak, right = self._weak(one), self._right(said)
        found, bound = self._theory(place)
        behind = self.sharp[first].values - self.sharp[place].values
        return Candidate(
            rank=rank,
            supervisor=one.supervisor,
            method=one.method,
            budget=one.budget,
            predicted=interval(self.sharp[place].bounds),
            behind=None if place == first else self._difference(behind),
            cross_fitted=interval(clustered_share(self.groups, right)),
            gain=None if weak is None else self._difference(right.astype(float) - self._right(weak)),
            misfit=found,
            bound=bound,
            squared_error=squared_error(self._held(said), self.truth),
            agreement=self._agreement(place),
        )

    def _sharpened(self) -> list[Sharpened]:
        """Return each candidate's accuracy, sharpened by how often it says what all candidates together say."""
        together = np.mean(self.said, axis=0).argmax(-1)  # [takes, items]
        found = []
        for said in self.said:
            same = said.argmax(-1) == together
            elsewhere = float(same[:-1, self.fresh].mean())
            agrees, among = same[self.fold, self.gold], len(self.fresh)
            found.append(sharpened(self._right(said), agrees, elsewhere, among, self.groups, retrained(FOLDS)))
        return found

    def _told(self, place: int) -> list[float | None]:
        """Return what a candidate's supervisor makes of it, the higher the better."""
        weak, agreement = self._weak(self.asked[place]), self._agreement(place)
        found, bound = self._theory(place)
        if weak is None or bound is None or agreement is None:
            return [None] * 5
        similar = self._similarity(weak, self.alone)
        right = float(self._right(weak).mean())
        return [right, -bound, found, -agreement, None if similar is None else -similar]

    def _theory(self, place: int) -> tuple[float | None, float | None]:
        """Return misfit, and the supervisor's squared error without it."""
        weak = self._weak(self.asked[place])
        if weak is None:
            return None, None
        found = misfit(self.said[place][-1, self.fresh], weak[-1, self.fresh])
        return found, squared_error(self._held(weak), self.truth) - found

    def _agreement(self, place: int) -> float | None:
        weak = self._weak(self.asked[place])
        if weak is None:
            return None
        said = self.said[place][-1, self.fresh]
        return float((said.argmax(-1) == weak[-1, self.fresh].argmax(-1)).mean())

    def _difference(self, values: npt.NDArray[np.floating[Any]]) -> Interval:
        return interval(widened(self.bootstrap.mean(values), FOLDS))

    def _similarity(self, a: FloatArray, b: FloatArray) -> float | None:
        return error_similarity(self._held(a), self._held(b), self.truth)

    def _weak(self, one: Asked) -> FloatArray | None:
        return self.weak[one.supervisor] if one.supervisor else None

    def _said(self, cells: Sequence[Cell]) -> FloatArray:
        """Return what the learners of this seed say, [takes, items, k]."""
        mine = cells[self.seed * TAKES : (self.seed + 1) * TAKES]
        return np.stack([self.fetch(cell.job).tensors["probs"][cell.row] for cell in mine])

    def _held(self, said: FloatArray) -> FloatArray:
        """Return what is said of the gold items, [n, k], each by the learner that had not its fold."""
        return said[self.fold, self.gold]

    def _right(self, said: FloatArray) -> BoolArray:
        return np.asarray(self._held(said).argmax(-1) == self.truth)
