"""The grid: every embedded size, every set, every objective a probe can learn by, five seeds.

    python benchmarks/grid.py --data ../shared/data --limit 600 --out docs
    python benchmarks/grid.py --data ../shared/data --limit 600 --only boolq truthfulqa --methods naive logconf

It is one run of `superalign run scaling`, whose report and results are in --run; a killed run goes on. Objectives that
must be told how wrong labels are (`backward`, `forward`, `rdpo`, `co-teaching`) are left out: a weak model that says
one class only leaves nothing to estimate that from, and objectives.py has them. So are those for policies. Writes
grid.md, and grid.csv with each objective on each set; single cells are in the run's results.json.
"""

from __future__ import annotations

import csv
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
from _measure import set_options
from _objectives_page import head, line
from _sets import SETS, spec

from superalign import Scaling, SuperalignError, run
from superalign.display import Plain
from superalign.fits.probe import Probe
from superalign.objective import objectives
from superalign.result import Interval
from superalign.scaling_result import MethodTest, ScalingCell, ScalingResult
from superalign.task import tasks

WEAK = (
    "embedded:vader",
    "embedded:wordllama",
    "embedded:minilm,layer=3",
    "embedded:minilm",
    "embedded:smollm2,layer=4",
    "embedded:smollm2,layer=11",
)
STRONG = ("embedded:minilm", "embedded:smollm2,layer=4", "embedded:smollm2,layer=11", "embedded:smollm2")


def main() -> None:
    """Run the grid and write the page."""
    options = set_options(__doc__, limit=600)
    options.add_argument("--methods", nargs="*", help="objectives (default: all that a probe can learn by, see above)")
    options.add_argument("--seeds", type=int, default=5)
    options.add_argument("--run", type=Path, default=Path("runs/grid"), help="folder of the run and its report")
    options.add_argument("--out", type=Path, help="folder for grid.md and grid.csv")
    asked = options.parse_args()
    named, unusable = dict[str, str](), list[str]()
    for name in asked.only or ["facts", *SETS]:
        task = tasks.build(spec(name, asked.data, asked.limit))
        try:
            task.load()
        except SuperalignError as error:
            unusable.append(f"{name}: {str(error).splitlines()[0]}")
        else:
            named[str(task)] = name
    methods = asked.methods or by_default()
    study = Scaling(weak=WEAK, strong=STRONG, tasks=tuple(named), methods=tuple(methods), seeds=asked.seeds)
    result = run(study, out=asked.run, listen=Plain(sys.stderr))
    text = "\n".join(page(result, named, asked.limit, asked.only, unusable))
    if asked.out:
        (asked.out / "grid.md").write_text(text)
        write_methods(asked.out / "grid.csv", result.cells, named)
    else:
        print(text)


def by_default() -> list[str]:
    """Return the objectives that a probe can learn by from soft labels alone, cross-entropy first."""
    found = []
    for name in objectives.names():
        objective = objectives.build(name)
        try:
            Probe().check(objective, None)
        except SuperalignError:
            continue
        if not objective.wants_noise:
            found.append(name)
    return sorted(found, key=lambda name: name != "naive")


def page(
    result: ScalingResult, named: dict[str, str], limit: int, only: Sequence[str] | None, unusable: Sequence[str]
) -> Iterator[str]:
    """Yield the page, line by line."""
    sets = f" --only {' '.join(only)}" if only else ""
    yield from ("# The grid", "")
    yield (
        f"Made by `python benchmarks/grid.py --data DATA --limit {limit}{sets} --out docs`: probes on embedded models "
        f"cut off at layers, {len(result.cells):,} cells, {result.cells[0].seeds} seeds, at most {limit:,} rows a set. "
        "Each objective on each set is in [grid.csv](grid.csv). The rules are those of [scaling.md](scaling.md); "
        "intervals of single cells are not corrected for their number."
    )
    yield from ("", *(f"- {sentence}" for sentence in result.verdict), "")
    naive = [cell for cell in result.cells if cell.method == result.methods[0]]
    yield from ("## Sets", "", f"Means over {len(pairs(naive))} pairs of models, students by `naive`.", "")
    yield from head("set", "test items", "weak, %", "student", "ceiling", "pairs with a PGR", "median PGR")
    for task, name in named.items():
        mine = [cell for cell in naive if cell.task == task]
        yield line(name, str(mine[0].n), *means(mine), *recovered(mine))
    yield from ("", "## Pairs of models", "", f"Means over {len(named)} sets, students by `naive`.", "")
    yield from head(
        "weak", "strong", "weak %", "student %", "ceiling %", "sets with a PGR", "median PGR", "above", "below"
    )
    for weak, strong in pairs(naive):
        mine = [cell for cell in naive if (cell.weak, cell.strong) == (weak, strong)]
        sides = (sum(cell.gain.low > 0 for cell in mine), sum(cell.gain.high < 0 for cell in mine))
        yield line(short(weak), short(strong), *means(mine), *recovered(mine), *map(str, sides))
    yield from ("", "*above*, *below*: sets on which the student is above or below its supervisor by its interval.", "")
    yield from ("## What moves with size", "")
    yield from head("trend, `naive`", "rho", "finding", "ladders", "sets")
    for one in result.trends:
        if one.method == result.methods[0]:
            rho = ratio(one.interval) if one.interval else "none"
            yield line(f"{one.figure} against {one.against}", rho, one.finding, str(one.ladders), str(one.tasks))
    yield from ("", "## Methods", "", "Against `naive` over the sets, a set counting once by its mean over pairs.", "")
    yield from head(
        "objective", "sets", "better / worse / equal", "mean, points", "shift", "p", "p (Holm)", "median PGR"
    )
    medians = {one.method: one.median for one in result.summary}
    for one in sorted(result.tests, key=lambda test: -signed(test)):
        yield method_line(one, medians, result.methods[0])
    yield from ("", *published(result), "## Left out", "")
    for one in result.excluded:
        yield f"- {short(one.weak)} for {short(one.strong)}: {one.why}"
    for name in dict.fromkeys(one.task for one in result.unsuited):
        out = [one for one in result.unsuited if one.task == name]
        yield f"- {named[name]}: {len(out)} objectives ({', '.join(one.method for one in out)}), such as: {out[0].why}"
    yield from (f"- {one}" for one in unusable)
    yield ""


