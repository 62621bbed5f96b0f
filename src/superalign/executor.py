"""Executors run jobs: in this process or in a pool of processes. All state lives in the store."""

from __future__ import annotations

import multiprocessing
import os
import traceback
from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Iterable
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from multiprocessing.queues import SimpleQueue
from pathlib import Path
from typing import Annotated, Any, NamedTuple

from pydantic import Field

from superalign import errors
from superalign.config import Component
from superalign.errors import JobError, SuperalignError
from superalign.job import Job, Listener, compute, from_plain, in_order, to_plain
from superalign.processes import deaf_to_ctrl_c, live_with_parent
from superalign.registry import Registry, chosen
from superalign.store import Store

THREADS = "SUPERALIGN_THREADS"
Events = SimpleQueue[tuple[str, dict[str, Any]]]


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


executors: Registry[Executor] = Registry("executor", "superalign.executor", Executor)
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


@executors.register("in-process")
class InProcess(Executor):
    """One job after the other, in this process."""

    def run(self, jobs: Iterable[Job], store: Store, listen: Listener) -> Counter[str]:
        """See Executor.run."""
        ledger = Ledger(listen)
        for job in in_order(jobs):
            if ledger.blocked(job):
                continue
            try:
                compute(job, store, ledger.listen)
            except Exception as error:  # the fault of one job must not lose the others
                ledger.failed(job, Failure.of(error))
        return ledger.close()


@executors.register("pool")
class Pool(Executor):
    """Jobs in parallel, each in one of `workers` processes. The jobs of a killed worker are given out again."""

    workers: Annotated[int, Field(ge=1)] = 2
    """How many processes; the usable cores are divided among them."""
    retries: Annotated[int, Field(ge=0)] = 2
    """How often a broken pool is built anew."""

    def run(self, jobs: Iterable[Job], store: Store, listen: Listener) -> Counter[str]:
        """See Executor.run."""
        ledger = Ledger(listen)
        ordered = in_order(jobs)
        for job in ordered:
            if store.has(job.key):
                ledger.listen("reused", job=job.key, title=job.title)
        for _ in range(self.retries + 1):
            waiting = {job.key: job for job in ordered if not store.has(job.key) and job.key not in ledger.lost}
            try:
                if waiting:
                    self._drain(waiting, store, ledger)
                return ledger.close()
            except BrokenProcessPool:
                listen("notice", text="a worker process died; its jobs are given out again")
        raise JobError(
            "worker processes died again and again",
            why="out of memory, or killed from outside",
            fix="use fewer workers; finished jobs are in the store",
        )

    def _drain(self, waiting: dict[str, Job], store: Store, ledger: Ledger) -> None:
        """Give out every job as soon as its inputs are stored."""
        spawn = multiprocessing.get_context("spawn")
        threads = os.environ.get(THREADS) or str(max(1, _usable_cores() // self.workers))
        events: Events = spawn.SimpleQueue()
        running: dict[Future[Failure | None], Job] = {}
        others = multiprocessing.active_children()
        pool = ProcessPoolExecutor(self.workers, spawn, _start_worker, (threads, events))
        try:
            while waiting or running:
                unfinished = {*waiting, *(job.key for job in running.values())}
                for key, job in list(waiting.items()):
                    if ledger.blocked(job):
                        del waiting[key]
                    elif not any(needed.key in unfinished for needed in job.inputs.values()):
                        with deaf_to_ctrl_c():
                            future = pool.submit(_work, to_plain([job]), str(store.root))
                        running[future] = waiting.pop(key)
                done, _ = wait(running, timeout=0.2, return_when=FIRST_COMPLETED)
                while not events.empty():
                    event, facts = events.get()
                    ledger.listen(event, **facts)
                for future in done:
                    job = running.pop(future)
                    if failure := future.result():
                        ledger.failed(job, failure)
        except KeyboardInterrupt:
            for worker in multiprocessing.active_children():
                if worker not in others:
                    worker.terminate()
            raise
        finally:
            pool.shutdown(wait=False, cancel_futures=True)


def _usable_cores() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


_events: Events | None = None  # of a worker process


def _start_worker(threads: str, events: Events) -> None:
    global _events
    _events = events
    live_with_parent()
    os.environ[THREADS] = os.environ["OMP_NUM_THREADS"] = threads


def _work(plain: list[dict[str, Any]], root: str) -> Failure | None:
    """Compute the last job of `plain` in a worker process."""
    try:
        job = from_plain(plain)[plain[-1]["key"]]
        compute(job, Store(Path(root)), _send)
    except Exception as error:  # as text: not every exception can be pickled on its way back
        return Failure.of(error)
    return None


def _send(event: str, /, **facts: Any) -> None:
    if _events is not None:
        _events.put((event, facts))
