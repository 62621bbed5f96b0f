"""From verdicts to a CriticEvalResult."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import combinations
from typing import Any

import numpy as np
import numpy.typing as npt

from superalign import agreement, metric
from superalign.agreement import Statistic, figure
from superalign.critic_annotators import concords
from superalign.critic_planted import planted_flaws
from superalign.critic_rate import Errors, rate
from superalign.critic_refined import refinements
from superalign.critic_result import Cost, CriticEvalResult, CriticRow, CriticSummary, JudgedCase, Position, Refinement
from superalign.critic_verdict import refined, verdict
from superalign.critics._cases import good_classes, verdicts
from superalign.job import Job
from superalign.judging import held_values, rows_of
from superalign.metric import Bootstrap, Bounds
from superalign.refinement import AnswerOracle
from superalign.result import Interval, PairedTest, ReliabilityBin
from superalign.scoring import LabelScore, TestScore, conducted, interval, share, task_facts
from superalign.store import Artifact
from superalign.study import Conduct, Fetch
from superalign.task import PARTS, Comparison, Gold, Task, recorded_unsealings

BoolArray = npt.NDArray[np.bool_]
FloatArray = npt.NDArray[np.floating[Any]]
IntArray = npt.NDArray[np.int64]
SILENT = 0.2  # share of cases without a verdict above which a flag says so
WRONG_SHOWN = 8  # cases a critic
INEXACT = "no exact answer is known of any response that was revised, so that gain and harm are not told"
REASONS = ("abstained", "unparsable", "unanswered")


@dataclass(frozen=True)
class CriticCell:
    """One critic of one seed: the jobs of what it says of the test part, the transfer part, and planted flaws."""

    critic: str
    learns: bool
    fingerprint: str
    seed: int
    test: Job
    calibration: Job
    flawed: Job | None
    revised: Job | None


@dataclass(frozen=True)
class CriticEvidence:
    """What a critic-eval study leaves to be scored; `dealt`: the good classes, what is held out, and the shares."""

    items: Job
    gold: Job
    planted: Job | None
    unaided: Job | None
    cells: list[CriticCell]
    dealt: Mapping[str, Any]
    seeds: int


@dataclass(frozen=True)
class Verdicts:
    """What one critic said of the test part: good [seeds, n], NaN without a verdict."""

    cells: list[CriticCell]
    said: list[Artifact]
    good: FloatArray

    @property
    def critic(self) -> str:
        """Its name."""
        return self.cells[0].critic

    @property
    def judged(self) -> BoolArray:
        """Which cases got a verdict, [seeds, n]."""
        return ~np.isnan(self.good)


def evaluate(evidence: CriticEvidence, fetch: Fetch, conduct: Conduct) -> CriticEvalResult:
    """Score all critics; every reading of the truth is in the result's record."""
    with recorded_unsealings() as unsealed:
        return _Scorer(evidence, fetch).conclude(conduct, unsealed)


