"""A realistic result of the scaling study, drawn from a fixed random state."""

from __future__ import annotations

import numpy as np
from sample import sample

from superalign.config import digest
from superalign.result import Interval
from superalign.scaling_result import Excluded, ScalingCell, ScalingResult, ScalingRow, SizeFacts, Unsuited
from superalign.scaling_trends import compared, summarised, trends
from superalign.scaling_verdict import verdict


def scaling_sample(
    *,
    weak: tuple[str, ...] = ("embedded:vader", "embedded:wordllama", "embedded:minilm"),
    strong: tuple[str, ...] = (
        "embedded:minilm",
        "embedded:smollm2,layer=6",
        "embedded:smollm2,layer=11",
        "embedded:smollm2",
    ),
    tasks: tuple[str, ...] = ("facts", "facts,relations=capital", "file:reviews.csv"),
    methods: tuple[str, ...] = ("naive", "logconf"),
    seeds: int = 5,
    gap: float = 0.2,
    hostile: bool = False,
    unknown: bool = False,
    unsuited: tuple[str, ...] = (),
) -> ScalingResult:
    """Return a result as `superalign run scaling` would; PGR falls as the student grows.

    The last method cannot learn the tasks of `unsuited`.
    """
    rng, base = np.random.default_rng(5), sample(hostile=hostile)
    names = list(dict.fromkeys((*weak, *strong)))
    sizes = [
        SizeFacts(
            model=name,
            layer=place,
            depth=30,
            parameters=None if unknown else 10_000 * (1 + place) ** 4,
            weak=name in weak,
            strong=name in strong,
        )
        for place, name in enumerate(names)
    ]
    cells, rows = list[ScalingCell](), list[ScalingRow]()
    for task in tasks:
        for low in weak:
            for place, high in enumerate(strong):
                for method in methods:
                    if low != high and not (task in unsuited and method == methods[-1]):
                        floor = 0.5 + 0.04 * weak.index(low)
                        best = floor + gap * (place + 1) / len(strong) if place or not gap else floor + 0.001
                        part = 0.6 - 0.1 * place + 0.05 * methods.index(method)
                        mean = floor + part * (best - floor) + float(rng.normal(0, 0.004))
                        cells.append(_cell(task, low, high, method, (floor, mean, best), seeds))
                        rows += [
                            ScalingRow(
                                task=task,
                                weak=low,
                                strong=high,
                                method=method,
                                seed=seed,
                                weak_accuracy=floor,
                                accuracy=mean,
                                ceiling_accuracy=best,
                                n=800,
                            )
                            for seed in range(seeds)
                        ]
    excluded = [Excluded(weak=name, strong=name, why="it is the same model") for name in weak if name in strong]
    summary, moved, tests = summarised(cells), trends(cells, sizes), compared(cells)
    config = {
        "study": "scaling",
        "methods": [{"name": name} for name in methods],
        "fit": {"name": "probe"},
        "weak_fit": {"name": "probe"},
        "shares": [5, 6, 5],
        "seeds": seeds,
    }
    return ScalingResult(
        config=config,
        config_sha256=digest(config),
        versions=base.versions,
        seconds=120.5,
        jobs=base.jobs,
        task=base.task,
        tasks=[base.task for _ in tasks],
        names=list(tasks),
        used=[base.weak, base.strong],
        sizes=sizes,
        excluded=excluded,
        unsuited=[Unsuited(task=task, method=methods[-1], why="it learns from pairs") for task in unsuited],
        rows=rows,
        cells=cells,
        summary=summary,
        trends=moved,
        tests=tests,
        unsealed=base.unsealed,
        flags=[],
        verdict=verdict(cells, len(excluded), summary, moved, tests),
    )


def _cell(task: str, weak: str, strong: str, method: str, means: tuple[float, float, float], seeds: int) -> ScalingCell:
    floor, mean, best = means
    known = best - floor > 0.02
    return ScalingCell(
        task=task,
        weak=weak,
        strong=strong,
        method=method,
        weak_accuracy=_interval(floor),
        accuracy=_interval(mean),
        ceiling_accuracy=_interval(best),
        gap=_interval(best - floor),
        gain=_interval(mean - floor),
        pgr=_interval((mean - floor) / (best - floor)) if known else None,
        reason=None if known else "ceiling - weak is +0.1 points [-1.9, +2.1]: within noise, no gap to recover",
        n=800,
        groups=400,
        seeds=seeds,
    )


def _interval(value: float) -> Interval:
    return Interval(value=value, low=value - 0.02, high=value + 0.02)
