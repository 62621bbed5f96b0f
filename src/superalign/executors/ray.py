"""Jobs on a Ray cluster; the store lies on a file system that its nodes share."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from typing import Annotated, Any

from pydantic import Field

from superalign.drain import THREADS, Crew, Lost, Order, Outcome, run_on, work
from superalign.errors import ConfigError, require
from superalign.executor import Executor, Failure, executors
from superalign.job import Job, Listener
from superalign.store import Store

PER_CORE = 2  # jobs a core that Ray is given to choose from


@executors.register("ray")
class Ray(Executor):
    """Each job is a task of Ray. One whose worker or node dies is given out again.

    It joins the cluster at `address`, or the one this process is connected to already; without either it starts Ray
    on this machine.
    """

    address: str | None = None
    """Of a running cluster, such as auto or ray://host:10001; $RAY_ADDRESS when it is not given."""
    cpus: Annotated[float, Field(gt=0)] = 1.0
    """Cores of a job."""
    gpus: Annotated[float, Field(ge=0)] = 0.0
    """GPUs of a job; a fraction shares one."""
    retries: Annotated[int, Field(ge=0)] = 2
    """How often a job is given out again whose worker or node died."""

    def run(self, jobs: Iterable[Job], store: Store, listen: Listener) -> Counter[str]:
        """See Executor.run.

        Raises:
            MissingExtraError: ray is not installed.
            ConfigError: the cluster cannot be reached, or has no room for a job.
        """
        require("ray", "ray")
        return run_on(_Cluster(self), jobs, store, listen, self.retries)


class _Cluster(Crew):
    """A Ray cluster: joined, or started and stopped again."""

    def __init__(self, asked: Ray) -> None:
        self.asked, self.room, self._mine = asked, 1, False

    def __enter__(self) -> _Cluster:
        import ray

        if not ray.is_initialized():
            try:
                ray.init(address=self.asked.address, log_to_driver=False, include_dashboard=False)
            except (ConnectionError, ValueError, TimeoutError, RuntimeError) as error:
                why, fix = str(error).strip().partition("\n")[0], "ray start --head, or leave address out"
                raise ConfigError(f"no Ray cluster at '{self.asked.address}'", why=why, fix=fix) from error
            self._mine = True
        total = ray.cluster_resources()
        for name, needed in (("CPU", self.asked.cpus), ("GPU", self.asked.gpus)):
            if needed > total.get(name, 0):
                have = f"all its nodes together have {total.get(name, 0):g}"
                raise ConfigError(f"the Ray cluster has no {name} {needed:g} for a job", why=have, fix="ask for less")
        self.room = max(1, round(PER_CORE * total["CPU"] / self.asked.cpus))
        threads = os.environ.get(THREADS) or str(max(1, int(self.asked.cpus)))
        options = {"num_cpus": self.asked.cpus, "num_gpus": self.asked.gpus, "max_retries": 0}
        self._task, self._threads = ray.remote(_work).options(**options), threads
        return self

    def __exit__(self, *_: object) -> None:
        import ray

        if self._mine:
            ray.shutdown()

    def give(self, orders: Sequence[Order]) -> list[Any]:
        """See Crew.give."""
        return [self._task.remote(order, self._threads) for order in orders]

    def ended(self, tickets: Sequence[Any], patience: float) -> Iterator[tuple[Any, Outcome]]:
        """See Crew.ended."""
        import ray

        done, _ = ray.wait(list(tickets), num_returns=len(tickets), timeout=0)
        for ticket in done or ray.wait(list(tickets), timeout=patience)[0]:
            try:
                yield ticket, ray.get(ticket)
            except ray.exceptions.RayError as error:
                yield ticket, Lost(f"a worker of Ray died ({type(error).__name__})")

    def stop(self, tickets: Sequence[Any]) -> None:
        """Stop tasks."""
        import ray

        for ticket in tickets:
            ray.cancel(ticket, force=True)


def _work(order: Order, threads: str) -> Failure | None:
    os.environ[THREADS] = os.environ["OMP_NUM_THREADS"] = threads
    return work(order)