class _Scorer:
    def __init__(self, evidence: CriticEvidence, fetch: Fetch) -> None:
        self.evidence, self.fetch, self.dealt = evidence, fetch, evidence.dealt
        self.task = Task.from_meta(fetch(evidence.items).meta)
        self._right = verdicts(self.task, fetch(evidence.gold).tensors["labels"], self.dealt["good"])
        self.rows = rows_of(self.task, self.dealt, "test", 0)
        self.truth = TestScore().truth(Gold(self._right[self.rows], "test")) == 1
        self.groups = np.array(self.task.groups())
        self.bootstrap = Bootstrap(self.groups[self.rows], evidence.seeds)
        named: dict[str, list[CriticCell]] = {}
        for cell in evidence.cells:
            named.setdefault(cell.critic, []).append(cell)
        self.all = [self._verdicts(cells) for cells in named.values()]

    def conclude(self, conduct: Conduct, unsealed: Sequence[tuple[str, str, str, int]]) -> CriticEvalResult:
        summary, tests = [self._summary(one) for one in self.all], self._tests()
        revised = self._refinements()
        kinds, said = good_classes(self.task, self.dealt["good"]), [(v.critic, v.good) for v in self.all]
        annotators = concords(self.task, self.rows, kinds, self.bootstrap, said)
        guess = float(max(self.truth.mean(), 1 - self.truth.mean()))
        tag = self.dealt["holdout"]
        held = sorted(held_values(self.task, tag, self.dealt["shares"])) if tag is not None else []
        parts = [rows_of(self.task, self.dealt, part, 0) for part in PARTS]
        return CriticEvalResult(
            **conducted(conduct, unsealed),
            task=task_facts(self.task, parts),
            good=[name for name, good in zip(self.task.classes, kinds, strict=True) if good],
            held_out=held,
            guess=guess,
            rows=[self._row(one, number) for one in self.all for number in range(len(one.cells))],
            summary=summary,
            tests=tests,
            annotators=annotators,
            refinements=revised,
            mistakes=[case for one in self.all for case in self._mistakes(one)],
            flags=[*_flags(summary), *([INEXACT] if self.evidence.unaided and not revised else [])],
            verdict=[*verdict(self.task.pairwise, guess, held, summary, tests, annotators), *refined(revised)],
        )

    def _verdicts(self, cells: list[CriticCell]) -> Verdicts:
        said = [self.fetch(cell.test) for cell in cells]
        return Verdicts(cells, said, np.stack([one.tensors["good"] for one in said]).astype(np.float64))

    def _summary(self, v: Verdicts) -> CriticSummary:
        measures, first = self._measures(v), v.cells[0]
        planted = self.fetch(self.evidence.planted) if self.evidence.planted else None
        flawed = [self.fetch(cell.flawed) for cell in v.cells if cell.flawed]
        reasons = Counter(_kind(why) for one in v.said for why in _whys(one) if why)
        return CriticSummary(
            critic=v.critic,
            learns=first.learns,
            fingerprint=first.fingerprint,
            seeds=len(v.cells),
            n=len(self.rows),
            coverage=share(self.bootstrap.mean(v.judged)),
            undetermined=dict(sorted(reasons.items())),
            **{name: _shown(figure(self.bootstrap, of), name) for name, of in measures.items()},
            position=self._position(v),
            rate=rate(v.good, self.truth, self.bootstrap, [self._errors(cell) for cell in v.cells]),
            planted=planted_flaws(self.task, self.rows, planted, v.said, flawed) if planted else None,
            cost=_cost(v.said),
            reliability=self._reliability(v),
        )

    def _measures(self, v: Verdicts) -> dict[str, list[Statistic]]:
        """Return each measure as the statistic of every seed, over the cases with a verdict."""
        found: dict[str, list[Statistic]] = {}
        for good in v.good:
            for name, statistic in self._measured(good).items():
                found.setdefault(name, []).append(statistic)
        return found

    def _measured(self, good: FloatArray) -> dict[str, Statistic]:
        judged = ~np.isnan(good)
        prob, truth = good[judged], self.truth[judged]
        said = prob > 0.5

        classes = said.astype(np.int64), truth.astype(np.int64)
        measures: dict[str, Statistic] = {
            "accuracy": partial(agreement.share, said == truth),
            "kappa": partial(agreement.kappa, *classes),
            "auroc": partial(agreement.auroc, prob, truth),
            "brier": partial(agreement.brier, prob, truth),
            "ece": partial(agreement.calibration_error, prob, truth),
        }
        if not self.task.pairwise:
            measures["precision"] = partial(agreement.share, ~truth, among=~said)
            measures["recall"] = partial(agreement.share, ~said, among=~truth)
        return {name: agreement.among(judged, statistic) for name, statistic in measures.items()}

    def _row(self, v: Verdicts, number: int) -> CriticRow:
        said, good, judged = v.said[number], v.good[number], v.judged[number]
        once = np.ones((1, len(good)))
        values = {name: _number(of(once)[0]) for name, of in self._measured(good).items()}
        reasons = Counter(_kind(why) for why in _whys(said) if why)
        cost = said.tensors["cost"].sum(0)
        errors = [why for why in _whys(said) if why.startswith("error")][:3]
        return CriticRow(
            critic=v.critic,
            seed=v.cells[number].seed,
            n=len(good),
            judged=int(judged.sum()),
            correct=int(((good > 0.5) == self.truth)[judged].sum()),
            **{"precision": None, "recall": None, **values},
            **{reason: reasons[reason] for reason in REASONS},
            errors=reasons["errors"],
            tokens_in=int(cost[0]),
            tokens_out=int(cost[1]),
            people=int(cost[3]),
            seconds=round(float(said.meta["seconds"]), 3),
            facts={"errors": errors} if errors else {},
        )

    def _position(self, v: Verdicts) -> Position | None:
        """Return what the order did, over cases with a verdict in both; None where none was asked about twice."""
        orders = [one.tensors["orders"] for one in v.said]
        both = [~np.isnan(each).any(1) for each in orders]
        if not all(known.any() for known in both):
            return None
        second = [each > 0.5 for each in orders]  # as the case stands: of a pair, that its second response is better
        same = [of[:, 0] == of[:, 1] for of in second]
        first = [(~of[:, 0] + of[:, 1].astype(float)) / 2 for of in second]  # the order turns the second into the first

        def mean(values: list[Any]) -> Interval | None:
            pairs = zip(values, both, strict=True)
            return _shown(figure(self.bootstrap, [partial(agreement.share, x, among=known) for x, known in pairs]), "")

        n = round(float(np.mean([known.sum() for known in both])))
        return Position(first=mean(first) if self.task.pairwise else None, consistent=mean(same), n=n)

    def _errors(self, cell: CriticCell) -> Errors:
        """Return how often a critic errs on the transfer part."""
        said = self.fetch(cell.calibration)
        rows = said.tensors["rows"]
        truth = LabelScore().truth(Gold(self._right[rows], "transfer")) == 1
        return Errors.of(said.tensors["good"], truth, self.groups[rows], cell.seed)

    def _refinements(self) -> list[Refinement]:
        """Return what came of revisions."""
        if self.evidence.unaided is None:
            return []
        whole = rows_of(self.task, {**self.dealt, "holdout": None}, "test", 0)  # good answers of all to the same
        oracle = AnswerOracle(self.task, whole, Gold(self._right[whole], "test"))
        aided = [(v.critic, [self.fetch(cell.revised) for cell in v.cells if cell.revised]) for v in self.all]
        return refinements(self.task, oracle, self.fetch(self.evidence.unaided), aided)

    def _tests(self) -> list[PairedTest]:
        """Compare every two critics on the cases that both gave a verdict on; all comparisons are one family."""
        tested = [(a, b, found) for a, b in combinations(self.all, 2) if (found := self._compared(a, b))]
        corrected = metric.holm([found.p for _, _, (found, _) in tested])
        return [
            PairedTest(
                a=a.critic,
                b=b.critic,
                difference=interval(found.difference),
                p=found.p,
                p_holm=p_holm,
                n=n,
                groups=self.bootstrap.n_groups,
                seeds=max(len(a.cells), len(b.cells)),
            )
            for (a, b, (found, n)), p_holm in zip(tested, corrected, strict=True)
        ]

    def _compared(self, a: Verdicts, b: Verdicts) -> tuple[metric.Paired, int] | None:
        seeds = max(len(a.good), len(b.good))
        pairs = [(a.good[seed % len(a.good)], b.good[seed % len(b.good)]) for seed in range(seeds)]
        both = [~np.isnan(x) & ~np.isnan(y) for x, y in pairs]
        gains = [((x > 0.5) == self.truth).astype(float) - ((y > 0.5) == self.truth) for x, y in pairs]
        pairs_of = zip(gains, both, strict=True)
        statistics = [partial(agreement.share, gain, among=known) for gain, known in pairs_of]
        found = agreement.difference(self.bootstrap, statistics)
        return (found, round(float(np.mean([known.sum() for known in both])))) if found else None

    def _reliability(self, v: Verdicts) -> list[ReliabilityBin]:
        good = v.good[v.judged]
        if not len(good):
            return []
        right = (good > 0.5) == np.broadcast_to(self.truth, v.good.shape)[v.judged]
        bins = metric.reliability(np.stack([1 - good, good], axis=1), right)
        return [ReliabilityBin(confidence=b.confidence, accuracy=b.accuracy, n=b.n) for b in bins]

    def _mistakes(self, v: Verdicts) -> list[JudgedCase]:
        """Return wrong verdicts of the first seed, the surest first."""
        good = v.good[0]
        wrong = np.flatnonzero(v.judged[0] & ((good > 0.5) != self.truth))
        names = ("first", "second") if self.task.pairwise else ("bad", "good")
        sure = np.maximum(good, 1 - good)
        found = []
        for place in sorted(wrong.tolist(), key=lambda place: -sure[place])[:WRONG_SHOWN]:
            item = self.task.items[self.rows[place]]
            alone = () if isinstance(item, Comparison) or item.response is None else (item.response,)
            found.append(
                JudgedCase(
                    critic=v.critic,
                    prompt=item.prompt,
                    responses=list(item.responses if isinstance(item, Comparison) else alone),
                    truth=names[int(self.truth[place])],
                    verdict=names[int(good[place] > 0.5)],
                    confidence=float(sure[place]),
                    words=v.said[0].meta["critiques"][place]["words"],
                )
            )
        return found


