"""Every objective on every suitable set: taught by a weak model, and by the truth with known noise in it.

    python benchmarks/objectives.py --data ../shared/data --limit 1000 --out docs
    python benchmarks/objectives.py --data ../shared/data --part weak --methods naive logconf
    python benchmarks/objectives.py --data ../shared/data --part weak --only questions truthfulqa --limit 160 \\
        --fit lora,read=policy,epochs=2 --seeds 3 --name policies --out docs

Nothing is picked: all registered objectives that can learn a set do, with their defaults, as probes (on comparisons:
reward heads); sets that cannot be used are listed with the reason. Five seeds; intervals and tests are those of the
studies `weak-to-strong` and `label-noise`. Writes objectives.md, and every figure to objectives.csv (taught by a weak
model) and objectives_noise.csv.
"""

from __future__ import annotations

import csv
import sys
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path

import _objectives_page as page
from _measure import Row, set_options, write
from _sets import SETS, spec

from superalign import SuperalignError, WeakToStrong, run
from superalign.display import Plain
from superalign.fit import Fit, fits
from superalign.objective import objectives
from superalign.result import PGR, Interval, PairedTest
from superalign.studies.label_noise import LabelNoise
from superalign.task import Task, tasks

NOISES = ("symmetric", "class-dependent", "instance-dependent")
RATES = (0.0, 0.1, 0.2, 0.3, 0.4)
SLOW = 20  # classes from which the noise part takes hours, and is left out


def main() -> None:
    """Run every set and write the table and the page."""
    options = set_options(__doc__, limit=1000)
    options.add_argument("--part", choices=["weak", "noise", "all"], default="all")
    options.add_argument("--methods", nargs="*", help="objectives (default: all)")
    options.add_argument("--weak", default="embedded:minilm")
    options.add_argument("--strong", default="embedded:smollm2")
    options.add_argument("--fit", default="probe", help="how much of a student moves (default: probe)")
    options.add_argument("--seeds", type=int, default=5)
    options.add_argument("--name", default="objectives", help="of the files that are written (default: objectives)")
    options.add_argument("--out", type=Path, help="folder for objectives.csv and objectives.md")
    asked = options.parse_args()
    rows, refused = list[Row](), list[Row]()
    for name in asked.only or ["facts", *SETS]:
        task = spec(name, asked.data, asked.limit)
        try:
            loaded = tasks.build(task).load().task
        except SuperalignError as error:
            refused.append({"set": name, "why": str(error).splitlines()[0]})
            continue
        methods = suitable(loaded, fits.build(asked.fit), asked.methods or objectives.names())
        taught = partial(weak_to_strong, task, asked.weak, asked.strong, asked.fit, asked.seeds)
        studies = [] if asked.part == "noise" else [taught]
        if asked.part != "weak" and len(loaded.classes) < SLOW:
            studies += [partial(label_noise, task, asked.strong, asked.fit, asked.seeds, noise) for noise in NOISES]
        found = [row for study in studies for row in whoever_can(name, study, methods, refused)]
        rows += [{"set": name, "kind": "pairs" if loaded.pairwise else "classes", **row} for row in found]
        print(f"{name}: {len(methods)} objectives, {len(found)} rows", file=sys.stderr, flush=True)
        if asked.out:
            write_tables(asked.out, asked.name, rows)
        write(asked.json, {"rows": rows, "refused": refused})
    text = page.written(rows, refused, asked.only, asked.limit, f"{asked.weak} and {asked.strong}")
    if asked.out:
        (asked.out / f"{asked.name}.md").write_text(text)
    else:
        print(text)


def suitable(task: Task, fit: Fit, names: Sequence[str]) -> list[str]:
    """Return the objectives by which the task can be learnt, cross-entropy first."""
    found = []
    for name in names:
        try:
            fit.check(objectives.build(name), task)
        except SuperalignError:
            continue
        found.append(name)
    return sorted(found, key=lambda name: name != "naive")


