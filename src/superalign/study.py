"""A Study is a question answered by an experiment: a config, the jobs it expands to, a result with its figures."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Annotated, Any, ClassVar, Generic, TypeVar

from superalign.config import Component
from superalign.job import Job
from superalign.model import Stage
from superalign.registry import Registry, chosen
from superalign.result import StudyResult
from superalign.store import Artifact

P = TypeVar("P", bound="Plan")
R = TypeVar("R", bound=StudyResult)
Fetch = Callable[[Job], Artifact]


class Plan(ABC):
    """The jobs a study expands to, and what each is for."""

    @abstractmethod
    def jobs(self) -> Iterable[Job]:
        """Return the jobs whose artifacts the result is made of."""


@dataclass(frozen=True)
class Conduct:
    """How the run went, for the result: facts that are not part of any job's artifact."""

    config: dict[str, Any]
    config_sha256: str
    versions: dict[str, str]
    seconds: float
    counts: dict[str, int]
    unsealed: list[tuple[str, str, str, int]]


class Study(Component, ABC, Generic[P, R]):
    """Base of the studies."""

    summary: ClassVar[str]
    """One line for `superalign run --help`."""
    example: ClassVar[str]
    """A command line that works."""
    quick: ClassVar[Mapping[str, Any]] = {}
    """Settings of a small run, for `--quick`; none when there is no such thing."""

    def prepare(self, report: Stage) -> None:
        """Bring models and data onto this machine."""
        self.fingerprints()

    @abstractmethod
    def fingerprints(self) -> dict[str, str]:
        """Return what the settings point at: a digest of each model and data set."""

    @abstractmethod
    def read_result(self, text: str) -> R:
        """Rebuild a result from the text of results.json."""

    @abstractmethod
    def plan(self) -> P:
        """Expand the settings to jobs. No model is run."""

    @abstractmethod
    def conclude(self, plan: P, fetch: Fetch, conduct: Conduct) -> R:
        """Turn the artifacts into the result."""


studies: Registry[Study[Any, Any]] = Registry("study", "superalign.studies", Study)
StudyChoice = Annotated[Study[Any, Any], *chosen(studies)]
