"""A dry run: the plan of a study, what is in the store of it, and about what the rest takes. No model is run."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

from pydantic import BaseModel

from superalign import balance_estimate, loop_estimate, scaling_estimate
from superalign.config import canonical, digest
from superalign.errors import ModelError
from superalign.estimated import DryRun, Memory, Step, Weighed, Work
from superalign.fits.lora import Lora
from superalign.job import Job, in_order
from superalign.loop_estimate import ASSUMED, Share, Texts
from superalign.model import Model, models
from superalign.models._size import Size, folder_here
from superalign.models.embedded import STATIC, Embedded
from superalign.models.hf import HuggingFace
from superalign.models.openai import OpenAI
from superalign.scaling_evaluation import Ground
from superalign.steps import read_items
from superalign.store import Store
from superalign.studies.balance import Balance
from superalign.studies.loop import Loop
from superalign.studies.scaling import Scaling, ScalingPlan
from superalign.study import Study
from superalign.task import Task

FLOAT = 4  # bytes of a float32
WIDTHS = {"bf16": 2, "fp32": FLOAT}
FORMULAS = [
    "FLOPs: 2 N a token read or written; 4 N a token trained on, forward and back through N frozen weights",
    "memory: weights in the model's precision; adapter, its gradient and AdamW's two moments in float32; "
    "activations of the tokens computed at once, without attention weights",
]


Taught = Loop | Balance
"""Studies in which a model learns an adapter from pairs and is asked."""


class Rates(NamedTuple):
    """What this machine costs an hour, and how many tokens the learner reads a second on it."""

    price_per_hour: float | None = None
    tokens_per_second: float | None = None


def dry_run(study: Study[Any, Any], store: Store | None = None, rates: Rates | None = None) -> DryRun:
    """Return the plan of a study. A model that is not on this machine is neither fetched nor needed.

    Args:
        study: the question, with its settings.
        store: where artifacts are; by default in the user's cache.
        rates: of this machine, for hours and cost.

    Raises:
        SuperalignError: the study cannot be planned for another reason than a model that is not here.
    """
    keep = store or Store()
    found = {str(model): model for model in _models(study)}
    sizes = {name: _size(model) for name, model in found.items()}
    weighed = [_weighed(name, model, sizes[name]) for name, model in found.items()]
    unknown = [f"parameters of {one.model}: {one.why}" for one in weighed if one.parameters is None]
    here = _standing_in(study)
    try:
        plan = here.plan()
        ordered: list[Job] | None = in_order(plan.jobs())
    except ModelError as error:
        if all(isinstance(size, Size) for size in sizes.values()):
            raise
        ordered = None
        unknown.append(f"the jobs: {error.what}")
    left = [job for job in ordered or [] if not keep.has(job.key)]
    if isinstance(here, Scaling) and ordered is not None:
        return _grid(here, plan, ordered, left, sizes, weighed, unknown, keep, rates or Rates())
    work = _work(study, left, sizes, keep, ordered or []) if isinstance(study, Taught) else []
    hours, cost = _price(work, rates or Rates(), unknown)
    return DryRun(
        study=study.name,
        jobs=None if ordered is None else len(ordered),
        stored=None if ordered is None else len(ordered) - len(left),
        steps=_steps(ordered or [], left),
        models=weighed,
        work=work,
        memory=_memory(study, sizes) if isinstance(study, Taught) else None,
        hours=hours,
        cost=cost,
        assumed=[*ASSUMED, *FORMULAS] if isinstance(study, Taught) else [],
        unknown=unknown,
    )


def _grid(
    study: Scaling,
    plan: ScalingPlan,
    ordered: Sequence[Job],
    left: Sequence[Job],
    sizes: dict[str, Size | str],
    weighed: list[Weighed],
    unknown: list[str],
    store: Store,
    rates: Rates,
) -> DryRun:
    """Return the dry run of a grid."""
    known = scaling_estimate.shapes(study, plan, sizes)
    extents = scaling_estimate.extents(ordered, store)
    work = scaling_estimate.work(study, left, extents, known)
    unknown += scaling_estimate.unknown(work)
    pairs = plan.grounds[0].pairs  # every task has the same
    flops = sum(one.flops or 0 for one in work)
    if rates.tokens_per_second is None:
        hours = flops / scaling_estimate.rate() / 3600
    else:
        here = sum(one.read + 2 * one.trained for one in work) / rates.tokens_per_second
        hours = (here + sum(one.flops or 0 for one in work if not one.read) / scaling_estimate.rate()) / 3600
    return DryRun(
        study=study.name,
        cells=plan.pairs * len(study.methods),
        separate=len(plan.grounds) * len(study.methods) * sum(_alone(plan.grounds[0], *pair) for pair in pairs),
        jobs=len(ordered),
        stored=len(ordered) - len(left),
        steps=_steps(ordered, left),
        models=weighed,
        work=work,
        memory=scaling_estimate.memory(study, extents, known),
        hours=hours,
        cost=None if rates.price_per_hour is None else hours * rates.price_per_hour,
        assumed=scaling_estimate.ASSUMED,
        unknown=unknown,
    )


def _alone(ground: Ground, weak: str, strong: str) -> int:
    """Return how many jobs a run of one cell has."""
    return len(in_order(ground.alone(weak, strong)))


class _AbsentHub(HuggingFace):
    """A model that is not on this machine."""

    def fingerprint(self) -> str:
        return _nameless(self)

    def depth(self) -> int:
        raise ModelError(f"{self} is not on this machine")


class _AbsentEmbedded(Embedded):
    """An embedded model that was not fetched yet."""

    def fingerprint(self) -> str:
        return _nameless(self)

    def depth(self) -> int:
        raise ModelError(f"{self} is not on this machine")


def _nameless(model: Model) -> str:
    return digest(["not on this machine", model.spec()])


def _standing_in(value: Any) -> Any:
    """Return settings in which stand-ins take the place of the models that are not here."""
    if isinstance(value, tuple):
        return tuple(map(_standing_in, value))
    if isinstance(value, HuggingFace | Embedded):
        kind = _AbsentHub if isinstance(value, HuggingFace) else _AbsentEmbedded
        return value if folder_here(value) else kind(**value.model_dump())
    if isinstance(value, BaseModel):
        return value.model_copy(update={name: _standing_in(getattr(value, name)) for name in type(value).model_fields})
    return value


def _models(value: Any) -> Iterator[Model]:
    """Yield every model that settings name."""
    if isinstance(value, Model):
        yield value
    elif isinstance(value, tuple):
        for one in value:
            yield from _models(one)
    elif isinstance(value, BaseModel):
        for name in type(value).model_fields:
            yield from _models(getattr(value, name))


def _size(model: Model) -> Size | str:
    """Return a model's size, or why it is not known."""
    if isinstance(model, Embedded) and model.which in STATIC:
        return "it is no transformer; what it takes is next to nothing"
    if not isinstance(model, HuggingFace | Embedded):
        return "its weights are not here"
    folder = folder_here(model)
    if folder is None:
        return "it is not on this machine"
    try:
        return Size(folder)
    except ModelError as error:
        return f"{error.what} ({error.why})" if error.why else error.what


