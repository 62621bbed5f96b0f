"""The same number of errors in other places (Burns et al. 2023, arXiv 2312.09390, simulated weak errors).

A weak model is trained on the truth of the *supervise* part; how often it is wrong on the *transfer* part is counted.
Then a strong model learns labels of the transfer part that are wrong just as often, a seed at a time, but elsewhere:
each structure says where. Every method, an objective, optionally after a filter has gone over the labels, learns from
each, and is scored on the truth of the *test* part, beside the weak model and the ceiling. What the supervisor of each
structure would say of the test part is kept too, so that it is seen how much a learner imitates.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Annotated, Any, ClassVar

from pydantic import Field, model_validator

from superalign.filter import FilterChoice
from superalign.fit import FitChoice
from superalign.fits.probe import Probe
from superalign.job import Job
from superalign.misleading import mislead, tell
from superalign.model import LayeredModelChoice, Stage
from superalign.noise_evaluation import Method
from superalign.objective import Objective, ObjectiveChoice
from superalign.objectives.naive import SoftCrossEntropy
from superalign.registry import Distinct, default
from superalign.structure import Match, Structure, StructureChoice
from superalign.structure_evaluation import StructureCell, StructureEvidence, evaluate
from superalign.structure_result import ErrorLabResult
from superalign.studies._jobs import Jobs, Seat, check_unrewarded, stacked
from superalign.study import Conduct, Fetch, Plan, Study, studies
from superalign.task import Shares, TaskChoice

NAIVE = SoftCrossEntropy()
STRUCTURES = ("weak", "random", "longest", "shortest", "ceiling-sure", "ceiling-unsure", "simulable", "trivial")


@dataclass(frozen=True)
class ErrorLabPlan(Plan):
    """The jobs of the study; cells say which row of which job is which learner."""

    items: Job
    gold: Job
    checked: Job
    features: dict[str, Job]
    weak: list[StructureCell]
    ceiling: list[StructureCell]
    cells: list[StructureCell]
    placed: dict[str, Job]

    def jobs(self) -> Iterator[Job]:
        """Yield features first, so that progress shows the slow part early; then labels and learners."""
        yield self.items
        yield self.checked
        yield from self.features.values()
        yield from self.placed.values()
        yield from (cell.job for cell in [*self.weak, *self.ceiling, *self.cells])


@dataclass(frozen=True)
class Team:
    """Learners that share their labels: all objectives and seeds on one structure, after one filter or none."""

    structure: str
    filter: str | None
    methods: tuple[Objective, ...]
    labels: Job
    kind: str = "learners"

    @property
    def source(self) -> str:
        """Name of the labels among a job's inputs."""
        return f"labels of {self.structure or self.kind}{f' after {self.filter}' if self.filter else ''}"

    def named(self, objective: Objective) -> str:
        """Return what the learners by an objective are called."""
        return f"{Method(str(objective), self.filter)}, {f'{self.structure} errors' if self.structure else self.kind}"


