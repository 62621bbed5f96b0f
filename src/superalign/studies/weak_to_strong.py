"""Weak-to-strong generalization (Burns et al. 2023, arXiv 2312.09390).

A weak model is trained on the truth of the *supervise* part and labels the *transfer* part. Students, the strong
model, learn from those labels only; the ceiling is the same model trained on the truth of the same items, and the
control on the same labels dealt to the wrong items. All are scored on the *test* part, which no training ever sees.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Annotated, ClassVar

from pydantic import Field, model_validator

from superalign.easy_to_hard import Difficulty, divide
from superalign.ensemble import EnsembleChoice, JointEnsemble
from superalign.ensembles.mean import Mean
from superalign.evaluation import Cell, WeakToStrongEvidence, evaluate
from superalign.filter import FilterChoice
from superalign.fit import Fit, FitChoice
from superalign.fits.probe import Probe
from superalign.job import Job
from superalign.model import LayeredModelChoice, Model, Stage
from superalign.objective import Objective, ObjectiveChoice
from superalign.registry import Distinct, default
from superalign.result import WeakToStrongResult
from superalign.studies._jobs import Jobs
from superalign.studies._teachers import features_read, settled, teachers
from superalign.studies._teams import NAIVE, Team, ceiling, cells, check_taught, said_by, supervised, taught
from superalign.study import Conduct, Fetch, Plan, Study, studies
from superalign.task import Shares, TaskChoice


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

    weak: LayeredModelChoice = default("embedded:minilm")
    """The supervisor: a model trained on true labels of the supervise part."""
    strong: LayeredModelChoice = default("embedded:smollm2")
    """The student, and the ceiling."""
    task: TaskChoice = default("facts")
    """What is learnt."""
    methods: Annotated[tuple[ObjectiveChoice, ...], Field(min_length=1), Distinct] = default(("naive", "logconf"))
    """Objectives by which students learn from the weak labels."""
    filters: Annotated[tuple[FilterChoice, ...], Distinct] = ()
    """Filters of the weak labels: each method also learns from what each of them leaves."""
    helpers: Annotated[tuple[LayeredModelChoice, ...], Distinct] = ()
    """Other weak models, which label together with `weak`."""
    ensemble: EnsembleChoice = default("mean")
    """How the weak models, or several learners of one, label together."""
    through: Annotated[tuple[LayeredModelChoice, ...], Distinct] = ()
    """Models between weak and strong: each learns, from the labels of the one before, a slice of the transfer part."""
    fit: FitChoice = default("probe")
    """How much of the strong model moves: probe, lora or full."""
    weak_fit: FitChoice = default("probe")
    """How much of the weak model moves."""
    seeds: Annotated[int, Field(ge=1, le=1000)] = 5
    """How many seeds; each deals the supervise and transfer parts anew. The test part is the same for all."""
    shares: Shares = (5, 6, 5)
    """Proportions of the supervise, transfer and test parts, by group of related items."""
    easy_to_hard: Difficulty | None = None
    """A numeric tag (`rating`, or `population:low` where less is harder): the hardest groups are the test part, and all
    learn from the others."""
    sweep: Annotated[int, Field(ge=0)] = 8
    """How many layers of the strong model are probed for the accuracy-by-layer figure; 0 for none."""

    @model_validator(mode="after")
    def _teachable(self) -> WeakToStrong:
        check_taught(self._taught, self.weak_fit)
        return self

    def prepare(self, report: Stage) -> None:
        """See that the data is there, then fetch the models that are not here yet."""
        self.task.fingerprint()
        for model in self._models().values():
            model.prepare(report)

    def fingerprints(self) -> dict[str, str]:
        """Return the digests of all models and the task."""
        return {
            **{role: model.fingerprint() for role, model in self._models().items()},
            "task": self.task.fingerprint(),
        }

    def read_result(self, text: str) -> WeakToStrongResult:
        """Rebuild a result from results.json."""
        return WeakToStrongResult.model_validate_json(text)

    def plan(self) -> WeakToStrongPlan:
        """Expand to jobs: items, weak labels, features, students, ceiling, control, and probes by layer."""
        jobs, features = self._jobs(), dict[str, Job]()
        if layers := self._layers():
            features["strong"] = jobs.features(self.strong, layers)
        supervisors = self._supervisors(jobs, features)
        said = said_by(supervisors)
        naive, best = Team("student", (NAIVE,), jobs.labels("weak", "transfer", said=said)), ceiling(jobs)
        control = Team("control", (NAIVE,), jobs.labels("shuffled", "transfer", said=said))
        students = [Team("student", self.methods, naive.labels)]
        for one in self.filters:
            labels = jobs.filtered(one, naive.labels, self.strong, features.get("strong"))
            students.append(Team("student", self.methods, labels, f"after {one}"))

        read = features.get("strong")
        learners = taught(jobs, self.strong, self.fit, [*students, best, control], read)
        if chained := self._chained(jobs, said, features):
            learners += taught(jobs, self.strong, self.fit, chained, read)
        learners.sort(key=lambda cell: cell.role != "student")
        swept = {
            layer: taught(jobs, self.strong.at_layer(layer), Probe(), [naive, best], read) for layer in self._swept()
        }
        return WeakToStrongPlan(
            jobs.items,
            jobs.gold,
            features,
            [*supervisors, *learners],
            swept,
            jobs.check(self._taught),
        )

    def _jobs(self) -> Jobs:
        jobs = Jobs(self.task, self.shares, self.seeds)
        if self.easy_to_hard is None:
            return jobs
        params = {"difficulty": self.easy_to_hard, "shares": list(self.shares)}
        return replace(jobs, given=Job(divide, params, {"items": jobs.items}, "parts by difficulty"))

    def _supervisors(self, jobs: Jobs, features: dict[str, Job]) -> list[Cell]:
        """Return the weak model's cells, or those of the ensemble that labels in its place."""
        if isinstance(self.ensemble, Mean) and not self.helpers:
            if isinstance(self.weak_fit, Probe):
                features["weak"] = jobs.features(self.weak, [self.weak.chosen_layer()])
            return supervised(jobs, self.weak, self.weak_fit, features.get("weak"))
        models = [self.weak, *self.helpers]
        truth = jobs.labels("truth", "supervise", gold=jobs.gold)
        team = Team("weak", (NAIVE,), truth, f"by {self.ensemble}", "supervise")
        read = features_read(jobs, self.ensemble, models, self.weak_fit)
        seats = teachers(jobs, self.ensemble, models, self.weak_fit, NAIVE, truth, read)
        if isinstance(self.ensemble, JointEnsemble):
            students = {"features": features["strong"]}
            seats = settled(jobs, self.ensemble, models, seats, self.strong, students)
        features.update({"weak" if name == "way 0" else name: job for name, job in read.items()})
        return cells([team], seats)

    def _chained(self, jobs: Jobs, said: Job, features: dict[str, Job]) -> list[Team]:
        """Return the students at the end of the chain, and beside them those taught by the weak labels of its slice.

        Every step learns from a fresh slice, labelled by the one before (Burns et al. 2023, section 4.3.1).
        """
        if not self.through:
            return []
        slices = [f"transfer {number + 1}/{len(self.through) + 1}" for number in range(len(self.through) + 1)]
        last, plain = slices[-1], f"on slice {slices[-1].partition(' ')[2]}"
        labels = jobs.labels("weak", slices[0], said=said)
        for number, model in enumerate(self.through):
            if isinstance(self.fit, Probe):
                features[f"through {number + 1}"] = jobs.features(model, [model.chosen_layer()])
            step = Team("student", (NAIVE,), labels, part=slices[number])
            cached, following = features.get(f"through {number + 1}"), slices[number + 1]
            seats = jobs.learners(model, self.fit, [step], cached, step.part, [following])
            said_next = said_by(cells([step], seats))
            labels = jobs.labels("weak", following, said=said_next, title=f"labels: {model}")
        named = f"via {' > '.join(map(str, self.through))}"
        return [
            Team("student", self.methods, jobs.labels("weak", last, said=said), plain, last),
            Team("student", self.methods, labels, named, last, plain),
        ]

    def conclude(self, plan: WeakToStrongPlan, fetch: Fetch, conduct: Conduct) -> WeakToStrongResult:
        """Score every learner on the test part."""
        oracles = [fit for fit in (self.weak_fit, self.fit) if fit.wants_gold]
        evidence = WeakToStrongEvidence(
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

    def _models(self) -> dict[str, Model]:
        """Return every model by its role."""
        helpers = {f"helper {number + 1}": model for number, model in enumerate(self.helpers)}
        through = {f"through {number + 1}": model for number, model in enumerate(self.through)}
        return {"weak": self.weak, "strong": self.strong, **helpers, **through}

    def _layers(self) -> list[int]:
        """Return the layers of the strong model that anything looks at."""
        looks = isinstance(self.fit, Probe) or self.filters or any(one.wants_noise for one in self.methods)
        looks = looks or isinstance(self.ensemble, JointEnsemble)
        return sorted({*([self.strong.chosen_layer()] if looks else []), *self._swept()})

    def _swept(self) -> list[int]:
        depth = self.strong.depth()
        return sorted({round(depth * (i + 1) / self.sweep) for i in range(self.sweep)}) if depth else []
