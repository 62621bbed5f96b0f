"""A Job is one pure step of a study, named by the hash of what goes into it; its artifact is computed once, ever."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from importlib import import_module
from typing import Any, Protocol

from superalign.config import digest
from superalign.store import Artifact, Store
from superalign.task import recorded_unsealings

Inputs = Mapping[str, Artifact]


@dataclass(frozen=True)
class Tools:
    """What a step may use beside its inputs: neither changes the result.

    Args:
        store: for shared caches such as the feature bank.
        report: called with keyword facts of the progress (done, total, tokens, note).
        key: the job's, for what it writes while it goes on.
    """

    store: Store
    report: Callable[..., None]
    key: str = ""


@dataclass(frozen=True)
class Step:
    """A pure function of parameters and input artifacts. A changed `version` computes all its jobs again."""

    function: Callable[[Mapping[str, Any], Inputs, Tools], Artifact]
    version: int

    @property
    def name(self) -> str:
        """Return `module:function`, by which another process finds it."""
        return f"{self.function.__module__}:{self.function.__name__}"


def step(version: int) -> Callable[[Callable[[Mapping[str, Any], Inputs, Tools], Artifact]], Step]:
    """Mark a module's function as a step."""
    return lambda function: Step(function, version)


@dataclass(frozen=True)
class Job:
    """One step with its parameters and the jobs it needs.

    Args:
        step: what is computed.
        params: JSON-able parameters, all of which decide the result.
        inputs: jobs whose artifacts the step reads.
        title: for people; not part of the name.
        after: jobs that leave in shared caches what this one would else compute itself, such as one pass over a text
            for several layers. They go first; they decide nothing, so they are not part of the name.
    """

    step: Step
    params: Mapping[str, Any]
    inputs: Mapping[str, Job] = field(default_factory=dict)
    title: str = ""
    after: tuple[Job, ...] = ()

    @cached_property
    def key(self) -> str:
        """SHA-256 (hex) of step, version, parameters and the inputs' keys."""
        return digest(
            {
                "step": self.step.name,
                "version": self.step.version,
                "params": dict(self.params),
                "inputs": {name: job.key for name, job in self.inputs.items()},
            }
        )

    def __hash__(self) -> int:
        return hash(self.key)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Job) and other.key == self.key


def in_order(jobs: Iterable[Job], *, caches: bool = True) -> list[Job]:
    """Return the distinct jobs and all they need, inputs first; without `caches`, not what only goes before them."""
    ordered: dict[str, Job] = {}

    def visit(job: Job) -> None:
        if job.key not in ordered:
            for needed in (*job.inputs.values(), *(job.after if caches else ())):
                visit(needed)
            ordered[job.key] = job

    for job in jobs:
        visit(job)
    return list(ordered.values())


class Listener(Protocol):
    """Hears of what happens: `listen("finished", job=key, title=..., seconds=...)`."""

    def __call__(self, event: str, /, **facts: Any) -> None:
        """Take one event."""


def compute(job: Job, store: Store, listen: Listener) -> Artifact:
    """Return the job's artifact, from the store or computed now; a damaged input is computed again."""
    found = store.load(job.key) if store.has(job.key) else None
    for notice in _drain(store.notices):
        listen("notice", text=notice)
    if found is not None:
        listen("reused", job=job.key, title=job.title)
        return found
    inputs = {name: _input(needed, store, listen) for name, needed in job.inputs.items()}
    listen("started", job=job.key, title=job.title)
    start = time.perf_counter()

    def report(**facts: Any) -> None:
        if note := facts.pop("note", None):
            listen("notice", text=note)
        if facts:
            seconds = time.perf_counter() - start
            listen("progress", job=job.key, title=job.title, seconds=seconds, **facts)

    with recorded_unsealings() as unsealed:
        artifact = job.step.function(job.params, inputs, Tools(store, report, job.key))
    seconds = time.perf_counter() - start
    about = {
        "step": job.step.name,
        "title": job.title,
        "seconds": round(seconds, 3),
        "unsealed": [list(one) for one in unsealed],
    }
    store.save(job.key, artifact, about)
    listen("finished", job=job.key, title=job.title, seconds=about["seconds"])
    return artifact


class Fetched:
    """Reads the artifacts of jobs that ran, for a result, and holds those that were asked for last.

    Args:
        store: where they are; one that is damaged is computed again.
        listen: hears of it.
        most: bytes of tensors, and `count` artifacts, that are held.
    """

    def __init__(self, store: Store, listen: Listener, most: int = 512_000_000, count: int = 512) -> None:
        self._store, self._listen, self._most, self._count = store, listen, most, count
        self._held: dict[str, Artifact] = {}
        self._bytes = 0

    def __call__(self, job: Job) -> Artifact:
        """Return the artifact of a job."""
        found = self._held.pop(job.key, None)
        if found is None:
            found = compute(job, self._store, self._but_reused)
            self._bytes += _weight(found)
        self._held[job.key] = found  # the latest stands last
        while len(self._held) > 1 and (self._bytes > self._most or len(self._held) > self._count):
            self._bytes -= _weight(self._held.pop(next(iter(self._held))))
        return found

    def _but_reused(self, event: str, /, **facts: Any) -> None:
        if event != "reused":
            self._listen(event, **facts)


def _weight(artifact: Artifact) -> int:
    return sum(value.nbytes for value in artifact.tensors.values())


def _input(job: Job, store: Store, listen: Listener) -> Artifact:
    return store.load(job.key) or compute(job, store, listen)


def _drain(notices: list[str]) -> Iterator[str]:
    while notices:
        yield notices.pop(0)


def to_plain(jobs: Iterable[Job]) -> list[dict[str, Any]]:
    """Return jobs and all they need as plain data, inputs first, for another process."""
    return [
        {
            "step": job.step.name,
            "params": dict(job.params),
            "inputs": {name: needed.key for name, needed in job.inputs.items()},
            "title": job.title,
            "key": job.key,
        }
        for job in in_order(jobs, caches=False)
    ]


def from_plain(rows: Iterable[Mapping[str, Any]]) -> dict[str, Job]:
    """Rebuild jobs from `to_plain`, by key."""
    jobs: dict[str, Job] = {}
    for row in rows:
        module, _, name = row["step"].partition(":")
        found = getattr(import_module(module), name)
        inputs = {name: jobs[key] for name, key in row["inputs"].items()}
        jobs[row["key"]] = Job(found, row["params"], inputs, row["title"])
    return jobs
