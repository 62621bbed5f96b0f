"""The jobs that studies share: reading, features, labels, filtered labels, learners."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, NamedTuple, Protocol, TypeVar

from superalign.ensemble import PLAIN
from superalign.errors import ConfigError
from superalign.filter import Filter
from superalign.fit import Fit
from superalign.fits.probe import Probe
from superalign.job import Job
from superalign.model import Model
from superalign.objective import Objective
from superalign.steps import cache_features, check, filter_labels, label, learn, read_gold, read_items, stack
from superalign.task import Shares, TaskSource
from superalign.teaching import ask

T = TypeVar("T")


def check_unrewarded(fit: Fit, method: Objective, told: str) -> None:
    """Refuse what a fit cannot be taught by labels that hold no rewards; `told` is what the labels are.

    Raises:
        ConfigError: the method cannot go with the fit, or takes in what responses are worth.
    """
    fit.check(method, None)
    if method.wants_rewards == "supervisor":
        why = f"{told} tell which response is preferred, and not what each is worth"
        raise ConfigError(f"{method} takes in the supervisor's rewards", why=why, fix="run weak-to-strong")


class Team(Protocol):
    """Learners that share their labels: each of some objectives, each seed."""

    @property
    def kind(self) -> str:
        """What they are."""

    @property
    def methods(self) -> tuple[Objective, ...]:
        """By which they learn."""

    @property
    def labels(self) -> Job:
        """From what."""

    @property
    def source(self) -> str:
        """Name of the labels among a job's inputs."""

    def named(self, objective: Objective) -> str:
        """Return what the learners by an objective are called."""


class Seat(NamedTuple):
    """One learner: which row of which job's predictions is its."""

    team: int
    objective: Objective
    seed: int
    job: Job
    row: int


