"""The learners of weak-to-strong - supervisor, students, ceiling, control - as the studies that have them make them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property

from superalign.errors import ConfigError
from superalign.evaluation import Cell
from superalign.fit import Fit
from superalign.job import Job
from superalign.model import Model
from superalign.objective import Objective
from superalign.objectives.naive import SoftCrossEntropy
from superalign.result import Role
from superalign.studies._jobs import Jobs, Seat, stacked

NAIVE = SoftCrossEntropy()
PLAIN_METHODS: tuple[Objective, ...] = (NAIVE,)


def check_taught(taught: Iterable[tuple[Fit, Objective]], weak_fit: Fit) -> None:
    """Refuse what cannot be taught, given how the supervisor learns.

    Raises:
        ConfigError: on the first such thing.
    """
    for fit, method in taught:
        fit.check(method, None)
        if method.wants_rewards == "supervisor" and not weak_fit.tells_scores:
            why = f"weak_fit {weak_fit} does not judge responses one by one"
            raise ConfigError(f"{method} takes in the supervisor's rewards", why=why, fix="weak_fit=lora,read=policy")


@dataclass(frozen=True)
class Team:
    """Learners of one role: they learn from the same labels by one or more objectives."""

    role: Role
    methods: tuple[Objective, ...]
    labels: Job
    how: str = ""
    """What is particular about the labels: the filter that went over them, the chain that gave them."""
    part: str = "transfer"
    """Where the labels are: a part of the task, or a slice of one."""
    beside: str = ""
    """`how` of the team it is to be compared with."""

    @property
    def kind(self) -> str:
        """What they are."""
        return self.role

    @property
    def source(self) -> str:
        """Name of the labels among a job's inputs."""
        return f"labels of {self.role} {self.how}".strip()

    def method(self, objective: Objective) -> str:
        """Return the method that one of the objectives is here."""
        return self._names[id(objective)]

    @cached_property
    def _names(self) -> dict[int, str]:
        """The names of the methods, made once: a grid asks for them again and again."""
        return {id(one): f"{one} {self.how}".strip() for one in self.methods}

    def named(self, objective: Objective) -> str:
        """Return what the learners by an objective are called."""
        return f"{self.role}, {self.method(objective)}"


def supervised(jobs: Jobs, model: Model, fit: Fit, features: Job | None) -> list[Cell]:
    """Return the weak model's learners: trained on the truth of *supervise*, they label *transfer*."""
    team = Team("weak", PLAIN_METHODS, jobs.labels("truth", "supervise", gold=jobs.gold), part="supervise")
    return cells([team], jobs.learners(model, fit, [team], features, team.part, ["transfer", "test"]))


def ceiling(jobs: Jobs) -> Team:
    """Return those who learn from the truth of *transfer*."""
    return Team("ceiling", PLAIN_METHODS, jobs.labels("oracle", "transfer", gold=jobs.gold))


def said_by(supervisors: Sequence[Cell]) -> Job:
    """Return the job that holds what the supervisors of all seeds say."""
    return stacked([cell.job for cell in supervisors])


def taught(jobs: Jobs, model: Model, fit: Fit, teams: list[Team], features: Job | None) -> list[Cell]:
    """Return learners of one model, all on the same part, that answer the *test* part."""
    return cells(teams, jobs.learners(model, fit, teams, features, teams[0].part, ["test"]))


def cells(teams: Sequence[Team], seats: Sequence[Seat]) -> list[Cell]:
    """Return the learner of each seat."""
    owners = [teams[seat.team] for seat in seats]
    return [
        Cell(
            team.role,
            team.method(seat.objective),
            seat.seed,
            seat.job,
            seat.row,
            team.labels,
            team.part,
            f"{seat.objective} {team.beside}" if team.beside else "",
        )
        for team, seat in zip(owners, seats, strict=True)
    ]
