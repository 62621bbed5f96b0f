"""About what the jobs of a scaling study take: operations, memory and time; no model is run."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple

import numpy as np

from superalign.config import canonical
from superalign.estimated import Memory, Work
from superalign.fit import Fit, fits
from superalign.fits._finetune import FineTune
from superalign.fits.probe import Probe
from superalign.job import Job
from superalign.loop_estimate import LETTERS
from superalign.models._size import Size
from superalign.steps import cache_features, learn, read_items
from superalign.store import Store
from superalign.studies.scaling import Scaling, ScalingPlan
from superalign.task import PARTS, Shares, Task, TaskSource, tasks

LIMIT = 512  # tokens that a model reads of a text
STATIC_WIDTH = 256  # of features that come from no transformer, at most
FLOAT = 4  # bytes
SHARE = 0.25  # of the rate of one large matrix product, for the smaller ones of real work
ASSUMED = [
    f"a token is {LETTERS} characters; all layers of a network are read in one pass a task",
    "FLOPs: 2 N a token read with N parameters up to the layer; 6 N a token trained on (4 N with adapters); of a probe "
    "its axes (9 d^3, or n^3 where items are fewer) and 8 n d a head and step",
    f"time: at {SHARE:g} of the rate of a float32 matrix product, measured now, unless --tokens-per-second is given",
]


class Extent(NamedTuple):
    """How much there is of a task."""

    items: int
    tokens: float
    """Of a mean item, all its texts."""
    classes: int

    @classmethod
    def of(cls, task: Task) -> Extent:
        """Take it from the items."""
        letters = sum(min(LIMIT * LETTERS, len(one.prompt) + len(one.response or "")) for one in task.texts())
        return cls(len(task.items), letters / LETTERS / len(task.items), len(task.classes))


class Shape(NamedTuple):
    """What a model is for the arithmetic."""

    parameters: int
    """Up to its layer."""
    width: int
    """Of its features."""


def extents(ordered: Sequence[Job], store: Store) -> dict[str, Extent]:
    """Return the extent of each task by the key of the job that reads it; what is not in the store is read now."""
    found = {}
    for job in ordered:
        if job.step is read_items:
            stored = store.load(job.key)
            source: TaskSource = tasks.build(job.params["task"])
            found[job.key] = Extent.of(Task.from_meta(stored.meta) if stored else source.load().task)
    return found


def shapes(study: Scaling, plan: ScalingPlan, sizes: dict[str, Size | str]) -> dict[str, Shape]:
    """Return the shape of each model; those whose size is not known are left out."""
    known = {one.model: one.parameters for one in plan.sizes}
    return {
        canonical(model.spec()): Shape(known[name] or 0, _width(sizes[name]))
        for name, model in study.models().items()
        if known[name] is not None
    }


def work(study: Scaling, left: Sequence[Job], of: dict[str, Extent], known: dict[str, Shape]) -> list[Work]:
    """Return what the jobs that are left take, by kind and model; a pass over several layers counts once."""
    names = {canonical(model.spec()): name for name, model in study.models().items()}
    parts: dict[tuple[str, str], list[Work]] = {}
    passed = {key for job in left for key in (one.key for one in job.after)}
    for job in left:
        if job.step is cache_features and not (job.after and job.after[0].key in passed):
            spec = canonical(job.params["model"])
            extent = of[job.inputs["items"].key]
            read = round(extent.items * extent.tokens)
            parts.setdefault(("features", spec), []).append(_told("features", names[spec], read, 0, known.get(spec)))
        elif job.step is learn:
            spec = canonical(job.params["model"])
            told = _learning(job, names[spec], of[job.inputs["items"].key], known.get(spec), study.shares)
            parts.setdefault(("learning", spec), []).append(told)
    return [_sum(mine) for mine in parts.values()]


def memory(study: Scaling, of: dict[str, Extent], known: dict[str, Shape]) -> Memory | None:
    """Return the most that one job holds: weights, and in float32 the features, their axes and the heads' logits."""
    if not of or not known or not all(isinstance(fit, Probe) for fit in (study.fit, study.weak_fit)):
        return None
    most = max(of.values(), key=lambda one: one.items)
    widest, largest = max(one.width for one in known.values()), max(one.parameters for one in known.values())
    n, heads = most.items, len(study.methods) * len(getattr(study.fit, "l2", (1,)))
    return Memory(
        weights=largest * FLOAT,
        adapter=0,
        optimizer=widest * widest * 3 * 2 * FLOAT,
        activations=n * (3 * widest + 8 * heads * most.classes) * FLOAT,
    )


def rate() -> float:
    """Return operations a second that this machine is assumed to do in these jobs; it takes a tenth of a second."""
    x = np.ones((512, 512), dtype=np.float32)
    x @ x
    start, done = time.perf_counter(), 0
    while time.perf_counter() - start < 0.1:
        x @ x
        done += 1
    return SHARE * done * 2 * 512**3 / (time.perf_counter() - start)


def _learning(job: Job, name: str, extent: Extent, shape: Shape | None, shares: Shares) -> Work:
    fit, lessons = fits.build(job.params["fit"]), job.params["lessons"]
    share = {part: shares[place] / sum(shares) for place, part in enumerate(PARTS)}
    trained, said = extent.items * share[job.params["part"]], sum(share[part] for part in job.params["predict"])
    if isinstance(fit, FineTune):
        tokens = round(len(lessons) * trained * extent.tokens * fit.epochs)
        read = round(len(lessons) * extent.items * said * extent.tokens)
        each = 6 if fit.name == "full" else 4
        return _told("learning", name, read, tokens, shape, each)
    seeds = len({lesson["seed"] for lesson in lessons})
    flops = _probing(fit, trained, shape.width, len(lessons), seeds, extent.classes) if shape else None
    return Work(component="learning", model=name, jobs=1, read=0, written=0, trained=0, flops=flops)


def _probing(fit: Fit, n: float, width: int, heads: int, seeds: int, classes: int) -> float:
    """Two problems a seed, with and without what is held out; in the first every strength of the penalty is tried."""
    columns, strengths = (1 if classes == 2 else classes), len(getattr(fit, "l2", (1,)))
    rank = min(n, width)
    axes = 2 * seeds * (2 * n * width * rank + 9 * rank**3)
    return float(axes + getattr(fit, "steps", 1) * 8 * n * rank * columns * heads * (strengths + 1))


def _told(component: str, name: str, read: int, trained: int, shape: Shape | None, each: int = 4) -> Work:
    flops = float(shape.parameters) * (2 * read + each * trained) if shape else None
    return Work(component=component, model=name, jobs=1, read=read, written=0, trained=trained, flops=flops)


def _sum(mine: Sequence[Work]) -> Work:
    def total(of: Callable[[Work], float | None]) -> float | None:
        values = [of(one) for one in mine]
        return None if any(value is None for value in values) else sum(value or 0 for value in values)

    return mine[0].model_copy(
        update={
            "jobs": len(mine),
            "read": sum(one.read for one in mine),
            "trained": sum(one.trained for one in mine),
            "flops": total(lambda one: one.flops),
        }
    )


def _width(size: Size | str) -> int:
    return int(size.config.get("hidden_size", STATIC_WIDTH)) if isinstance(size, Size) else STATIC_WIDTH


def unknown(found: Sequence[Work]) -> Iterator[str]:
    """Yield what has no operations because the size of its model is not known."""
    yield from (f"FLOPs of {one.component} on {one.model}: its size is not known" for one in found if one.flops is None)