@dataclass(frozen=True)
class Jobs:
    """Makes the jobs of a study.

    Args:
        task: what is learnt.
        shares: how it is divided.
        seeds: how many.
        alone: the one of the seeds that these jobs are about; None for all.
        given: items that stand in the place of the task's own.
        takes: learners of each method and seed, each with a row of the labels of its own: those of a seed side by side.
        made: parts of parameters that were made once; studies of several tasks share it among them.
    """

    task: TaskSource
    shares: Shares
    seeds: int
    alone: int | None = None
    given: Job | None = None
    takes: int = 1
    made: dict[tuple[Any, ...], tuple[Any, Any]] = field(default_factory=dict)

    @cached_property
    def items(self) -> Job:
        """The task's items."""
        return self.given or Job(read_items, self._source, title="read the task")

    @cached_property
    def gold(self) -> Job:
        """The task's truth."""
        return Job(read_gold, self._source, title="read the truth")

    def asked(self, template: str) -> Job:
        """Return the task's items, each put into a prompt template."""
        return self.items if template == PLAIN else Job(ask, {"template": template}, {"items": self.items}, "ask")

    def check(self, taught: Iterable[tuple[Fit, Objective]]) -> Job:
        """Return the job that refuses what cannot be learnt from these items, before anything is trained."""
        params = {"taught": [[fit.spec(), objective.spec()] for fit, objective in taught]}
        return Job(check, params, {"items": self.items}, "see what can be learnt")

    def features(self, model: Model, layers: Iterable[int], template: str = PLAIN, after: tuple[Job, ...] = ()) -> Job:
        """Return the job that computes features of some layers in one pass, or finds what jobs before it have kept."""
        params = {**self.identity(model), "layers": list(layers)}
        under = "" if template == PLAIN else f", asked '{template}'"
        return Job(cache_features, params, {"items": self.asked(template)}, f"features of {model}{under}", after)

    def labels(self, by: str, part: str, title: str = "", **more: Any) -> Job:
        """Return the job that labels a part for every seed; jobs among `more` are inputs, the rest parameters."""
        inputs = {name: value for name, value in more.items() if isinstance(value, Job)}
        params = {name: value for name, value in more.items() if name not in inputs}
        return Job(
            label,
            {**self.dealt(part), "by": by, **params},
            {"items": self.items, **inputs},
            title or f"labels: {by}",
        )

    def filtered(self, chosen: Filter, labels: Job, model: Model, features: Job | None, part: str = "transfer") -> Job:
        """Return the job that lets a filter go over labels, by features of a model."""
        params = {**self.dealt(part), **self.identity(model), "filter": chosen.spec()}
        inputs = {"items": self.items, "labels": labels, **_named(features)}
        return Job(filter_labels, params, inputs, f"{labels.title} after {chosen}")

    def learners(
        self, model: Model, fit: Fit, teams: Sequence[Team], features: Job | None, part: str, predict: list[str]
    ) -> list[Seat]:
        """Return a seat a team, method and seed; a fit that solves them together gets them as one job."""
        params = {
            **self.identity(model),
            "fit": fit.spec(),
            "part": part,
            "predict": predict,
            "shares": list(self.shares),
        }
        inputs = {"items": self.items, **({"gold": self.gold} if fit.wants_gold else {})}
        taught = [
            (number, method, seed)
            for number, team in enumerate(teams)
            for method in team.methods
            for seed in self._numbers
            for _ in range(self.takes)
        ]
        lessons = [lesson for team in teams for lesson in self._lessons(team)]
        if fit.together:
            inputs |= {**_named(features), **{team.source: team.labels for team in teams}}
            title = f"{', '.join(dict.fromkeys(team.kind for team in teams))}: {fit} on {model}"
            whole = Job(learn, {**params, "lessons": lessons}, inputs, title)
            return [Seat(*one, whole, row) for row, one in enumerate(taught)]
        seats = []
        for lesson, (number, method, seed) in zip(lessons, taught, strict=True):
            team = teams[number]
            looks = isinstance(fit, Probe) or method.wants_noise
            mine = {**inputs, **(_named(features) if looks else {}), team.source: team.labels}
            title = f"{team.named(method)}: {fit} on {model}, seed {seed}"
            seats.append(Seat(number, method, seed, Job(learn, {**params, "lessons": [lesson]}, mine, title), 0))
        return seats

    def dealt(self, part: str) -> dict[str, Any]:
        """Return the parameters that say which items a job is about, for every seed."""
        return {"part": part, "seeds": self._numbers, "shares": list(self.shares)}

    @property
    def _numbers(self) -> list[int]:
        return list(range(self.seeds)) if self.alone is None else [self.alone]

    def identity(self, model: Model) -> dict[str, Any]:
        """Return the parameters by which jobs know a model; its files are looked at once."""
        return self._once(("identity", id(model)), model, model.identity)

    def _lessons(self, team: Team) -> list[dict[str, Any]]:
        """Return what the learners of a team are taught; teams alike share it, which keeps a large plan small."""

        def make() -> list[dict[str, Any]]:
            source, specs = team.source, [method.spec() for method in team.methods]
            return [
                {"objective": spec, "seed": seed, "labels": source, "row": seed * self.takes + take}
                for spec in specs
                for seed in self._numbers
                for take in range(self.takes)
            ]

        key = ("lessons", team.source, id(team.methods), self.seeds, self.alone, self.takes)
        return self._once(key, team.methods, make)

    def _once(self, key: tuple[Any, ...], of: Any, make: Callable[[], T]) -> T:
        """Return what `make` made for an object the first time; holding the object keeps its id its own."""
        if key not in self.made:
            self.made[key] = (of, make())
        made: T = self.made[key][1]
        return made

    @cached_property
    def _source(self) -> dict[str, Any]:
        return {"task": self.task.spec(), "fingerprint": self.task.fingerprint()}


def stacked(jobs: Sequence[Job]) -> Job:
    """Return the job that holds what the jobs of all seeds returned, in order."""
    if all(job == jobs[0] for job in jobs):
        return jobs[0]
    return Job(stack, {}, {f"{seed:04d}": job for seed, job in enumerate(jobs)}, "predictions of all seeds")


def _named(features: Job | None) -> dict[str, Job]:
    return {"features": features} if features else {}