def whoever_can(
    name: str, study: Callable[[list[str]], Iterator[Row]], methods: list[str], refused: list[Row]
) -> list[Row]:
    """Return the rows of a study without the objectives that refuse the labels they get, which are noted."""
    while methods:
        try:
            return list(study(methods))
        except SuperalignError as error:
            why = str(error).splitlines()[0]
            out = next((method for method in methods if f"'{method}'" in why), None)
            refused.append({"set": f"{name}, {out}" if out else name, "why": why})
            methods = [method for method in methods if out and method != out]
    return []


def weak_to_strong(task: str, weak: str, strong: str, fit: str, seeds: int, methods: Sequence[str]) -> Iterator[Row]:
    """Yield the supervisor, every student, the ceiling and the control."""
    study = WeakToStrong(weak=weak, strong=strong, task=task, methods=tuple(methods), fit=fit, seeds=seeds, sweep=0)
    result = run(study, listen=Plain(sys.stderr))
    pgr = {one.method: one for one in result.pgr}
    tests = {one.a: one for one in result.tests if one.b == "naive"} | {
        one.b: turned(one) for one in result.tests if one.a == "naive" and one.b != "weak"
    }
    for one in result.summary:
        student = one.role == "student"
        yield {
            "part": "weak",
            "role": one.role,
            "method": one.method,
            "rate": None,
            "n": one.n,
            **bounds("accuracy", one.accuracy),
            **recovered(pgr[one.method] if student else None),
            **against(tests.get(one.method) if student else None),
        }


def label_noise(task: str, model: str, fit: str, seeds: int, noise: str, methods: Sequence[str]) -> Iterator[Row]:
    """Yield every method at every rate."""
    study = LabelNoise(model=model, task=task, noise=noise, rates=RATES, methods=tuple(methods), fit=fit, seeds=seeds)
    result = run(study, listen=Plain(sys.stderr))
    tests = {(one.a, one.rate): one for one in result.tests}
    for one in result.summary:
        yield {
            "part": noise,
            "role": "student",
            "method": one.method,
            "rate": one.rate,
            "n": one.n,
            **bounds("accuracy", one.accuracy),
            **recovered(None),
            **against(tests.get((one.method, one.rate))),
        }


def turned(test: PairedTest) -> PairedTest:
    """Return the same test seen from the other side."""
    d = test.difference
    difference = Interval(value=-d.value, low=-d.high, high=-d.low)
    return test.model_copy(update={"a": test.b, "b": test.a, "difference": difference})


def bounds(name: str, interval: Interval | None) -> Row:
    """Return a figure and its interval."""
    values = (interval.value, interval.low, interval.high) if interval else (None, None, None)
    return dict(zip((name, f"{name}_low", f"{name}_high"), values, strict=True))


def recovered(pgr: PGR | None) -> Row:
    """Return the share of the gap that was recovered, or why none is given."""
    return {**bounds("pgr", pgr.pooled if pgr else None), "pgr_refused": (pgr.reason or "") if pgr else ""}


def against(test: PairedTest | None) -> Row:
    """Return the difference to cross-entropy on the same items."""
    p = {"p": test.p, "p_holm": test.p_holm} if test else {"p": None, "p_holm": None}
    return {**bounds("difference", test.difference if test else None), **p}


def write_tables(folder: Path, stem: str, rows: Sequence[Row]) -> None:
    """Write every figure with four digits, one file a part."""
    for name, weak in ((f"{stem}.csv", True), (f"{stem}_noise.csv", False)):
        mine = [row for row in rows if (row["part"] == "weak") == weak]
        if not mine:
            continue
        with (folder / name).open("w", newline="") as file:
            table = csv.DictWriter(file, rows[0].keys(), lineterminator="\n")
            table.writeheader()
            for row in mine:
                table.writerow({k: f"{v:.4g}" if isinstance(v, float) else v for k, v in row.items()})


if __name__ == "__main__":
    main()
