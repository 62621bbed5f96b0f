"""A grid beside its cells as runs of their own, and beside the public sweep's cost model; its memory; its plan.

    python benchmarks/scaling.py --threads 1
    python benchmarks/scaling.py --quick --json figures.json

*grid* runs a grid with an empty store. *apart* runs some of its cells alone, each with an empty store of its own, and
multiplies: it says so. *public sweep* counts what the public sweep trains on the same models, tasks and seeds - a
ground-truth run a model and a transfer run a pair, nothing shared but weak labels - and charges each with the epochs
that benchmarks/weak_to_strong.py measures (the whole network, one text at a time, in every epoch). *memory* is the
most that a process held for grids of growing size over tasks of one size. *plan* lists a grid of 100,000 cells.
"""

from __future__ import annotations

import csv
import random
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from _measure import Meter, Plan, Row, Rows, Workers, asked_of, peak_gb, run, show, worker_options, write
from _probing import EPOCHS, _epoch

WORDS = {0: ("dull", "tiring", "grey", "slow"), 1: ("bright", "moving", "warm", "quick")}


def table(folder: Path, number: int, rows: int) -> str:
    """Write a table of texts whose class can be learnt in part, and return the task."""
    draw, path = random.Random(number), folder / f"task{number}.csv"
    with path.open("w", newline="", encoding="utf-8") as file:
        out = csv.writer(file)
        out.writerow(["text", "label"])
        for row in range(rows):
            label = row % 2
            word = draw.choice(WORDS[label if draw.random() < 0.8 else 1 - label])
            out.writerow([f"Film {row} of list {number} is {word}.", ("bad", "good")[label]])
    return f"file:{path}"


def asked(plan: Plan, folder: Path, tasks: int) -> Any:
    """Return the grid of a plan over so many tasks."""
    from superalign import Scaling

    given = [table(folder, number, plan["rows"]) for number in range(tasks)]
    return Scaling(weak=plan["weak"], strong=plan["strong"], tasks=given, methods=plan["methods"], seeds=plan["seeds"])


def whole(plan: Plan) -> Row:
    """Run the grid with an empty store; return its time, and that of its jobs alone."""
    from superalign import Store
    from superalign import run as run_study

    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        study = asked(plan, folder, plan["tasks"])
        with Meter() as meter:
            result = run_study(study, out=folder / "run", store=Store(folder / "store"))
    return {
        "cells": len(result.cells),
        "jobs": result.jobs.total,
        "CPU s": meter.cpu,
        "wall s": meter.wall,
        "wall s of its jobs": result.seconds,
        "peak GB": peak_gb(),
    }


def apart(plan: Plan) -> Row:
    """Run some cells alone, each with an empty store, and charge all."""
    from superalign import Scaling, Store
    from superalign import run as run_study

    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        study = asked(plan, folder, plan["tasks"])
        cells = [
            (*pair, str(task), str(method))
            for task, ground in zip(study.tasks, study.plan().grounds, strict=True)
            for pair in ground.pairs
            for method in study.methods
        ]
        sample = random.Random(0).sample(cells, min(plan["sample"], len(cells)))
        jobs = 0
        with Meter() as meter:
            for place, (weak, strong, task, method) in enumerate(sample):
                one = Scaling(weak=(weak,), strong=(strong,), tasks=(task,), methods=(method,), seeds=plan["seeds"])
                found = run_study(one, out=folder / f"run{place}", store=Store(folder / f"store{place}"))
                jobs += found.jobs.total
    times = len(cells) / len(sample)
    return {
        "cells": len(cells),
        "cells that ran": len(sample),
        "jobs": times * jobs,
        "CPU s": times * meter.cpu,
        "wall s": times * meter.wall,
        "peak GB": peak_gb(),
    }


def public(plan: Plan) -> Row:
    """Charge the public sweep: for each task and seed a run a model, and one a pair and method, 200 epochs each.

    An epoch of each model is measured on some texts of one task's transfer part. A cut model is charged as cut, though
    the public code cannot cut one.
    """
    from superalign.task import split, tasks

    with tempfile.TemporaryDirectory() as name:
        study = asked(plan, Path(name), 1)
        pairs = study.plan().grounds[0].pairs
        task = tasks.build(study.tasks[0].spec()).load().task
        texts = task.texts(split(task, (5, 6, 5), 0).transfer)[: plan["timed"]]
        part = len(split(task, (5, 6, 5), 0).transfer)
        epochs: dict[str, dict[str, float]] = {}
        found = study.models()
        for label, model in found.items():
            if str(model) in ("embedded:vader", "embedded:wordllama"):  # no network: charged nothing
                epochs[label] = {"cpu": 0.0, "wall": 0.0}
            else:
                epochs[label] = {kind: cost * part / len(texts) for kind, cost in _epoch(model, texts).items()}
    used = {label for pair in pairs for label in pair}
    runs = [*used, *(strong for _, strong in pairs for _ in plan["methods"])]
    times = plan["tasks"] * plan["seeds"] * EPOCHS
    return {
        "cells": len(pairs) * plan["tasks"] * len(plan["methods"]),
        "jobs": len(runs) * plan["tasks"] * plan["seeds"],
        "CPU s": times * sum(epochs[label]["cpu"] for label in runs),
        "wall s": times * sum(epochs[label]["wall"] for label in runs),
        "peak GB": peak_gb(),
    }


