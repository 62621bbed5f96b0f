"""Jobs given out to workers elsewhere, each as soon as its inputs are stored; what a lost worker had is given again.

A Crew says how jobs reach workers, and how their ends come back; the rest is the same for a pool of processes, SLURM
and Ray. Workers share nothing with the process that gives out the jobs but the store: artifacts, and a folder in it
into which each writes what happens, a line an event.
"""

from __future__ import annotations

import json
import os
import shutil
import uuid
from abc import ABC, abstractmethod
from collections import Counter, deque
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from graphlib import TopologicalSorter
from pathlib import Path
from typing import Any, NamedTuple

from superalign.executor import Failure, Ledger
from superalign.job import Job, Listener, compute, from_plain, in_order, to_plain
from superalign.store import Store, writer, writing

THREADS = "SUPERALIGN_THREADS"
PATIENCE = 0.2  # seconds between two looks at what came back


class Order(NamedTuple):
    """A job as it goes to a worker."""

    plain: list[dict[str, Any]]
    """The job and all it needs, inputs first."""
    store: str
    """Root of the store."""
    mail: str
    """File for what happens."""


class Lost(NamedTuple):
    """The end of a worker that said nothing of its job."""

    why: str
    """In a few words: a worker process died."""


Outcome = Failure | Lost | None
Ticket = Any
"""What a crew knows a job by that it was given."""


class Crew(ABC):
    """Workers that compute jobs; it is open between `__enter__` and `__exit__`."""

    room: int
    """How many jobs it takes at a time."""

    @abstractmethod
    def give(self, orders: Sequence[Order]) -> list[Ticket]:
        """Start `work(order)` for each order, in some worker; return at once."""

    @abstractmethod
    def ended(self, tickets: Sequence[Ticket], patience: float) -> Iterable[tuple[Ticket, Outcome]]:
        """Wait up to `patience` seconds for one to end; yield those that did, with what `work` returned."""

    @abstractmethod
    def stop(self, tickets: Sequence[Ticket]) -> None:
        """Stop jobs that nobody waits for any more."""

    def __enter__(self) -> Crew:
        return self

    def __exit__(self, *_: object) -> None:
        return None


def run_on(crew: Crew, jobs: Iterable[Job], store: Store, listen: Listener, retries: int) -> Counter[str]:
    """Bring every job's artifact into the store; see Executor.run.

    Args:
        crew: who computes them.
        jobs: that are wanted.
        store: that the crew can reach, too.
        listen: hears of everything, wherever it happens.
        retries: how often a job is given out again whose worker was lost.
    """
    ledger = Ledger(listen)
    ordered = in_order(jobs)
    waiting = {job.key: job for job in ordered if not store.has(job.key)}
    for job in ordered:
        if job.key not in waiting:
            ledger.listen("reused", job=job.key, title=job.title)
    if waiting:
        with mailbox(store, ledger.listen) as mail, crew:
            _drain(crew, waiting, store, ledger, mail, retries)
    return ledger.close()


def _drain(crew: Crew, waiting: dict[str, Job], store: Store, ledger: Ledger, mail: Mailbox, retries: int) -> None:
    graph: TopologicalSorter[str] = TopologicalSorter()
    for key, job in waiting.items():
        graph.add(key, *(one.key for one in (*job.inputs.values(), *job.after) if one.key in waiting))
    graph.prepare()
    ready, out, losses = deque[Job](), dict[Ticket, Job](), Counter[str]()
    try:
        while graph.is_active():
            for key in graph.get_ready():
                if ledger.blocked(waiting[key]):
                    graph.done(key)
                else:
                    ready.append(waiting[key])
            given = [ready.popleft() for _ in range(min(len(ready), crew.room - len(out)))]
            if given:
                orders = [Order(to_plain([job]), str(store.root), mail.place(job)) for job in given]
                out.update(zip(crew.give(orders), given, strict=True))
            ends = list(crew.ended(list(out), PATIENCE)) if out else []
            mail.read(out.values())
            again = dict[str, None]()
            for ticket, outcome in ends:
                job = out.pop(ticket)
                mail.forget(job)
                if outcome is None and not store.has(job.key):
                    outcome = Lost("a worker left no artifact")
                if isinstance(outcome, Lost):
                    losses[job.key] += 1
                    if losses[job.key] <= retries:
                        again[outcome.why] = None
                        ready.append(job)
                        continue
                    outcome = _given_up(outcome, losses[job.key])
                if outcome:
                    ledger.failed(job, outcome)
                graph.done(job.key)
            for why in again:
                ledger.listen("notice", text=f"{why}; its jobs are given out again")
    finally:
        crew.stop(list(out))


def _given_up(lost: Lost, times: int) -> Failure:
    what = f"{lost.why}, {times} times: out of memory, or killed from outside; finished jobs are in the store"
    return Failure("", (what,))


class Mailbox:
    """The folder into which workers write what happens, read from where it was left off.

    Args:
        folder: a file a job.
        listen: hears of it.
    """

    def __init__(self, folder: Path, listen: Listener) -> None:
        self.folder, self.listen = folder, listen
        self._read: dict[str, int] = {}

    def place(self, job: Job) -> str:
        """Return the file for the events of a job."""
        return str(self.folder / job.key)

    def read(self, jobs: Iterable[Job]) -> None:
        """Pass on what workers have written of jobs since; a line that is not whole yet is left."""
        os.utime(self.folder)  # it is in use, however long the jobs take
        for job in jobs:
            path, start = self.folder / job.key, self._read.get(job.key, 0)
            if not path.exists() or path.stat().st_size <= start:
                continue
            with path.open("rb") as file:
                file.seek(start)
                whole = file.read().rpartition(b"\n")[0]
            for line in filter(None, whole.split(b"\n")):
                event = json.loads(line)
                self.listen(event.pop("event"), **event)
            self._read[job.key] = start + len(whole) + bool(whole)

    def forget(self, job: Job) -> None:
        """Throw away what was written of a job, so that a worker that gets it anew begins a file of its own."""
        self._read.pop(job.key, None)
        (self.folder / job.key).unlink(missing_ok=True)


@contextmanager
def mailbox(store: Store, listen: Listener) -> Iterator[Mailbox]:
    """Open a mailbox in the store; what a killed process left of it is swept with the store."""
    folder = store.root / "tmp" / f"{writer()}-{uuid.uuid4().hex}"
    with writing(folder):
        folder.mkdir(parents=True)
    try:
        yield Mailbox(folder, listen)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def work(order: Order) -> Failure | None:
    """Compute a job in a worker: the last one of `order.plain`."""
    mail = Path(order.mail)

    def post(event: str, /, **facts: Any) -> None:
        line = json.dumps({"event": event, **facts}, ensure_ascii=False)
        with suppress(FileNotFoundError), mail.open("a", encoding="utf-8", errors="surrogatepass") as file:
            file.write(f"{line}\n")  # where the folder is gone nobody listens any more; the job goes on

    try:
        job = from_plain(order.plain)[order.plain[-1]["key"]]
        compute(job, Store(Path(order.store)), post)
    except Exception as error:  # as text: not every exception can be pickled on its way back
        return Failure.of(error)
    return None
