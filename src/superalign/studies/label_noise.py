"""Learning from labels of which a known share is wrong (van Rooyen et al. 2015; Zhang and Sabuncu 2018, section 4).

The truth of the *transfer* part is corrupted at several rates, by a noise that is known. One model learns from the
noisy labels by every method, an objective, optionally after a filter has gone over the labels, and is scored on the
untouched truth of the *test* part. At rate 0 a method learns from the truth itself. A method is told neither the
noise nor its rate; one that must know it estimates it from the labels. The *supervise* part stays aside, so that
the learners of `weak-to-strong` have as many items, and the same ones.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Annotated, Any, ClassVar

from pydantic import Field, field_validator, model_validator

from superalign.errors import ConfigError
from superalign.filter import FilterChoice
from superalign.fit import FitChoice
from superalign.fits.probe import Probe
from superalign.job import Job
from superalign.model import LayeredModelChoice, Stage
from superalign.noise import Noise, NoiseChoice
from superalign.noise_evaluation import Method, NoiseCell, NoiseEvidence, evaluate
from superalign.noise_result import LabelNoiseResult
from superalign.noise_verdict import written
from superalign.objective import Objective, ObjectiveChoice
from superalign.registry import Distinct, default
from superalign.studies._jobs import Jobs, check_unrewarded
from superalign.study import Conduct, Fetch, Plan, Study, studies
from superalign.task import Shares, TaskChoice

Rate = Annotated[float, Field(ge=0, lt=1)]


@dataclass(frozen=True)
class LabelNoisePlan(Plan):
    """The jobs of the study; `cells` say which row of which job is which learner."""

    items: Job
    gold: Job
    checked: Job
    features: Job | None
    cells: list[NoiseCell]

    def jobs(self) -> Iterator[Job]:
        """Yield features first, so that progress shows the slow part early; then learners."""
        yield self.items
        yield self.checked
        if self.features is not None:
            yield self.features
        yield from (cell.job for cell in self.cells)


@dataclass(frozen=True)
class Team:
    """Learners that share their labels: all objectives and seeds at one rate, after one filter or none."""

    rate: float
    filter: str | None
    methods: tuple[Objective, ...]
    labels: Job
    kind: str = "learners"

    @property
    def source(self) -> str:
        """Name of the labels among a job's inputs."""
        return f"labels at {self.rate:g}{f' after {self.filter}' if self.filter else ''}"

    def method(self, objective: Objective) -> Method:
        """Return the method that an objective is here."""
        return Method(str(objective), self.filter)

    def named(self, objective: Objective) -> str:
        """Return what the learners by an objective are called."""
        return f"{self.method(objective)}, {written(self.rate)} noise"


