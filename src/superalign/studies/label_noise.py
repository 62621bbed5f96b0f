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

from superalign.config import Component
from superalign.errors import ConfigError
from superalign.filter import FilterChoice
from superalign.fit import FitChoice
from superalign.fits.probe import Probe
from superalign.job import Job
from superalign.model import ModelChoice, Stage
from superalign.noise import Noise, NoiseChoice
from superalign.noise_evaluation import Method, NoiseCell, NoiseEvidence, evaluate
from superalign.noise_result import LabelNoiseResult
from superalign.noise_verdict import written
from superalign.objective import ObjectiveChoice
from superalign.registry import default
from superalign.steps import cache_features, check, filter_labels, label, learn, read_gold, read_items
from superalign.study import Conduct, Fetch, Plan, Study, studies
from superalign.task import TaskChoice, check_shares

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
class Lessons:
    """Learners that share their labels: all objectives and seeds at one rate, after one filter or none."""

    rate: float
    filter: str | None
    labels: Job

    @property
    def source(self) -> str:
        """Name of the labels among a job's inputs."""
        return f"labels at {self.rate:g}{f' after {self.filter}' if self.filter else ''}"


@studies.register("label-noise")
class LabelNoise(Study[LabelNoisePlan, LabelNoiseResult]):
    """Which objectives and filters survive wrong labels? One model learns from truth with known noise in it."""

    summary: ClassVar[str] = "make a known share of true labels wrong; measure which methods still learn the truth"
    example: ClassVar[str] = "superalign run label-noise --task facts,cities=800 --methods naive gce --rates 0 0.2 0.4"

    model: ModelChoice = default("embedded:smollm2")
    """The model that learns."""
    task: TaskChoice = default("facts")
    """What is learnt."""
    noise: NoiseChoice = default("symmetric")
    """How labels are made wrong; its own rate is not used, but each of `rates`."""
    rates: Annotated[tuple[Rate, ...], Field(min_length=1)] = (0.0, 0.1, 0.2, 0.3, 0.4)
    """Shares of the labels that are made wrong; without 0 no loss can be given."""
    methods: Annotated[tuple[ObjectiveChoice, ...], Field(min_length=1)] = default(
        ("naive", "logconf", "gce", "sce", "forward", "bootstrap")
    )
    """Objectives by which the model learns from the noisy labels; the others are compared with the first."""
    filters: tuple[FilterChoice, ...] = ()
    """Filters of the noisy labels: each method also learns from what each of them leaves."""
    fit: FitChoice = default("probe")
    """How much of the model moves: probe, lora or full."""
    seeds: Annotated[int, Field(ge=1, le=1000)] = 5
    """How many seeds; each deals the transfer part anew and draws other wrong labels. The test part is the same."""
    shares: tuple[int, int, int] = (5, 6, 5)
    """Proportions of the supervise, transfer and test parts, by group of related items; supervise is not used."""

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
            self.fit.check(method, None)
            if method.wants_rewards == "supervisor":
                why = "noise says which response is preferred, and not what each is worth"
                raise ConfigError(f"{method} takes in the supervisor's rewards", why=why, fix="run weak-to-strong")
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
        source = {"task": self.task.spec(), "fingerprint": self.task.fingerprint()}
        items, gold = Job(read_items, source, title="read the task"), Job(read_gold, source, title="read the truth")
        features = self._features(items) if self._reads_features else None
        noisy = {rate: self._noisy(rate, items, gold, features) for rate in self.rates}
        lessons = [Lessons(rate, None, labels) for rate, labels in noisy.items()]
        for one in self.filters:
            after = {rate: self._filtered(one, labels, items, features) for rate, labels in noisy.items()}
            lessons += [Lessons(rate, str(one), labels) for rate, labels in after.items()]
        taught = [[self.fit.spec(), method.spec()] for method in self.methods]
        checked = Job(check, {"taught": taught}, {"items": items}, "see what can be learnt")
        return LabelNoisePlan(items, gold, checked, features, self._cells(lessons, items, gold, features))

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

    @property
    def _identity(self) -> dict[str, Any]:
        return {"model": self.model.spec(), "fingerprint": self.model.fingerprint()}

    @property
    def _dealt(self) -> dict[str, Any]:
        return {"part": "transfer", "seeds": list(range(self.seeds)), "shares": list(self.shares)}

    def _at(self, rate: float) -> Noise:
        return type(self.noise).parse({**self.noise.model_dump(), "rate": rate})

    def _features(self, items: Job) -> Job:
        params = {**self._identity, "layers": [self.model.chosen_layer()]}
        return Job(cache_features, params, {"items": items}, f"features of {self.model}")

    def _noisy(self, rate: float, items: Job, gold: Job, features: Job | None) -> Job:
        params, inputs = {**self._dealt, "by": "noise", "noise": self._at(rate).spec()}, {"items": items, "gold": gold}
        if self.noise.needs_features:  # which labels are wrong then depends on the model
            params |= self._identity
            inputs |= {"features": features} if features else {}
        return Job(label, params, inputs, f"labels with {written(rate)} noise")

    def _filtered(self, chosen: Component, labels: Job, items: Job, features: Job | None) -> Job:
        inputs = {"items": items, "labels": labels, **({"features": features} if features else {})}
        params = {**self._dealt, **self._identity, "filter": chosen.spec()}
        return Job(filter_labels, params, inputs, f"{labels.title} after {chosen}")

    def _cells(self, lessons: list[Lessons], items: Job, gold: Job, features: Job | None) -> list[NoiseCell]:
        """Return one cell an objective, filter, rate and seed; a fit that solves them together gets them as one job."""
        params = {
            **self._identity,
            "fit": self.fit.spec(),
            "part": "transfer",
            "predict": ["test"],
            "shares": list(self.shares),
        }
        shared = {"items": items, **({"gold": gold} if self.fit.wants_gold else {})}
        taught = [
            (objective, one, seed)
            for chosen in dict.fromkeys(one.filter for one in lessons)
            for objective in self.methods
            for one in lessons
            if one.filter == chosen
            for seed in range(self.seeds)
        ]
        plans = [
            {"objective": objective.spec(), "seed": seed, "labels": one.source, "row": seed}
            for objective, one, seed in taught
        ]
        if self.fit.together:
            inputs = {**shared, **({"features": features} if features else {}), **{a.source: a.labels for a in lessons}}
            title = f"{len(taught)} learners: {self.fit} on {self.model}"
            whole = Job(learn, {**params, "lessons": plans}, inputs, title)
            return [
                NoiseCell(Method(str(objective), one.filter), one.rate, seed, whole, row, one.labels)
                for row, (objective, one, seed) in enumerate(taught)
            ]
        cells = []
        for plan, (objective, one, seed) in zip(plans, taught, strict=True):
            method = Method(str(objective), one.filter)
            inputs = {**shared, one.source: one.labels}
            if features and (isinstance(self.fit, Probe) or objective.wants_noise):
                inputs["features"] = features
            title = f"{self.fit} on {self.model}, {method}, {written(one.rate)} noise, seed {seed}"
            job = Job(learn, {**params, "lessons": [plan]}, inputs, title)
            cells.append(NoiseCell(method, one.rate, seed, job, 0, one.labels))
        return cells
