"""Jobs in parallel, in processes of this machine."""

from __future__ import annotations

import multiprocessing
import os
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from typing import Annotated

from pydantic import Field

from superalign.drain import THREADS, Crew, Lost, Order, Outcome, run_on, work
from superalign.executor import Executor, Failure, executors
from superalign.job import Job, Listener
from superalign.processes import deaf_to_ctrl_c, live_with_parent
from superalign.store import Store

Given = Future[Failure | None]


@executors.register("pool")
class Pool(Executor):
    """Jobs in parallel, each in one of `workers` processes. The jobs of a killed worker are given out again."""

    workers: Annotated[int, Field(ge=1)] = 2
    """How many processes; the usable cores are divided among them."""
    retries: Annotated[int, Field(ge=0)] = 2
    """How often a job is given out again whose worker died; the others of that time die with it."""

    def run(self, jobs: Iterable[Job], store: Store, listen: Listener) -> Counter[str]:
        """See Executor.run."""
        threads = os.environ.get(THREADS) or str(max(1, usable_cores() // self.workers))
        return run_on(_Processes(self.workers, threads), jobs, store, listen, self.retries)


class _Processes(Crew):
    """A pool that is built anew when it breaks; not before `give`, so that nothing is started for nothing."""

    def __init__(self, workers: int, threads: str) -> None:
        self.workers, self.threads, self.room = workers, threads, workers
        self._pool: ProcessPoolExecutor | None = None
        self._of: dict[Given, ProcessPoolExecutor] = {}
        self._others = multiprocessing.active_children()

    def give(self, orders: Sequence[Order]) -> list[Given]:
        """See Crew.give."""
        return [self._given(order) for order in orders]

    def ended(self, tickets: Sequence[Given], patience: float) -> Iterator[tuple[Given, Outcome]]:
        """See Crew.ended."""
        done, _ = wait(tickets, timeout=patience, return_when=FIRST_COMPLETED)
        for ticket in done:
            pool = self._of.pop(ticket)
            try:
                yield ticket, ticket.result()
            except BrokenProcessPool:
                if pool is self._pool:
                    self._close()
                yield ticket, Lost("a worker process died")

    def stop(self, tickets: Sequence[Given]) -> None:
        """End the workers that are still at work."""
        if tickets:
            for worker in multiprocessing.active_children():
                if worker not in self._others:
                    worker.terminate()

    def __exit__(self, *_: object) -> None:
        self._close()

    def _given(self, order: Order) -> Given:
        pool = self._open()
        try:
            with deaf_to_ctrl_c():
                ticket = pool.submit(work, order)
        except BrokenProcessPool:  # since it was last looked at
            self._close()
            return self._given(order)
        self._of[ticket] = pool
        return ticket

    def _open(self) -> ProcessPoolExecutor:
        if self._pool is None:
            spawn = multiprocessing.get_context("spawn")
            self._pool = ProcessPoolExecutor(self.workers, spawn, _start_worker, (self.threads,))
        return self._pool

    def _close(self) -> None:
        if self._pool is not None:
            self._pool.shutdown(wait=False, cancel_futures=True)
            self._pool = None


def usable_cores() -> int:
    """Return how many cores this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _start_worker(threads: str) -> None:
    live_with_parent()
    os.environ[THREADS] = os.environ["OMP_NUM_THREADS"] = threads
