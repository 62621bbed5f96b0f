"""Jobs on a SLURM cluster, by submitit; the store lies on a file system that its nodes share."""

from __future__ import annotations

import getpass
import shutil
import subprocess
import time
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field

from superalign.drain import Crew, Lost, Order, Outcome, run_on, work
from superalign.errors import ConfigError, require
from superalign.executor import Executor, executors
from superalign.job import Job, Listener
from superalign.store import Store

TAIL = 400  # letters of what a lost job said last


@executors.register("slurm")
class Slurm(Executor):
    """Each job is one of SLURM's, sent by submitit. One that a node loses, or SLURM ends, is sent again.

    Jobs that this process leaves behind when it is killed go on; what they bring into the store is used by the next
    run of the same command.
    """

    partition: str | None = None
    """SLURM's partition."""
    account: str | None = None
    """Who pays."""
    hours: Annotated[float, Field(gt=0)] = 4.0
    """Time limit of a job. A training goes on from its last checkpoint when the job is sent again."""
    cpus: Annotated[int, Field(ge=1)] = 4
    """Cores of a job."""
    gpus: Annotated[int, Field(ge=0)] = 0
    """GPUs of a job."""
    memory: Annotated[float, Field(gt=0)] = 16.0
    """Of a job, in GB."""
    room: Annotated[int, Field(ge=1)] = 64
    """Most jobs that are sent and have not ended."""
    poll: Annotated[float, Field(gt=0)] = 30.0
    """Seconds between two questions to SLURM about jobs without a result."""
    retries: Annotated[int, Field(ge=0)] = 2
    """How often a lost job is sent again."""
    cluster: Literal["slurm", "local"] = "slurm"
    """local runs each job as a process of this machine, to try it out."""

    def run(self, jobs: Iterable[Job], store: Store, listen: Listener) -> Counter[str]:
        """See Executor.run.

        Raises:
            MissingExtraError: submitit is not installed.
            ConfigError: there is no SLURM on this machine, or it refuses a job.
        """
        require("submitit", "slurm")
        return run_on(_Nodes(self, store), jobs, store, listen, self.retries)


class _Nodes(Crew):
    """SLURM's nodes, as submitit knows them."""

    def __init__(self, asked: Slurm, store: Store) -> None:
        self.asked, self.store, self.room = asked, store, asked.room
        self._next = time.monotonic() + asked.poll
        self._executor: Any = None
        self._missing: set[str] = set()
        self._gone: set[str] = set()

    def give(self, orders: Sequence[Order]) -> list[Any]:
        """See Crew.give; several orders are one array."""
        from submitit.core.utils import FailedJobError, FailedSubmissionError

        if self._executor is None:  # logs and pickles of submitit lie beside the mail
            self._executor = self._made(Path(orders[0].mail).parent / "submitit")
        try:
            return list(self._executor.map_array(work, orders))
        except (FailedJobError, FailedSubmissionError, OSError) as error:
            raise ConfigError("SLURM takes no job", why=str(error).strip(), fix="see sbatch's own message") from error

    def ended(self, tickets: Sequence[Any], patience: float) -> Iterator[tuple[Any, Outcome]]:
        """See Crew.ended."""
        if self.asked.cluster == "slurm" and time.monotonic() >= self._next:
            self._next = time.monotonic() + self.asked.poll
            self._ask(tickets)
        found = [ticket for ticket in tickets if self._is_over(ticket)]
        yield from ((ticket, self._outcome(ticket)) for ticket in found)
        if not found:
            time.sleep(patience)

    def stop(self, tickets: Sequence[Any]) -> None:
        """Cancel jobs."""
        for ticket in tickets:
            with suppress(OSError):
                ticket.cancel(check=False)

    def _made(self, folder: Path) -> Any:
        import submitit

        asked = self.asked
        try:
            made = submitit.AutoExecutor(folder=folder, cluster=asked.cluster)
        except RuntimeError as error:
            fix = "run it where sbatch and srun are, or --executor pool"
            raise ConfigError("there is no SLURM on this machine", why=str(error), fix=fix) from error
        more = {"slurm_partition": asked.partition, "slurm_account": asked.account}
        made.update_parameters(
            name="superalign",
            timeout_min=round(60 * asked.hours) or 1,
            cpus_per_task=asked.cpus,
            gpus_per_node=asked.gpus,
            mem_gb=asked.memory,
            slurm_array_parallelism=asked.room,
            **{name: value for name, value in more.items() if value is not None},
        )
        return made

    def _ask(self, tickets: Sequence[Any]) -> None:
        """Ask SLURM once about all jobs, and rarely: a result is seen without it.

        Where there is no accounting, sacct knows of no job. Then one that left the queue is over; it must be missing
        twice, since a result may be late on a shared file system.
        """
        watcher = tickets[0].watcher
        if shutil.which("sacct"):
            watcher.update()
        names = [ticket.job_id for ticket in tickets]
        unknown = {name for name in names if watcher.get_state(name, mode="cache") == "UNKNOWN"}
        missing = unknown - _queued(unknown)
        self._gone |= missing & self._missing
        self._missing = missing

    def _is_over(self, ticket: Any) -> bool:
        if ticket.paths.result_pickle.exists() or ticket.job_id in self._gone:
            return True
        if self.asked.cluster == "local":
            return bool(ticket.done())
        return bool(ticket.watcher.is_done(ticket.job_id, mode="cache"))

    def _outcome(self, ticket: Any) -> Outcome:
        from submitit.core.utils import FailedJobError, UncompletedJobError

        how, said = "left the queue", ""
        if ticket.job_id not in self._gone or ticket.paths.result_pickle.exists():
            try:
                outcome: Outcome = ticket.result()
                return outcome
            except (UncompletedJobError, FailedJobError) as error:
                how, said = f"ended as {ticket.state}", str(error)
        said = (ticket.stderr() or said).strip()[-TAIL:]
        last = said.splitlines()[-1] if said else "nothing was said"
        return Lost(f"SLURM job {ticket.job_id} {how} without a result ({last})")


def _queued(names: set[str]) -> set[str]:
    """Return which of some jobs are in SLURM's queue; all of them where it does not say."""
    if not names:
        return names
    command = ["squeue", "--noheader", "--array", "--format=%i", f"--user={getpass.getuser()}"]
    try:
        said = subprocess.run(command, check=True, capture_output=True, text=True)
    except (OSError, subprocess.CalledProcessError):
        return names
    return set(said.stdout.split())
