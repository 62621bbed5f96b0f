"""From predictions to a ScalingResult, a task at a time: what is held does not grow with the grid."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from superalign import metric
from superalign.evaluation import Cell
from superalign.job import Job
from superalign.model import Model
from superalign.result import Interval, ModelFacts, TaskFacts
from superalign.scaling_result import Excluded, ScalingCell, ScalingResult, ScalingRow, SizeFacts, Unsuited
from superalign.scaling_trends import compared, summarised, trends
from superalign.scaling_verdict import verdict
from superalign.scoring import TestPart, conducted, interval, model_facts
from superalign.study import Conduct, Fetch
from superalign.task import Shares, Task, recorded_unsealings

BoolArray = npt.NDArray[np.bool_]
DROPPED_SHOWN = 100


@dataclass(frozen=True)
class Ground:
    """One task of a grid.

    Args:
        name: of the task.
        items, gold, checked: jobs of the task.
        features: by model.
        weak, ceilings: learners by model, one a seed.
        pairs: names of the weak and the strong model.
        students: makes the learners of a pair, all methods and seeds.
    """

    name: str
    items: Job
    gold: Job
    checked: Job
    features: Mapping[str, Job]
    weak: Mapping[str, list[Cell]]
    ceilings: Mapping[str, list[Cell]]
    pairs: list[tuple[str, str]]
    students: Callable[[str, str], list[Cell]]

    def jobs(self) -> Iterator[Job]:
        """Yield what is slow first, then each strong model's learners, so that its features are looked at together."""
        yield self.items
        yield self.gold
        yield self.checked
        yield from self.features.values()
        for cells in self.weak.values():
            yield from _jobs(cells)
        for strong, cells in self.ceilings.items():
            yield from _jobs(cells)
            for pair in self.pairs:
                if pair[1] == strong:
                    yield from _jobs(self.students(*pair))

    def alone(self, weak: str, strong: str) -> Iterator[Job]:
        """Yield the jobs of one pair as a run of its own would have them."""
        yield self.checked
        yield from _jobs([*self.weak[weak], *self.ceilings[strong], *self.students(weak, strong)])


def _jobs(cells: list[Cell]) -> Iterator[Job]:
    """Yield the jobs of cells; those side by side that share one, once."""
    last = None
    for cell in cells:
        if cell.job is not last:
            last = cell.job
            yield last


@dataclass(frozen=True)
class ScalingEvidence:
    """What a scaling study leaves to be scored."""

    grounds: list[Ground]
    sizes: list[SizeFacts]
    excluded: list[Excluded]
    unsuited: list[Unsuited]
    models: Mapping[str, Model]
    shares: Shares
    flags: list[str] = field(default_factory=list)


def evaluate(evidence: ScalingEvidence, fetch: Fetch, conduct: Conduct) -> ScalingResult:
    """Score all cells; every reading of the truth is in the result's record."""
    tasks, rows, cells = list[TaskFacts](), list[ScalingRow](), list[ScalingCell]()
    used: dict[str, ModelFacts] = {}
    with recorded_unsealings() as unsealed:
        for ground in evidence.grounds:
            scored = _Ground(ground, evidence, fetch)
            tasks.append(scored.part.facts())
            for name, facts in scored.read():
                used[name] = _more(used.get(name), facts)
            for pair in ground.pairs:
                for mine, cell in scored.pair(*pair):
                    rows += mine
                    cells.append(cell)
    summary = summarised(cells)
    moved, tests = trends(cells, evidence.sizes), compared(cells)
    return ScalingResult(
        **conducted(conduct, unsealed),
        task=_together(tasks),
        tasks=tasks,
        names=[ground.name for ground in evidence.grounds],
        used=list(used.values()),
        sizes=evidence.sizes,
        excluded=evidence.excluded,
        unsuited=evidence.unsuited,
        rows=rows,
        cells=cells,
        summary=summary,
        trends=moved,
        tests=tests,
        flags=[*evidence.flags, *_unknown(evidence.sizes)],
        verdict=verdict(cells, len(evidence.excluded), summary, moved, tests),
    )