def held(tasks: int) -> Callable[[Plan], Row]:
    """Return the worker that runs the grid over so many tasks."""
    return lambda plan: {
        name: value for name, value in whole({**plan, "tasks": tasks}).items() if name in ("cells", "jobs", "peak GB")
    }


def listed(plan: Plan) -> Row:
    """Plan a grid of 100,000 cells and list its jobs, as a dry run does."""
    from superalign import Scaling, Store
    from superalign.estimate import dry_run
    from superalign.model import models

    models.build("embedded:smollm2").depth()  # imports of other packages are not the plan's
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        study = Scaling(
            weak=[f"embedded:minilm,max_tokens={n},layer={layer}" for n in (32, 64, 128) for layer in range(1, 6)],
            strong=[f"embedded:smollm2,layer={layer}" for layer in range(1, 31)],
            tasks=[table(folder, number, 60) for number in range(23)],
            methods=["naive", *(f"logconf,alpha=0.{place}" for place in range(1, 10))],
            seeds=5,
        )
        start = time.perf_counter()
        with Meter() as meter:
            found = dry_run(study, Store(folder / "store"))
        seconds = time.perf_counter() - start
    return {
        "cells": found.cells or 0,
        "jobs as runs of their own": found.separate or 0,
        "distinct jobs": found.jobs or 0,
        "CPU s": meter.cpu,
        "wall s": seconds,
        "peak GB": peak_gb(),
    }


GROWTH = (1, 4, 16)  # of 50 cells, or of 8 when quick
SUPERVISORS = [
    "embedded:vader",
    "embedded:minilm,layer=1",
    "embedded:wordllama",
    "embedded:minilm,layer=3",
    "embedded:minilm",
]
WORKERS: Workers = {
    "grid": whole,
    "apart": apart,
    "public sweep": public,
    **{f"{times} x": held(times) for times in GROWTH},
    "plan": listed,
}


def cost(plan: Plan) -> Rows:
    """Measure the grid, its cells apart, and the public sweep."""
    rows = run(("grid", "apart", "public sweep"), plan)
    shared = ("jobs", "CPU s", "wall s")
    for name in ("apart", "public sweep"):
        rows[f"{name} / grid"] = {measure: rows[name][measure] / rows["grid"][measure] for measure in shared}
    title = f"A grid; apart: {rows['apart']['cells that ran']} cells ran, and their time was multiplied"
    show(title, rows)
    return rows


def memory(plan: Plan) -> Rows:
    """Measure what a process holds as the grid grows."""
    rows = run([f"{times} x" for times in GROWTH], plan)
    show("Memory as the grid grows", rows)
    return rows


def planned(plan: Plan) -> Rows:
    """Plan a large grid."""
    rows = run(["plan"], plan)
    show("Planning", rows)
    return rows


PARTS: dict[str, Callable[[Plan], Rows]] = {"cost": cost, "memory": memory, "plan": planned}


def main() -> None:
    """Run the parts asked for and print a table each."""
    options = worker_options(__doc__, WORKERS)
    options.add_argument("--part", choices=[*PARTS, "all"], default="all")
    options.add_argument("--quick", action="store_true", help="small sizes: a check that it runs, not a measurement")
    options.add_argument("--sample", type=int, help="cells that run apart (default: 5)")
    chosen = asked_of(options, WORKERS)
    quick = chosen.quick
    plan = {
        "weak": SUPERVISORS[: 2 if quick else 5],
        "strong": [f"embedded:smollm2,layer={layer}" for layer in ((2, 4) if quick else (3, 6, 9, 12, 18))],
        "methods": ["naive", "logconf"],
        "seeds": 2 if quick else 5,
        "tasks": 2 if quick else 4,
        "rows": 160 if quick else 400,
        "timed": 16,
        "sample": chosen.sample or (2 if quick else 5),
    }
    small = {**plan, "rows": 120, "seeds": 1}
    figures = {
        name: part(small if name == "memory" else plan) for name, part in PARTS.items() if chosen.part in (name, "all")
    }
    write(chosen.json, {"plan": plan, "figures": figures})


if __name__ == "__main__":
    main()
