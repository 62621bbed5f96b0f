"""Executors run jobs: in this process, a pool of processes, SLURM or a Ray cluster. All state lives in the store."""

from __future__ import annotations

import traceback
from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Iterable
from typing import Annotated, Any, NamedTuple

from superalign import errors
from superalign.config import Component
from superalign.errors import JobError, SuperalignError
from superalign.job import Job, Listener
from superalign.registry import Registry, chosen
from superalign.store import Store


class Executor(Component, ABC):
    """Base of the executors."""

    @abstractmethod
    def run(self, jobs: Iterable[Job], store: Store, listen: Listener) -> Counter[str]:
        """Bring every job's artifact into the store; count those computed and reused.

        A job that fails does not stop those that do not need it.

        Raises:
            SuperalignError: what the user can mend, at once.
            JobError: at the end, when jobs failed otherwise.
        """


executors: Registry[Executor] = Registry("executor", "superalign.executors", Executor)
ExecutorChoice = Annotated[Executor, *chosen(executors)]


class Failure(NamedTuple):
    """Why a job failed, in a form that crosses processes."""

    kind: str
    """Name of the SuperalignError class, or "" when the fault is not the user's."""
    details: tuple[str | None, ...]
    """what, where, why, fix; or the traceback."""

    @classmethod
    def of(cls, error: Exception) -> Failure:
        """Describe the exception being handled."""
        if isinstance(error, SuperalignError):
            return cls(type(error).__name__, (error.what, error.where, error.why, error.fix))
        return cls("", (traceback.format_exc(),))

    def mendable(self) -> SuperalignError | None:
        """Return the user's error, or None."""
        if not self.kind:
            return None
        what, where, why, fix = self.details
        kind: type[SuperalignError] = getattr(errors, self.kind, SuperalignError)
        return kind(what or "", where=where, why=why, fix=fix)


class Ledger:
    """Keeps what became of each job of one call of `run`."""

    def __init__(self, listen: Listener) -> None:
        self._listen, self.lost = listen, dict[str, Job]()
        self.outcomes: dict[str, str] = {}  # job -> what was done for it

    def listen(self, event: str, /, **facts: Any) -> None:
        """Hear an event, and keep in mind whether its job was computed."""
        if event == "finished" or (event == "reused" and facts["job"] not in self.outcomes):
            self.outcomes[facts["job"]] = "computed" if event == "finished" else "reused"
        self._listen(event, **facts)

    def blocked(self, job: Job) -> bool:
        """Tell whether an input of `job` failed; then so did `job`."""
        if not any(needed.key in self.lost for needed in job.inputs.values()):
            return False
        self.lost[job.key] = job
        self.listen("skipped", job=job.key, title=job.title)
        return True

    def failed(self, job: Job, failure: Failure) -> None:
        """Record a failure; what the user can mend is raised at once."""
        self.lost[job.key] = job
        error = failure.mendable()
        self.listen("failed", job=job.key, title=job.title, error=failure.details[0], raised=error is not None)
        if error:
            raise error

    def close(self) -> Counter[str]:
        """Return the counts, or raise JobError when jobs failed."""
        if self.lost:
            titles = ", ".join(job.title or job.step.name for job in self.lost.values())
            raise JobError(
                f"{len(self.lost)} jobs failed or could not start: {titles}",
                why="see the 'failed' events of the run",
                fix="run the same command again: what finished is in the store and is not computed again",
            )
        return Counter(self.outcomes.values())