class _Ground:
    """Scores the cells of one task."""

    def __init__(self, ground: Ground, evidence: ScalingEvidence, fetch: Fetch) -> None:
        self.ground, self.evidence, self.fetch = ground, evidence, fetch
        self.task = Task.from_meta(fetch(ground.items).meta)
        seeds = len(next(iter(ground.weak.values())))
        self.part = TestPart(self.task, fetch(ground.gold).tensors["labels"], evidence.shares, seeds)
        self.weak = {name: self._correct(cells) for name, cells in ground.weak.items()}
        self.ceilings = {name: self._correct(cells) for name, cells in ground.ceilings.items()}

    def read(self) -> Iterator[tuple[str, ModelFacts]]:
        """Yield what each model read of this task."""
        for name, cells in {**self.ground.weak, **self.ground.ceilings}.items():
            trained = self.fetch(cells[0].job).meta["facts"][cells[0].row]
            features = self.ground.features.get(name)
            read = self.fetch(features) if features else None
            yield name, model_facts(self.evidence.models[name], self.task, trained, read)

    def pair(self, weak: str, strong: str) -> Iterator[tuple[list[ScalingRow], ScalingCell]]:
        """Yield rows and cell of each method."""
        by_method: dict[str, list[Cell]] = {}
        for cell in self.ground.students(weak, strong):
            by_method.setdefault(cell.method, []).append(cell)
        below, above = self.weak[weak], self.ceilings[strong]
        floor, best = self.part.accuracy(below), self.part.accuracy(above)
        gap = self._difference(above, below)
        for method, cells in by_method.items():
            correct = self._correct(cells)
            found = metric.performance_gap_recovered(below, correct, above, self.part.bootstrap)
            rows = [
                ScalingRow(
                    task=self.ground.name,
                    weak=weak,
                    strong=strong,
                    method=method,
                    seed=cell.seed,
                    weak_accuracy=float(below[number].mean()),
                    accuracy=float(correct[number].mean()),
                    ceiling_accuracy=float(above[number].mean()),
                    n=correct.shape[1],
                )
                for number, cell in enumerate(cells)
            ]
            scored = ScalingCell(
                task=self.ground.name,
                weak=weak,
                strong=strong,
                method=method,
                weak_accuracy=floor,
                accuracy=self.part.accuracy(correct),
                ceiling_accuracy=best,
                gap=gap,
                gain=self._difference(correct, below),
                pgr=interval(found.bounds) if found.bounds else None,
                reason=found.reason,
                n=correct.shape[1],
                groups=self.part.bootstrap.n_groups,
                seeds=len(cells),
            )
            yield rows, scored

    def _correct(self, cells: list[Cell]) -> BoolArray:
        """Return which answers on the test part are right, [seeds, n]."""
        said = [self.fetch(cell.job).tensors["probs"][cell.row][self.part.rows].argmax(-1) for cell in cells]
        return np.asarray(np.stack(said) == self.part.truth)

    def _difference(self, a: BoolArray, b: BoolArray) -> Interval:
        return interval(self.part.bootstrap.mean(a.astype(float) - b))


def _more(known: ModelFacts | None, facts: ModelFacts) -> ModelFacts:
    """Add what a model read of one task to what it read of others."""
    if known is None:
        return facts
    counted = {name: getattr(known, name) + getattr(facts, name) for name in ("texts", "truncated", "tokens")}
    return facts.model_copy(update=counted)


def _together(tasks: list[TaskFacts]) -> TaskFacts:
    """Return the facts of all tasks as those of one."""
    if len(tasks) == 1:
        return tasks[0]
    return TaskFacts(
        name=f"{len(tasks)} tasks",
        version="+".join(dict.fromkeys(one.version for one in tasks)),
        pairwise=all(one.pairwise for one in tasks),
        classes=list(dict.fromkeys(name for one in tasks for name in one.classes)),
        items=sum(one.items for one in tasks),
        groups=sum(one.groups for one in tasks),
        parts={name: sum(one.parts[name] for one in tasks) for name in tasks[0].parts},
        dropped=sum(one.dropped for one in tasks),
        dropped_rows=[row for one in tasks for row in one.dropped_rows][:DROPPED_SHOWN],
        warnings=[f"{one.name}: {text}" for one in tasks for text in one.warnings],
    )


def _unknown(sizes: list[SizeFacts]) -> list[str]:
    names = [size.model for size in sizes if size.parameters is None]
    why = "no pair is left out for their size, and they are in no trend over parameters"
    return [f"the size of {', '.join(names)} is not known: {why}"] if names else []
