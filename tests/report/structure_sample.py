"""A realistic result of the error lab, drawn from a fixed random state."""

from __future__ import annotations

import numpy as np
from sample import sample

from superalign.config import digest
from superalign.metric import holm
from superalign.result import Interval
from superalign.structure_claims import Known, claims
from superalign.structure_result import ErrorLabResult, StructureFacts, StructureRow, StructureSummary, StructureTest
from superalign.structure_verdict import headline, outcome, verdict

RECOVERED = {"weak": 0.4, "random": 0.9, "ceiling-sure": -0.5, "simulable": 0.05, "trivial": 0.02}
WEAK, CEILING, ERRORS, LABELS = 0.68, 0.86, 380, 1200


def structure_sample(
    *,
    structures: tuple[str, ...] = tuple(RECOVERED),
    methods: tuple[str, ...] = ("naive", "logconf"),
    filters: tuple[str, ...] = (),
    gap: bool = True,
    seeds: int = 5,
    hostile: bool = False,
    half: float = 0.015,
    n: int = 1000,
) -> ErrorLabResult:
    """Return a result as `superalign run error-lab` would; `half` is half an interval of an accuracy."""
    rng, base = np.random.default_rng(5), sample(hostile=hostile)
    ceiling = CEILING if gap else WEAK
    reason = None if gap else "ceiling - weak is +0.0 points [-1.5, +1.4]: within noise, no gap to recover"
    summary, rows = list[StructureSummary](), list[StructureRow]()
    for structure in structures:
        for after in (None, *filters):
            for method in methods:
                value = WEAK + RECOVERED.get(structure, 0.3) * (ceiling - WEAK) + 0.01 * methods.index(method)
                one = _summary(structure, method, after, value, ceiling, half, seeds, n, gap)
                summary.append(one)
                rows += [_row(one, seed, rng) for seed in range(seeds)]
    rows += [_row(summary[0], seed, rng).model_copy(update={"structure": ""}) for seed in range(seeds)]
    tests = _tests(summary, half, n, seeds)
    facts = [_facts(name, seeds) for name in structures]
    ends = _interval(WEAK, half), _interval(ceiling, half)
    between = _interval(ceiling - WEAK, half)
    cuts = {"wrong": _interval(0.08, half), "right": _interval(0.01, half)} if "weak" in structures else {}
    config = {
        "study": "error-lab",
        "structures": [{"name": name} for name in structures],
        "methods": [{"name": method} for method in methods],
        "filters": [{"name": after} for after in filters],
        "fit": {"name": "probe", "steps": 50},
        "weak_fit": {"name": "probe", "steps": 50},
        "shares": [5, 6, 5],
    }
    return ErrorLabResult(
        config=config,
        config_sha256=digest(config),
        versions=base.versions,
        seconds=61.2,
        task=base.task,
        weak=base.weak,
        strong=base.strong,
        match="class",
        truth=[0.5] * len(base.task.classes),
        weak_accuracy=ends[0],
        ceiling_accuracy=ends[1],
        gap=between,
        reason=reason,
        structures=facts,
        rows=rows,
        summary=summary,
        tests=tests,
        claims=claims(Known.of(summary, tests, cuts), reason),
        unsealed=base.unsealed,
        jobs=base.jobs,
        flags=[],
        verdict=verdict(facts, *ends, reason, summary, tests),
        said=headline(summary, between),
    )


def _summary(
    structure: str,
    method: str,
    after: str | None,
    value: float,
    ceiling: float,
    half: float,
    seeds: int,
    n: int,
    gap: bool,
) -> StructureSummary:
    pgr = _interval((value - WEAK) / (ceiling - WEAK), half / (ceiling - WEAK)) if gap else None
    return StructureSummary(
        structure=structure,
        method=f"{method} after {after}" if after else method,
        objective=method,
        filter=after,
        accuracy=_interval(value, half),
        n=n,
        seeds=seeds,
        ece=0.05,
        label_accuracy=1 - ERRORS / LABELS,
        kept=0.8 if after else 1.0,
        pgr=pgr,
        loss=_interval(ceiling - value, half),
        gain=_interval(value - WEAK, half),
        agrees_right=_interval(value, half),
        agrees_wrong=_interval(1 - value, half),
        outcome=outcome(pgr),
    )


def _row(one: StructureSummary, seed: int, rng: np.random.Generator) -> StructureRow:
    correct = int(rng.binomial(one.n, one.accuracy.value))
    return StructureRow(
        structure=one.structure,
        method=one.method,
        seed=seed,
        accuracy=correct / one.n,
        correct=correct,
        n=one.n,
        ece=0.05,
        label_accuracy=one.label_accuracy,
        kept=round(LABELS * one.kept),
        facts={"l2": 0.1},
        agreement_when_right=0.8,
        agreement_when_wrong=0.3,
        n_supervisor_wrong=320,
    )


def _facts(name: str, seeds: int) -> StructureFacts:
    more = {"k": 64, "natural": 0.97} if name == "simulable" else {}
    facts = [{"errors": ERRORS + seed, "shared": 0.5, **more} for seed in range(seeds)]
    errors = [ERRORS + seed for seed in range(seeds)]
    return StructureFacts(structure=name, errors=errors, n=LABELS, shared=0.5, balance=[0.51, 0.49], facts=facts)


def _tests(summary: list[StructureSummary], half: float, n: int, seeds: int) -> list[StructureTest]:
    base = {one.method: one for one in summary if one.structure == "random"}
    others = [one for one in summary if one.structure != "random" and one.method in base]
    found = [one.accuracy.value - base[one.method].accuracy.value for one in others]
    p = [float(np.exp(-abs(difference) / 0.004)) for difference in found]
    return [
        StructureTest(
            structure=one.structure,
            method=one.method,
            a=f"{one.method}, {one.structure} errors",
            b=f"{one.method}, random errors",
            difference=_interval(difference, half),
            p=chance,
            p_holm=corrected,
            n=n,
            groups=400,
            seeds=seeds,
        )
        for one, difference, chance, corrected in zip(others, found, p, holm(p), strict=True)
    ]


def _interval(value: float, half: float) -> Interval:
    return Interval(value=value, low=value - half, high=value + 0.95 * half)
