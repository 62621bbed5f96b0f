"""What a study of balance leaves behind, with answers drawn at given rates in the place of a model's."""

from __future__ import annotations

from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from superalign.balance_evaluation import Arm, BalanceCell, BalanceEvidence, evaluate
from superalign.balance_result import BalanceResult
from superalign.balancing import ask_axes, draw_axis, interfere, mix_pairs, teach_pairs
from superalign.job import Job
from superalign.model import models
from superalign.steps import read_items
from superalign.store import Artifact
from superalign.study import Conduct
from superalign.task import Comparison, Task

AXES = ("honest", "helpful", "harmless")
RATES = {
    Arm("base", "base"): (0.3, 0.3, 0.5),
    Arm("honest", "expert"): (0.9, 0.2, 0.6),
    Arm("helpful", "expert"): (0.3, 0.9, 0.3),
    Arm("harmless", "expert"): (0.3, 0.4, 0.9),
    Arm("equal", "mixture"): (0.6, 0.6, 0.6),
    Arm("lagging", "mixture"): (0.65, 0.6, 0.5),
    Arm("linear", "merge", "linear"): (0.6, 0.5, 0.7),
    Arm("ties", "merge", "ties"): (0.85, 0.85, 0.85),
    Arm("tsv-m", "merge", "tsv-m"): (0.7, 0.7, 0.7),
    Arm("r-tsvm", "merge", "r-tsvm"): (0.7, 0.7, 0.72),
}
"""Of every arm how often it answers as wanted, by axis."""


class Drawn(NamedTuple):
    """Evidence, its artifacts by the keys of their jobs, and the result."""

    evidence: BalanceEvidence
    held: dict[str, Artifact]
    result: BalanceResult


def drawn(
    folder: Path,
    *,
    rates: dict[Arm, tuple[float, ...]] = RATES,
    axes: tuple[str, ...] = AXES,
    seeds: int = 3,
    n: int = 90,
    missing: int = 0,
    choose: Any = "average",
) -> Drawn:
    """Return a result; `folder` holds a model, whose facts it gives. `missing` probes of the first arm are NaN."""
    rng, held = np.random.default_rng(3), dict[str, Artifact]()

    def job(step: Any, artifact: Artifact, **inputs: Job) -> Job:
        made = Job(step, {"number": len(held)}, inputs)
        held[made.key] = artifact
        return made

    pairs = [Comparison(f"i{n}", f"Where is {n}?", ("In Peru.", "In Chad."), f"g{n // 3}") for n in range(120)]
    items = job(read_items, Artifact(meta=Task("rivers", "1", tuple(pairs), ("first", "second")).to_meta()))
    probes = [[f"i{k}", [["user", f"{k}?"]], "a", "b", f"g{k // 3}"] for k in range(n)]
    meta = {"pairs": [{}] * 20, "validation": probes[:30], "test": probes, "errors": {}}
    drawn_axes = [[job(draw_axis, Artifact(meta=meta), items=items) for _ in range(seeds)] for _ in axes]
    cells = []
    for number, (arm, wanted) in enumerate(rates.items()):
        for seed in range(seeds):
            said = {}
            for place, rate in enumerate(wanted):
                for part, count in (("test", n), ("validation", 30)):
                    odds = np.where(rng.random(count) < rate, 1.0, -1.0) * rng.random(count)
                    if part == "test" and number == 0:
                        odds[:missing] = np.nan
                    said[f"axis{place} {part}"] = odds.astype(np.float32)
            mixed = job(mix_pairs, Artifact(meta={"counts": {"axis0": 7}}))
            facts = Artifact(meta={"facts": {"layer": 3, "truncated": 1, "tokens": 9}})
            learner = job(teach_pairs, facts, mixed=mixed) if arm.kind in ("expert", "mixture") else None
            cells.append(BalanceCell(arm, seed, job(ask_axes, Artifact(said)), learner))
    figures = {"cosine": 0.1, "conflict": 0.5, "conflict_large": 0.4, "overlap": 0.2}
    between = [{"first": f"expert{a}", "second": f"expert{b}", **figures} for a, b in ((0, 1), (0, 2), (1, 2))]
    measured = [job(interfere, Artifact(meta={"pairs": between, "singular": 0.3})) for _ in range(seeds)]
    model = models.build(f"hf:{folder}")
    evidence = BalanceEvidence(items, drawn_axes, cells, measured, list(axes), list(axes), model, (5, 6, 5), choose, 20)
    config = {
        "study": "balance-3h",
        "axes": [{"name": "honest"}],
        "methods": [{"name": "ties", "density": 0.2}],
        "mixtures": ["equal", "lagging"],
        "pairs": 20,
        "objective": {"name": "simpo"},
        "fit": {"name": "lora", "rank": 2},
        "shares": [5, 6, 5],
    }
    counts = {"total": 5, "computed": 5, "reused": 0, "failed": 0}
    conduct = Conduct(config, "0" * 64, {"superalign": "0"}, 2.0, counts, [])
    return Drawn(evidence, held, evaluate(evidence, lambda one: held[one.key], conduct))