def published(result: ScalingResult) -> Iterator[str]:
    """Yield the confidence loss against cross-entropy, beside what others found."""
    test = next((one for one in result.tests if {one.a, one.b} == {"naive", "logconf"}), None)
    if test:
        wins = test.wins if test.a == "logconf" else test.losses
        yield (
            f"`logconf` is above `naive` on {wins} of {test.tasks} sets ({test.ties} equal), mean {signed(test):+.2f} "
            f"points, Wilcoxon p {test.p:.3f}. Published: above on 16 of 21 sets, p = .08 to .14 (Qwen1.5-0.5B "
            "teaching Llama-3-8B, fine-tuned; EleutherAI 2024)."
        )
        yield ""


def method_line(test: MethodTest, medians: dict[str, float | None], reference: str) -> str:
    """Return the line of a method against the reference, whichever of them stands first in the test."""
    turned = test.a == reference
    sides = (test.losses, test.wins) if turned else (test.wins, test.losses)
    name, shift = (test.b, test.shift) if turned else (test.a, test.shift)
    if shift and turned:
        shift = Interval(value=-shift.value, low=-shift.high, high=-shift.low)
    told = f"{100 * shift.value:+.2f} [{100 * shift.low:+.2f}, {100 * shift.high:+.2f}]" if shift else "none"
    median = medians[name]
    return line(
        name,
        str(test.tasks),
        f"{sides[0]} / {sides[1]} / {test.ties}",
        f"{signed(test, reference):+.2f}",
        told,
        f"{test.p:.3f}",
        f"{test.p_holm:.3f}",
        f"{median:.2f}" if median is not None else "none",
    )


def signed(test: MethodTest, reference: str = "naive") -> float:
    """Return the mean difference to the reference, in points."""
    return 100 * (-test.difference if test.a == reference else test.difference)


def means(cells: Sequence[ScalingCell]) -> list[str]:
    """Return mean accuracies of supervisors, students and ceilings, in per cent."""
    each = [(cell.weak_accuracy.value, cell.accuracy.value, cell.ceiling_accuracy.value) for cell in cells]
    return [f"{100 * value:.1f}" for value in np.mean(each, axis=0)]


def recovered(cells: Sequence[ScalingCell]) -> tuple[str, str]:
    """Return how many cells have a PGR, and their median."""
    known = [cell.pgr.value for cell in cells if cell.pgr]
    return f"{len(known)} of {len(cells)}", f"{np.median(known):.2f}" if known else "none"


def pairs(cells: Sequence[ScalingCell]) -> list[tuple[str, str]]:
    """Return the pairs of models, in the order in which they come."""
    return list(dict.fromkeys((cell.weak, cell.strong) for cell in cells))


def short(model: str) -> str:
    """Return a model's name without where it comes from."""
    return model.removeprefix("embedded:")


def ratio(figure: Interval) -> str:
    """Write a figure with its interval."""
    return f"{figure.value:.2f} [{figure.low:.2f}, {figure.high:.2f}]"


def write_methods(path: Path, cells: Sequence[ScalingCell], named: dict[str, str]) -> None:
    """Write each objective on each set: means over the pairs of models."""
    mine = dict[tuple[str, str], list[ScalingCell]]()
    for cell in cells:
        mine.setdefault((named[cell.task], cell.method), []).append(cell)
    with path.open("w", newline="", encoding="utf-8") as file:
        out = csv.writer(file, lineterminator="\n")
        out.writerow(["set", "method", "n", "weak", "student", "ceiling", "with a PGR", "median PGR", "above", "below"])
        for (name, method), these in mine.items():
            sides = (sum(cell.gain.low > 0 for cell in these), sum(cell.gain.high < 0 for cell in these))
            out.writerow([name, method, these[0].n, *means(these), *recovered(these), *sides])


if __name__ == "__main__":
    main()
