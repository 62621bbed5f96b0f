"""A realistic result of the label-noise study, drawn from a fixed random state."""

from __future__ import annotations

import numpy as np
from sample import sample

from superalign.config import digest
from superalign.metric import holm
from superalign.noise_result import LabelNoiseResult, NoiseRow, NoiseSummary, NoiseTest
from superalign.noise_verdict import verdict
from superalign.result import Interval

FALL = {"naive": 0.5, "logconf": 0.45, "gce": 0.2, "forward": 0.1}
TRUE = 0.84


def noise_sample(
    *,
    methods: tuple[str, ...] = ("naive", "logconf", "gce", "forward"),
    filters: tuple[str, ...] = (),
    rates: tuple[float, ...] = (0.0, 0.1, 0.2, 0.3, 0.4),
    seeds: int = 5,
    hostile: bool = False,
    n: int = 1200,
) -> LabelNoiseResult:
    """Return a result as `superalign run label-noise` would."""
    rng = np.random.default_rng(3)
    base = sample(hostile=hostile)
    pairs = [(method, after) for after in (None, *filters) for method in methods]
    rows, summary = list[NoiseRow](), list[NoiseSummary]()
    for method, after in pairs:
        name = f"{method} after {after}" if after else method
        at = {rate: TRUE - FALL.get(method, 0.3) * rate**2 for rate in rates}
        for rate, mean in at.items():
            mine = [_row(name, rate, seed, float(mean), n, bool(after), rng) for seed in range(seeds)]
            rows += mine
            summary.append(_summary(name, method, after, mine, at.get(0.0)))
    tests = _tests(summary, n, seeds)
    config = {
        "study": "label-noise",
        "model": {"name": "embedded", "model": "smollm2"},
        "task": {"name": "facts"},
        "noise": {"name": "symmetric", "rate": 0.2},
        "rates": list(rates),
        "methods": [{"name": method} for method in methods],
        "filters": [{"name": after} for after in filters],
        "fit": {"name": "probe", "steps": 50},
        "seeds": seeds,
        "shares": [5, 6, 5],
    }
    return LabelNoiseResult(
        config=config,
        config_sha256=digest(config),
        versions=base.versions,
        seconds=61.2,
        task=base.task,
        model=base.strong,
        noise="symmetric",
        rates=list(rates),
        guess=0.5,
        rows=rows,
        summary=summary,
        tests=tests,
        unsealed=base.unsealed,
        jobs=base.jobs,
        flags=[],
        verdict=verdict("symmetric", 1200, 0.5, summary, tests),
    )


def _row(name: str, rate: float, seed: int, mean: float, n: int, filtered: bool, rng: np.random.Generator) -> NoiseRow:
    correct = int(rng.binomial(n, np.clip(mean, 0, 1)))
    return NoiseRow(
        method=name,
        rate=rate,
        seed=seed,
        accuracy=correct / n,
        correct=correct,
        n=n,
        ece=float(abs(rng.normal(0.05, 0.01))),
        label_accuracy=1 - rate / 2 if filtered else 1 - rate,
        kept=900 if filtered else 1200,
        estimated_noise=rate + 0.012 if name.startswith("forward") else None,
        facts={"l2": 0.1},
    )


def _summary(name: str, method: str, after: str | None, rows: list[NoiseRow], clean: float | None) -> NoiseSummary:
    rate, value = rows[0].rate, float(np.mean([row.accuracy for row in rows]))
    told = [row.estimated_noise for row in rows if row.estimated_noise is not None]
    return NoiseSummary(
        method=name,
        objective=method,
        filter=after,
        rate=rate,
        accuracy=_interval(value, 0.016),
        n=rows[0].n,
        seeds=len(rows),
        ece=float(np.mean([row.ece for row in rows])),
        label_accuracy=rows[0].label_accuracy,
        kept=rows[0].kept / 1200,
        estimated_noise=float(np.mean(told)) if told else None,
        loss=None if clean is None or rate == 0 else _interval(clean - value, 0.012),
    )


def _tests(summary: list[NoiseSummary], n: int, seeds: int) -> list[NoiseTest]:
    first = {one.rate: one for one in summary if one.method == summary[0].method}
    others = [one for one in summary if one.method != summary[0].method]
    differences = [one.accuracy.value - first[one.rate].accuracy.value for one in others]
    p = [float(np.exp(-abs(difference) / 0.003)) for difference in differences]
    return [
        NoiseTest(
            rate=one.rate,
            a=one.method,
            b=summary[0].method,
            difference=_interval(difference, 0.012),
            p=chance,
            p_holm=corrected,
            n=n,
            groups=400,
            seeds=seeds,
        )
        for one, difference, chance, corrected in zip(others, differences, p, holm(p), strict=True)
    ]


def _interval(value: float, half: float) -> Interval:
    return Interval(value=value, low=value - half, high=value + 0.95 * half)
