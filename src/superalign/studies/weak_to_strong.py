"""Weak-to-strong generalization (Burns et al. 2023, arXiv 2312.09390).

A weak model is trained on the truth of the *supervise* part and labels the *transfer* part. Students, the strong
model, learn from those labels only; the ceiling is the same model trained on the truth of the same items, and the
control on the same labels dealt to the wrong items. All are scored on the *test* part, which no training ever sees.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Annotated, Any, ClassVar

from pydantic import Field, field_validator, model_validator

from superalign.config import Component
from superalign.errors import ConfigError
from superalign.evaluation import Cell, Evidence, evaluate
from superalign.filter import Filter, FilterChoice
from superalign.fit import Fit, FitChoice
from superalign.fits.probe import Probe
from superalign.job import Job
from superalign.model import Model, ModelChoice, Stage
from superalign.objective import Objective, ObjectiveChoice
from superalign.objectives.naive import SoftCrossEntropy
from superalign.registry import default
from superalign.result import Role, WeakToStrongResult
from superalign.steps import cache_features, check, filter_labels, label, learn, read_gold, read_items, stack
from superalign.study import Conduct, Fetch, Plan, Study, studies
from superalign.task import TaskChoice, check_shares

NAIVE = SoftCrossEntropy()


@dataclass(frozen=True)
class WeakToStrongPlan(Plan):
    """The jobs of the study; `cells` say which row of which job is which learner."""

    items: Job
    gold: Job
    features: dict[str, Job]
    cells: list[Cell]
    layers: dict[int, list[Cell]]
    checked: Job

    def jobs(self) -> Iterator[Job]:
        """Yield features first, so that progress shows the slow part early; then learners."""
        yield self.items
        yield self.checked
        yield from self.features.values()
        yield from (cell.job for cell in self.cells)
        yield from (cell.job for cells in self.layers.values() for cell in cells)


@studies.register("weak-to-strong")
class WeakToStrong(Study[WeakToStrongPlan, WeakToStrongResult]):
    """Can a strong model, trained only on a weak model's labels, do better than its supervisor?"""

    summary: ClassVar[str] = "train a strong model on a weak model's labels; measure how much of the gap is recovered"
    example: ClassVar[str] = "superalign run weak-to-strong --task facts,cities=800 --methods naive logconf,alpha=0.75"

    weak: ModelChoice = default("embedded:minilm")
    """The supervisor: a model trained on true labels of the supervise part."""
    strong: ModelChoice = default("embedded:smollm2")
    """The student, and the ceiling."""
    task: TaskChoice = default("facts")
    """What is learnt."""
    methods: Annotated[tuple[ObjectiveChoice, ...], Field(min_length=1)] = default(("naive", "logconf"))
    """Objectives by which students learn from the weak labels."""
    filters: tuple[FilterChoice, ...] = ()
    """Filters of the weak labels: each method also learns from what each of them leaves."""
    fit: FitChoice = default("probe")
    """How much of the strong model moves: probe, lora or full."""
    weak_fit: FitChoice = default("probe")
    """How much of the weak model moves."""
    seeds: Annotated[int, Field(ge=1, le=1000)] = 5
    """How many seeds; each deals the supervise and transfer parts anew. The test part is the same for all."""
    shares: tuple[int, int, int] = (5, 6, 5)
    """Proportions of the supervise, transfer and test parts, by group of related items."""
    sweep: Annotated[int, Field(ge=0)] = 8
    """How many layers of the strong model are probed for the accuracy-by-layer figure; 0 for none."""

    @field_validator("shares")
    @classmethod
    def _positive(cls, shares: tuple[int, int, int]) -> tuple[int, int, int]:
        return check_shares(shares)

    @field_validator("methods", "filters")
    @classmethod
    def _distinct(cls, chosen: tuple[Component, ...]) -> tuple[Component, ...]:
        names = [str(one) for one in chosen]
        for name in names:
            if names.count(name) > 1:
                raise ConfigError(f"'{name}' is given twice")
        return chosen

    @model_validator(mode="after")
    def _teachable(self) -> WeakToStrong:
        for fit, method in self._taught:
            fit.check(method, None)
            if method.wants_rewards == "supervisor" and not self.weak_fit.tells_scores:
                why = f"weak_fit {self.weak_fit} does not judge responses one by one"
                raise ConfigError(
                    f"{method} takes in the supervisor's rewards", why=why, fix="weak_fit=lora,read=policy"
                )
        return self

    def prepare(self, report: Stage) -> None:
        """See that the data is there, then fetch the models that are not here yet."""
        self.task.fingerprint()
        self.weak.prepare(report)
        self.strong.prepare(report)

    def fingerprints(self) -> dict[str, str]:
        """Return the digests of both models and the task."""
        task = self.task.fingerprint()
        return {"weak": self.weak.fingerprint(), "strong": self.strong.fingerprint(), "task": task}

    def read_result(self, text: str) -> WeakToStrongResult:
        """Rebuild a result from results.json."""
        return WeakToStrongResult.model_validate_json(text)

    def plan(self) -> WeakToStrongPlan:
        """Expand to jobs: items, features, weak labels, students, ceiling, control, and probes by layer."""
        source = {"task": self.task.spec(), "fingerprint": self.task.fingerprint()}
        items, gold = Job(read_items, source, title="read the task"), Job(read_gold, source, title="read the truth")
        features = self._features(items)
        truth = self._labels("truth", "supervise", items, gold=gold)
        weak = self._cells(self.weak, self.weak_fit, [Team("weak", (NAIVE,), truth)], items, gold, features)
        said = _stacked(weak)
        naive = Team("student", (NAIVE,), self._labels("weak", "transfer", items, said=said))
        ceiling = Team("ceiling", (NAIVE,), self._labels("oracle", "transfer", items, gold=gold))
        control = Team("control", (NAIVE,), self._labels("shuffled", "transfer", items, said=said))
        students = [Team("student", self.methods, naive.labels)]
        for one in self.filters:
            students.append(Team("student", self.methods, self._filtered(one, naive.labels, items, features), str(one)))
        strong = self._cells(self.strong, self.fit, [*students, ceiling, control], items, gold, features)
        by_layer = {
            layer: self._cells(self.strong.at_layer(layer), Probe(), [naive, ceiling], items, gold, features)
            for layer in (self._swept_layers() if self.sweep else [])
        }
        taught = [[fit.spec(), method.spec()] for fit, method in self._taught]
        checked = Job(check, {"taught": taught}, {"items": items}, "see what can be learnt")
        return WeakToStrongPlan(items, gold, features, [*weak, *strong], by_layer, checked)

    def conclude(self, plan: WeakToStrongPlan, fetch: Fetch, conduct: Conduct) -> WeakToStrongResult:
        """Score every learner on the test part."""
        oracles = [fit for fit in (self.weak_fit, self.fit) if fit.wants_gold]
        evidence = Evidence(
            plan.items,
            plan.gold,
            plan.features,
            plan.cells,
            plan.layers,
            self.shares,
            {"weak": self.weak, "strong": self.strong},
            [f"oracle early stop: {fit} chose its stopping point by ground truth" for fit in oracles],
        )
        return evaluate(evidence, fetch, conduct)

    @property
    def _taught(self) -> list[tuple[Fit, Objective]]:
        return [(self.weak_fit, NAIVE), *((self.fit, method) for method in (NAIVE, *self.methods))]

    def _features(self, items: Job) -> dict[str, Job]:
        """Return one job for each model whose features are needed: all its layers in one pass."""
        wanted = {
            "weak": (self.weak, [self.weak.chosen_layer()] if isinstance(self.weak_fit, Probe) else []),
            "strong": (self.strong, self._swept_layers()),
        }
        return {
            role: Job(cache_features, {**_identity(model), "layers": layers}, {"items": items}, f"features of {model}")
            for role, (model, layers) in wanted.items()
            if layers
        }

    def _swept_layers(self) -> list[int]:
        chosen = {self.strong.chosen_layer()} if isinstance(self.fit, Probe) else set[int]()
        depth = self.strong.depth()
        spread = [round(depth * (i + 1) / self.sweep) for i in range(self.sweep)] if depth else []
        return sorted({*chosen, *spread})

    def _labels(self, by: str, part: str, items: Job, **inputs: Job) -> Job:
        params = {"by": by, "part": part, "seeds": list(range(self.seeds)), "shares": list(self.shares)}
        return Job(label, params, {"items": items, **inputs}, f"labels: {by}")

    def _filtered(self, chosen: Filter, labels: Job, items: Job, features: dict[str, Job]) -> Job:
        params = {
            **_identity(self.strong),
            "filter": chosen.spec(),
            "part": "transfer",
            "seeds": list(range(self.seeds)),
            "shares": list(self.shares),
        }
        inputs = {"items": items, "labels": labels}
        if "strong" in features:
            inputs["features"] = features["strong"]
        return Job(filter_labels, params, inputs, f"labels after {chosen}")

    def _cells(
        self, model: Model, fit: Fit, teams: list[Team], items: Job, gold: Job, features: dict[str, Job]
    ) -> list[Cell]:
        """Return one cell a team, method and seed; a fit that solves them together gets them as one job."""
        weak = teams[0].role == "weak"
        params = {
            **_identity(model),
            "fit": fit.spec(),
            "part": "supervise" if weak else "transfer",
            "predict": ["transfer", "test"] if weak else ["test"],
            "shares": list(self.shares),
        }
        inputs = {"items": items}
        cached = features.get("weak" if weak else "strong")
        if cached is not None and isinstance(fit, Probe):
            inputs["features"] = cached
        if fit.wants_gold:
            inputs["gold"] = gold
        learners = [(team, method, seed) for team in teams for method in team.methods for seed in range(self.seeds)]
        lessons = [
            {"objective": method.spec(), "seed": seed, "labels": team.source, "row": seed}
            for team, method, seed in learners
        ]
        if fit.together:
            labels = {team.source: team.labels for team in teams}
            title = f"{', '.join(dict.fromkeys(team.role for team in teams))}: {fit} on {model}"
            whole = Job(learn, {**params, "lessons": lessons}, {**inputs, **labels}, title)
            return [
                Cell(team.role, team.named(method), seed, whole, row, team.labels)
                for row, (team, method, seed) in enumerate(learners)
            ]
        cells = []
        for lesson, (team, method, seed) in zip(lessons, learners, strict=True):
            title = f"{team.role}: {fit} on {model}, {team.named(method)}, seed {seed}"
            job = Job(learn, {**params, "lessons": [lesson]}, {**inputs, team.source: team.labels}, title)
            cells.append(Cell(team.role, team.named(method), seed, job, 0, team.labels))
        return cells


@dataclass(frozen=True)
class Team:
    """Learners of one role: they learn from the same labels by one or more objectives."""

    role: Role
    methods: tuple[Objective, ...]
    labels: Job
    filtered: str = ""
    """The filter that went over the labels."""

    @property
    def source(self) -> str:
        """Name of the labels among a job's inputs."""
        return f"labels of {self.role}{' after ' * bool(self.filtered)}{self.filtered}"

    def named(self, method: Objective) -> str:
        """Return the name of a method of this team."""
        return f"{method} after {self.filtered}" if self.filtered else str(method)


def _stacked(cells: list[Cell]) -> Job:
    """Return the job that holds the predictions of all seeds in order."""
    if all(cell.job == cells[0].job for cell in cells):
        return cells[0].job
    return Job(stack, {}, {f"{cell.seed:04d}": cell.job for cell in cells}, "weak predictions of all seeds")


def _identity(model: Model) -> dict[str, Any]:
    return {"model": model.spec(), "fingerprint": model.fingerprint()}
