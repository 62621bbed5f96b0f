"""Choosing one learner of a finished run, and what the store kept of it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from superalign.errors import ConfigError, ResumeError, did_you_mean
from superalign.fit import Fit, fits
from superalign.job import Job
from superalign.model import Model, models
from superalign.runs import load, study_of
from superalign.store import Array, Artifact, Store

T = TypeVar("T")


@dataclass(frozen=True)
class Chosen:
    """One learner of a run.

    Args:
        run: the run's folder.
        result: the run's result.
        items: the job that reads the task.
        role, method, seed, rate: which learner; a rate where the study makes labels wrong at several.
        job, row: its training, and which lesson of it.
        labels: the job that gave its labels.
    """

    run: Path
    result: Any
    items: Job
    role: str
    method: str
    seed: int
    rate: float | None
    job: Job
    row: int
    labels: Job

    @property
    def model(self) -> Model:
        """The model it was made of."""
        return models.build(self.job.params["model"])

    @property
    def fit(self) -> Fit:
        """How much of the model moved."""
        return fits.build(self.job.params["fit"])

    @property
    def lesson(self) -> Mapping[str, Any]:
        """Its objective, seed and labels, as the training was given them."""
        found: Mapping[str, Any] = self.job.params["lessons"][self.row]
        return found

    @property
    def identity(self) -> dict[str, Any]:
        """What tells it from every other learner."""
        named = {"role": self.role, "method": self.method, "seed": self.seed, "rate": self.rate}
        return {**named, "job": self.job.key, "lesson": self.row}

    def __str__(self) -> str:
        rate = "" if self.rate is None else f" at noise {self.rate:g}"
        return f"{self.role} {self.method}{rate}, seed {self.seed}"


def choose(
    run: Path, role: str | None = None, method: str | None = None, seed: int | None = None, rate: float | None = None
) -> Chosen:
    """Return the learner of a run that fits what is asked; by default a student, of the first seed.

    Raises:
        ResumeError: the run is not there, or not finished.
        ConfigError: there is no such learner, or there are several and it is not said which.
    """
    study, result = study_of(run), load(run)
    plan = study.plan()
    cells = [
        Chosen(
            run,
            result,
            plan.items,
            getattr(cell, "role", "student"),
            str(cell.method),
            cell.seed,
            getattr(cell, "rate", None),
            cell.job,
            cell.row,
            cell.labels,
        )
        for cell in getattr(plan, "cells", ())
    ]
    if not cells:
        raise ConfigError(f"a run of '{study.name}' holds no learner to export", where=str(run))
    cells = narrow(cells, "role", role, "student")
    cells = narrow(cells, "method", method)
    cells = narrow(cells, "rate", rate)
    return narrow(cells, "seed", seed, min(cell.seed for cell in cells))[0]


def kept(chosen: Chosen, store: Store) -> dict[str, Array]:
    """Return what the store kept of a learner, by name.

    Raises:
        ConfigError: nothing was kept.
        ResumeError: the store no longer holds the learner.
    """
    start = f"{chosen.row}/"
    names = [name for name in recorded(chosen.job, chosen.run, store)["tensors"] if name.startswith(start)]
    if not names:
        again = chosen.fit.model_copy(update={"keep": True})
        flag = "--weak-fit" if chosen.role == "weak" else "--fit"
        raise ConfigError(
            "what this learner learnt was not kept",
            where=f"{chosen.run}: {chosen}",
            why="a run keeps trained parameters only when it is asked to",
            fix=f"superalign run {chosen.run}/config.yaml {flag} {again} --out DIR, and export from there",
        )
    found = store.load(chosen.job.key, only=names)
    if found is None:
        raise _gone(chosen.run)
    return {name.removeprefix(start): value for name, value in found.tensors.items()}


def recorded(job: Job, run: Path, store: Store) -> dict[str, Any]:
    """Return what the store says of a job of a run, without its tensors."""
    record = store.record(job.key)
    if record is None:
        raise _gone(run)
    return record


def artifact(job: Job, run: Path, store: Store) -> Artifact:
    """Return the artifact of a job of a run."""
    found = store.load(job.key)
    if found is None:
        raise _gone(run)
    return found


def _gone(run: Path) -> ResumeError:
    return ResumeError(
        "the store no longer holds what this run computed", where=str(run), fix=f"superalign resume {run}"
    )


def narrow(cells: Sequence[T], name: str, asked: Any, usual: Any = None) -> list[T]:
    """Return the learners whose `name` is what was asked for; by default the usual one, or the only one.

    Raises:
        ConfigError: there is none, or there are several and none is usual.
    """
    known = list(dict.fromkeys(getattr(cell, name) for cell in cells))
    wanted = asked if asked is not None else usual if usual in known else known[0]
    if asked is None and usual is None and len(known) > 1:
        raise ConfigError(f"this run has {len(known)} of --{name}: say which", fix=_listed(name, known))
    if wanted not in known:
        written = [f"{one:g}" if isinstance(one, float) else str(one) for one in known if one is not None]
        if not written:
            raise ConfigError(f"this run knows no --{name}", fix=f"leave --{name} out")
        raise ConfigError(f"no learner of this run has --{name} {wanted}", fix=did_you_mean(str(wanted), written))
    return [cell for cell in cells if getattr(cell, name) == wanted]


def _listed(name: str, known: Sequence[Any]) -> str:
    return ", or ".join(f"--{name} {one:g}" if isinstance(one, float) else f"--{name} '{one}'" for one in known)