@studies.register("label-noise")
class LabelNoise(Study[LabelNoisePlan, LabelNoiseResult]):
    """Which objectives and filters survive wrong labels? One model learns from truth with known noise in it."""

    summary: ClassVar[str] = "make a known share of true labels wrong; measure which methods still learn the truth"
    example: ClassVar[str] = "superalign run label-noise --task facts,cities=800 --methods naive gce --rates 0 0.2 0.4"

    model: LayeredModelChoice = default("embedded:smollm2")
    """The model that learns."""
    task: TaskChoice = default("facts")
    """What is learnt."""
    noise: NoiseChoice = default("symmetric")
    """How labels are made wrong; its own rate is not used, but each of `rates`."""
    rates: Annotated[tuple[Rate, ...], Field(min_length=1)] = (0.0, 0.1, 0.2, 0.3, 0.4)
    """Shares of the labels that are made wrong; without 0 no loss can be given."""
    methods: Annotated[tuple[ObjectiveChoice, ...], Field(min_length=1), Distinct] = default(
        ("naive", "logconf", "gce", "sce", "forward", "bootstrap")
    )
    """Objectives by which the model learns from the noisy labels; the others are compared with the first."""
    filters: Annotated[tuple[FilterChoice, ...], Distinct] = ()
    """Filters of the noisy labels: each method also learns from what each of them leaves."""
    fit: FitChoice = default("probe")
    """How much of the model moves: probe, lora or full."""
    seeds: Annotated[int, Field(ge=1, le=1000)] = 5
    """How many seeds; each deals the transfer part anew and draws other wrong labels. The test part is the same."""
    shares: Shares = (5, 6, 5)
    """Proportions of the supervise, transfer and test parts, by group of related items; supervise is not used."""

    @field_validator("rates")
    @classmethod
    def _rising(cls, rates: tuple[float, ...]) -> tuple[float, ...]:
        if len(set(rates)) < len(rates):
            raise ConfigError(f"a rate is given twice in {' '.join(f'{rate:g}' for rate in rates)}")
        return tuple(sorted(rates))

    @model_validator(mode="after")
    def _has_a_rate(self) -> LabelNoise:
        if "rate" not in type(self.noise).model_fields:
            raise ConfigError(f"noise '{self.noise}' has no rate to set", fix="for example: --noise symmetric")
        if getattr(self.noise, "matrix", ()):
            raise ConfigError(
                f"noise '{self.noise}' has a matrix, which leaves no rate to set",
                fix=f"leave the matrix out: --noise {self.noise.name}",
            )
        for rate in self.rates:
            self._at(rate)
        return self

    @model_validator(mode="after")
    def _teachable(self) -> LabelNoise:
        for method in self.methods:
            check_unrewarded(self.fit, method, "noisy labels")
        return self

    def prepare(self, report: Stage) -> None:
        """See that the data is there, then fetch the model if it is not here yet."""
        self.task.fingerprint()
        self.model.prepare(report)

    def fingerprints(self) -> dict[str, str]:
        """Return the digests of the model and the task."""
        return {"model": self.model.fingerprint(), "task": self.task.fingerprint()}

    def read_result(self, text: str) -> LabelNoiseResult:
        """Rebuild a result from results.json."""
        return LabelNoiseResult.model_validate_json(text)

    def plan(self) -> LabelNoisePlan:
        """Expand to jobs: items, truth, features, noisy labels a rate, filtered labels, learners."""
        jobs = Jobs(self.task, self.shares, self.seeds)
        features = jobs.features(self.model, [self.model.chosen_layer()]) if self._reads_features else None
        noisy = {rate: self._noisy(rate, jobs, features) for rate in self.rates}
        teams = [Team(rate, None, self.methods, labels) for rate, labels in noisy.items()]
        for one in self.filters:
            for rate, labels in noisy.items():
                filtered = jobs.filtered(one, labels, self.model, features)
                teams.append(Team(rate, str(one), self.methods, filtered))
        seats = jobs.learners(self.model, self.fit, teams, features, "transfer", ["test"])
        cells = [
            NoiseCell(team.method(seat.objective), team.rate, seat.seed, seat.job, seat.row, team.labels)
            for seat in seats
            for team in [teams[seat.team]]
        ]
        methods = list(dict.fromkeys(cell.method for cell in cells))
        cells.sort(key=lambda cell: methods.index(cell.method))
        checked = jobs.check((self.fit, method) for method in self.methods)
        return LabelNoisePlan(jobs.items, jobs.gold, checked, features, cells)

    def conclude(self, plan: LabelNoisePlan, fetch: Fetch, conduct: Conduct) -> LabelNoiseResult:
        """Score every learner on the test part."""
        oracle = f"oracle early stop: {self.fit} chose its stopping point by ground truth"
        evidence = NoiseEvidence(
            plan.items,
            plan.gold,
            plan.features,
            plan.cells,
            self.shares,
            self.model,
            str(self.noise.model_copy(update={"rate": type(self.noise).model_fields["rate"].default})),
            [oracle] if self.fit.wants_gold else [],
        )
        return evaluate(evidence, fetch, conduct)

    @property
    def _reads_features(self) -> bool:
        estimates = any(method.wants_noise for method in self.methods)
        return isinstance(self.fit, Probe) or bool(self.filters) or self.noise.needs_features or estimates

    def _at(self, rate: float) -> Noise:
        return type(self.noise).parse({**self.noise.model_dump(), "rate": rate})

    def _noisy(self, rate: float, jobs: Jobs, features: Job | None) -> Job:
        more: dict[str, Any] = {"noise": self._at(rate).spec(), "gold": jobs.gold}
        if self.noise.needs_features:  # which labels are wrong then depends on the model
            more |= {**self.model.identity(), "features": features}
        return jobs.labels("noise", "transfer", f"labels with {written(rate)} noise", **more)