def _cost(said: Sequence[Artifact]) -> Cost:
    """Return the cost of 1,000 judgements, mean over seeds."""
    cases = sum(len(one.tensors["good"]) for one in said)
    tokens_in, tokens_out, _, people = (1000 * sum(one.tensors["cost"].sum(0) for one in said) / cases).tolist()
    seconds = 1000 * sum(one.meta["seconds"] for one in said) / cases
    return Cost(tokens_in=tokens_in, tokens_out=tokens_out, seconds=seconds, people=people)


def _whys(said: Artifact) -> list[str]:
    return [one["undetermined"] for one in said.meta["critiques"]]


def _kind(why: str) -> str:
    """Return the kind of a reason: every error is one kind, and an unknown reason is unanswered."""
    return why if why in REASONS else "errors" if why.startswith("error") else "unanswered"


def _number(value: float) -> float | None:
    return float(value) if np.isfinite(value) else None


def _shown(bounds: Bounds | None, name: str) -> Interval | None:
    """Return a figure's bounds within what it can be."""
    if bounds is None:
        return None
    return interval(bounds) if name == "kappa" else share(bounds)


def _flags(summary: Sequence[CriticSummary]) -> list[str]:
    found = []
    for one in summary:
        silent = 1 - one.coverage.value
        if silent > SILENT:
            why = ", ".join(f"{name} {count}" for name, count in one.undetermined.items())
            found.append(
                f"{one.critic} gave no verdict on {silent:.1%} of the cases ({why}): its figures are of the rest"
            )
        if count := one.undetermined.get("errors"):
            found.append(f"{one.critic} met {count} errors; they are counted, and not scored")
        if one.planted and one.planted.n == 0:
            found.append(f"no flaw could be planted for {one.critic}: no good response offered anything to tamper with")
    return found