@studies.register("error-lab")
class ErrorLab(Study[ErrorLabPlan, ErrorLabResult]):
    """Which errors can be survived? One model learns from labels that are wrong equally often in different places."""

    summary: ClassVar[str] = "keep the number of wrong labels and move them; measure which errors a method survives"
    example: ClassVar[str] = "superalign run error-lab --task facts,cities=800 --structures weak random simulable"
    quick: ClassVar[Mapping[str, Any]] = {"task": "facts,cities=300", "seeds": 3}

    weak: LayeredModelChoice = default("embedded:minilm")
    """The model whose errors are counted: it is trained on true labels of the supervise part."""
    strong: LayeredModelChoice = default("embedded:smollm2")
    """The model that learns, and the ceiling."""
    task: TaskChoice = default("facts")
    """What is learnt."""
    structures: Annotated[tuple[StructureChoice, ...], Field(min_length=1), Distinct] = default(STRUCTURES)
    """Where the errors are; the others are compared with `random`."""
    methods: Annotated[tuple[ObjectiveChoice, ...], Field(min_length=1), Distinct] = default(
        ("naive", "logconf", "gce", "bootstrap")
    )
    """Objectives by which the strong model learns from the labels."""
    filters: Annotated[tuple[FilterChoice, ...], Distinct] = ()
    """Filters of the labels: each method also learns from what each of them leaves."""
    match: Match = "class"
    """What all structures have alike: `class`, the number of errors in each true class, so that the balance of the
    labels is the same too; or `rate`, their number alone. Comparisons always have the latter."""
    fit: FitChoice = default("probe")
    """How much of the strong model moves: probe, lora or full."""
    weak_fit: FitChoice = default("probe")
    """How much of the weak model moves."""
    seeds: Annotated[int, Field(ge=1, le=1000)] = 5
    """How many seeds; each deals the supervise and transfer parts anew. The test part is the same for all."""
    shares: Shares = (5, 6, 5)
    """Proportions of the supervise, transfer and test parts, by group of related items."""

    @model_validator(mode="after")
    def _teachable(self) -> ErrorLab:
        self.weak_fit.check(NAIVE, None)
        for method in (NAIVE, *self.methods):
            check_unrewarded(self.fit, method, "errors that are placed")
        return self

    def prepare(self, report: Stage) -> None:
        """See that the data is there, then fetch the models that are not here yet."""
        self.task.fingerprint()
        for model in (self.weak, self.strong):
            model.prepare(report)

    def fingerprints(self) -> dict[str, str]:
        """Return the digests of both models and the task."""
        return {
            "weak": self.weak.fingerprint(),
            "strong": self.strong.fingerprint(),
            "task": self.task.fingerprint(),
        }

    def read_result(self, text: str) -> ErrorLabResult:
        """Rebuild a result from results.json."""
        return ErrorLabResult.model_validate_json(text)

    def plan(self) -> ErrorLabPlan:
        """Expand to jobs: items, weak labels, features, labels a structure, filtered labels, learners, ceiling."""
        jobs, features = Jobs(self.task, self.shares, self.seeds), dict[str, Job]()
        if isinstance(self.weak_fit, Probe):
            features["weak"] = jobs.features(self.weak, [self.weak.chosen_layer()])
        if self._reads_features:
            features["strong"] = jobs.features(self.strong, [self.strong.chosen_layer()])
        first = Team("", None, (NAIVE,), jobs.labels("truth", "supervise", gold=jobs.gold), "weak")
        seats = jobs.learners(
            self.weak, self.weak_fit, [first], features.get("weak"), "supervise", ["transfer", "test"]
        )
        weak, said = _cells([first], seats), stacked([seat.job for seat in seats])
        placed = {str(one): self._placed(one, jobs, said, features.get("strong")) for one in self.structures}
        ceiling = Team("", None, (NAIVE,), jobs.labels("oracle", "transfer", gold=jobs.gold), "ceiling")
        plain = [name for name, one in zip(placed, self.structures, strict=True) if not one.remark]
        cells = self._taught(
            jobs, [ceiling, *self._teams(jobs, {name: placed[name] for name in plain}, features)], features
        )
        for name, one in zip(placed, self.structures, strict=True):
            for seed in range(self.seeds) if one.remark else ():
                cells += self._told(jobs, one, placed[name], seed)
        order = list(placed)
        learners = sorted((cell for cell in cells if cell.structure), key=lambda cell: order.index(cell.structure))
        return ErrorLabPlan(
            jobs.items,
            jobs.gold,
            jobs.check([(self.weak_fit, NAIVE), *((self.fit, method) for method in (NAIVE, *self.methods))]),
            features,
            weak,
            [cell for cell in cells if not cell.structure],
            learners,
            placed,
        )

    def _placed(self, structure: Structure, jobs: Jobs, said: Job, features: Job | None) -> Job:
        """Return the job that places errors; only one that looks at what the strong model knows depends on it."""
        params = {"structure": structure.spec(), "match": self.match, "seeds": list(range(self.seeds))}
        inputs = {"items": jobs.items, "gold": jobs.gold, "said": said}
        if structure.needs_features:
            params |= self.strong.identity()
            inputs |= {"features": features} if features else {}
        return Job(mislead, {**params, "shares": list(self.shares)}, inputs, f"labels with {structure} errors")

    def _teams(self, jobs: Jobs, placed: Mapping[str, Job], features: Mapping[str, Job]) -> list[Team]:
        """Return the learners on each structure, bare and after each filter."""
        teams = [Team(name, None, self.methods, labels) for name, labels in placed.items()]
        for one in self.filters:
            for name, labels in placed.items():
                filtered = jobs.filtered(one, labels, self.strong, features.get("strong"))
                teams.append(Team(name, str(one), self.methods, filtered))
        return teams

    def _told(self, jobs: Jobs, structure: Structure, labels: Job, seed: int) -> list[StructureCell]:
        """Return the learners of one seed that read items which say what their supervisor thinks."""
        params = {"remark": structure.remark, "seed": seed}
        said = Job(tell, params, {"items": jobs.items, "labels": labels}, f"items that say their label, seed {seed}")
        mine = replace(jobs, alone=seed, given=said)
        features = {"strong": mine.features(self.strong, [self.strong.chosen_layer()])} if self._learns_features else {}
        return self._taught(mine, self._teams(mine, {str(structure): labels}, features), features)

    def _taught(self, jobs: Jobs, teams: list[Team], features: Mapping[str, Job]) -> list[StructureCell]:
        """Return the learners; those of each filter have a job of their own, so that they change no others."""
        cells = list[StructureCell]()
        for name in dict.fromkeys(team.filter for team in teams):
            mine = [team for team in teams if team.filter == name]
            seats = jobs.learners(self.strong, self.fit, mine, features.get("strong"), "transfer", ["test"])
            cells += _cells(mine, seats)
        return cells

    def conclude(self, plan: ErrorLabPlan, fetch: Fetch, conduct: Conduct) -> ErrorLabResult:
        """Score every learner on the test part."""
        oracles = [fit for fit in (self.weak_fit, self.fit) if fit.wants_gold]
        evidence = StructureEvidence(
            plan.items,
            plan.gold,
            plan.features,
            plan.weak,
            plan.ceiling,
            plan.cells,
            plan.placed,
            self.shares,
            {"weak": self.weak, "strong": self.strong},
            self.match,
            [f"oracle early stop: {fit} chose its stopping point by ground truth" for fit in oracles],
        )
        return evaluate(evidence, fetch, conduct)

    @property
    def _learns_features(self) -> bool:
        estimates = any(method.wants_noise for method in self.methods)
        return isinstance(self.fit, Probe) or bool(self.filters) or estimates

    @property
    def _reads_features(self) -> bool:
        return self._learns_features or any(one.needs_features for one in self.structures)


def _cells(teams: list[Team], seats: list[Seat]) -> list[StructureCell]:
    owners = [teams[seat.team] for seat in seats]
    return [
        StructureCell(
            team.structure,
            Method(str(seat.objective), team.filter),
            seat.seed,
            seat.job,
            seat.row,
            team.labels,
        )
        for team, seat in zip(owners, seats, strict=True)
    ]