def _weighed(name: str, model: Model, size: Size | str) -> Weighed:
    if isinstance(size, Size):
        return Weighed(model=name, parameters=size.parameters)
    return Weighed(model=name, parameters=None, why=size)


def _steps(ordered: Sequence[Job], left: Sequence[Job]) -> list[Step]:
    names, missing = (Counter(job.step.name.rpartition(":")[2] for job in jobs) for jobs in (ordered, left))
    return [Step(step=name, jobs=count, stored=count - missing[name]) for name, count in names.items()]


def _work(
    study: Loop | Balance, left: Sequence[Job], sizes: dict[str, Size | str], store: Store, ordered: Sequence[Job]
) -> list[Work]:
    """Return what the jobs that are left ask of each model, by component."""
    if not left:
        return []
    reading = (job for job in ordered if job.step is read_items)
    items = next((found for job in reading if (found := store.load(job.key))), None)
    texts = Texts.of(Task.from_meta(items.meta) if items else study.task.load().task)
    parts: dict[tuple[str, str], list[Share]] = {}
    shares = loop_estimate.shares if isinstance(study, Loop) else balance_estimate.shares
    for job in left:
        for share in shares(job, texts):
            parts.setdefault((share.component, canonical(share.model)), []).append(share)
    work = []
    for (component, _), mine in parts.items():
        model = str(models.build(mine[0].model))
        read, written, trained = (
            round(sum(of)) for of in zip(*((one.read, one.written, one.trained) for one in mine), strict=True)
        )
        size = sizes.get(model)
        flops = float(size.parameters) * (2 * (read + written) + 4 * trained) if isinstance(size, Size) else None
        told = Work(
            component=component,
            model=model,
            jobs=len(mine),
            read=read,
            written=written,
            trained=trained,
            flops=flops,
        )
        work.append(told)
    return work


def _memory(study: Loop | Balance, sizes: dict[str, Size | str]) -> Memory | None:
    learner, fit = study.learner if isinstance(study, Loop) else study.model, study.fit
    size = sizes[str(learner)]
    if not isinstance(size, Size) or not isinstance(fit, Lora):
        return None
    width, adapter = WIDTHS[learner.precision()], size.adapter(fit.rank, fit.target)
    return Memory(
        weights=size.parameters * width,
        adapter=adapter * FLOAT,
        optimizer=3 * adapter * FLOAT,
        activations=size.activations(fit.microbatch_tokens, width),
    )


def _price(work: Sequence[Work], rates: Rates, unknown: list[str]) -> tuple[float | None, float | None]:
    """Return the hours of this machine and the cost of all; what cannot be known is added to `unknown`."""
    if not work:
        return None, None
    hours, cost, whole = None, 0.0, True
    built = {one.model: models.build(one.model) for one in work}
    here = [one for one in work if not isinstance(built[one.model], OpenAI)]
    if rates.tokens_per_second is None:
        unknown.append("hours: give --tokens-per-second, what the learner reads on this machine")
    else:
        hours = sum(one.read + one.written + 2 * one.trained for one in here) / rates.tokens_per_second / 3600
    if hours is None or rates.price_per_hour is None:
        whole = False
    else:
        cost += hours * rates.price_per_hour
    for one in work:
        asked = built[one.model]
        if isinstance(asked, OpenAI):
            if asked.price_in is None or asked.price_out is None:
                whole = False
                unknown.append(f"cost of {one.model}: it has no price_in and price_out")
            else:
                cost += (asked.price_in * one.read + asked.price_out * one.written) / 1e6
    return hours, cost if whole else None
