"""The jobs of an ensemble of weak models that labels in the place of one."""

from __future__ import annotations

from collections.abc import Sequence

from superalign.ensemble import PLAIN, Ensemble, JointEnsemble
from superalign.fit import Fit
from superalign.fits.probe import Probe
from superalign.job import Job
from superalign.model import Model
from superalign.objective import Objective
from superalign.studies._jobs import Jobs, Seat, stacked
from superalign.teaching import settle, teach


def features_read(jobs: Jobs, ensemble: Ensemble, models: Sequence[Model], fit: Fit) -> dict[str, Job]:
    """Return the jobs of the features that the members read, by way: every model under every prompt."""
    if not isinstance(fit, Probe):
        return {}
    return {
        f"way {number}": jobs.features(model, [model.chosen_layer()], template)
        for number, (model, template) in enumerate(_ways(ensemble, models))
    }


def teachers(
    jobs: Jobs,
    ensemble: Ensemble,
    models: Sequence[Model],
    fit: Fit,
    objective: Objective,
    truth: Job,
    read: dict[str, Job],
) -> list[Seat]:
    """Return a seat a seed: an ensemble taught on the supervise part. One job for all when the fit solves together."""
    templates = list(ensemble.asked)
    params = {
        "ensemble": ensemble.spec(),
        "ways": [
            {**model.identity(), "items": f"items {templates.index(template)}"}
            for model, template in _ways(ensemble, models)
        ],
        "fit": fit.spec(),
        "objective": objective.spec(),
        "shares": list(jobs.shares),
    }
    asked = {f"items {number}": jobs.asked(template) for number, template in enumerate(templates)}
    inputs = {"items": jobs.items, "labels": truth, **asked, **read, **({"gold": jobs.gold} if fit.wants_gold else {})}
    title = f"{ensemble}: {fit} on {', '.join(map(str, models))}"
    if fit.together:
        return _rows(Job(teach, {**params, "seeds": list(range(jobs.seeds))}, inputs, title), objective, jobs)
    return [
        Seat(0, objective, seed, Job(teach, {**params, "seeds": [seed]}, inputs, f"{title}, seed {seed}"), 0)
        for seed in range(jobs.seeds)
    ]


def settled(
    jobs: Jobs,
    ensemble: JointEnsemble,
    models: Sequence[Model],
    seats: Sequence[Seat],
    student: Model,
    features: dict[str, Job],
) -> list[Seat]:
    """Return the seats of an ensemble whose members' weights are learnt together with the student."""
    names = [str(model) if asked == PLAIN else f"{model} '{asked}'" for model, asked in _ways(ensemble, models)]
    params = {**student.identity(), "ensemble": ensemble.spec(), "names": names, **jobs.dealt("transfer")}
    inputs = {"items": jobs.items, "taught": stacked([seat.job for seat in seats]), **features}
    return _rows(Job(settle, params, inputs, f"{ensemble}: weights by {student}"), seats[0].objective, jobs)


def _ways(ensemble: Ensemble, models: Sequence[Model]) -> list[tuple[Model, str]]:
    return [(model, template) for model in models for template in ensemble.asked]


def _rows(job: Job, objective: Objective, jobs: Jobs) -> list[Seat]:
    return [Seat(0, objective, seed, job, seed) for seed in range(jobs.seeds)]
