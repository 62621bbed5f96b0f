"""The page that benchmarks/objectives.py writes: plain tables of what its rows hold."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple

import numpy as np
from _measure import Row
from scipy.stats import wilcoxon

from superalign.metric import holm

CLAIM = 0.05
FEW = 6  # sets: with fewer no signed-rank test can reach the claim


class OverSets(NamedTuple):
    """One objective beside cross-entropy over all sets that both learned."""

    method: str
    sets: int
    mean: float
    above: int
    below: int
    p: float


def written(rows: Sequence[Row], refused: Sequence[Row], only: Sequence[str] | None, limit: int, models: str) -> str:
    """Return the page."""
    sets = f" --only {' '.join(only)}" if only else ""
    parts = list(dict.fromkeys(row["part"] for row in rows))
    text = [
        "# Every objective on every suitable set",
        "",
        f"Made by `python benchmarks/objectives.py --data DATA --limit {limit}{sets} --out docs`; every figure of the "
        "first part, with interval and p, is in [objectives.csv](objectives.csv); those of the noise are written to "
        "objectives_noise.csv.",
        f"Probes and reward heads of {models}, five seeds, objectives with their defaults, at most {limit:,} rows a "
        "set. Differences are in points of accuracy to cross-entropy (`naive`) on the same test items; * marks p < .05 "
        "corrected (Holm) for all comparisons of that study; p over sets is Wilcoxon's signed-rank test, corrected for "
        "all objectives.",
        "",
    ]
    for part in parts:
        mine = [row for row in rows if row["part"] == part]
        text += list(weak(mine) if part == "weak" else noisy(part, mine))
    if refused:
        text += ["## Not used", "", *(f"- {row['set']}: {row['why']}" for row in refused), ""]
    return "\n".join(text)


def weak(rows: Sequence[Row]) -> Iterator[str]:
    """Yield the tables of learning from a weak model."""
    yield from ("## Taught by a weak model", "")
    yield from head("set", "test items", "weak", "naive", "ceiling", "gap recovered by naive")
    for name, mine in by(rows, "set").items():
        of = {row["role"]: row for row in mine if row["role"] != "student"}
        naive = next(row for row in mine if row["role"] == "student" and row["method"] == "naive")
        pgr = "none: no gap beyond noise" if naive["pgr"] is None else interval(naive, "pgr", 1, ".2f")
        scores = [interval(row, "accuracy", 100, ".1f") for row in (of["weak"], naive, of["ceiling"])]
        yield line(f"{name} ({mine[0]['kind']})", str(naive["n"]), *scores, pgr)
    yield ""
    students = [row for row in rows if row["role"] == "student" and row["method"] != "naive"]
    yield from told(found := over_sets(students), "taught by a weak model")
    yield from over(found)
    for kind, mine in by(students, "kind").items():
        yield from matrix(f"Difference to naive, {'comparisons' if kind == 'pairs' else 'classes'}", mine)


def noisy(noise: str, rows: Sequence[Row]) -> Iterator[str]:
    """Yield the tables of one kind of noise."""
    yield from (f"## {noise.capitalize()} noise in the truth", "")
    rates = sorted({row["rate"] for row in rows})
    tested = {rate: over_sets([r for r in rows if r["rate"] == rate and r["method"] != "naive"]) for rate in rates}
    sets = len({row["set"] for row in rows})
    yield f"Mean accuracy over {sets} sets, and the mean difference to naive in brackets."
    yield ""
    yield from head("objective", "sets", *(f"{100 * rate:g} %" for rate in rates))
    for method, mine in by(rows, "method").items():
        cells = []
        for rate in rates:
            mean = 100 * float(np.mean([row["accuracy"] for row in mine if row["rate"] == rate]))
            one = next((o for o in tested[rate] if o.method == method), None)
            star = "*" if one and corrected(tested[rate])[method] < CLAIM else ""
            cells.append(f"{mean:.1f} ({one.mean:+.1f}{star})" if one else f"{mean:.1f}")
        yield line(method, str(len({row["set"] for row in mine})), *cells)
    yield ""
    for rate in rates:
        yield from told(tested[rate], f"with {100 * rate:g} % wrong labels")


def over_sets(rows: Sequence[Row]) -> list[OverSets]:
    """Compare every objective with cross-entropy over the sets that it learned."""
    found = []
    for method, mine in by(rows, "method").items():
        d = np.array([row["difference"] for row in mine])
        sure = [row["difference"] for row in mine if row["p_holm"] < CLAIM]
        p = float(wilcoxon(d).pvalue) if len(d) >= FEW and d.any() else 1.0
        found.append(
            OverSets(method, len(d), 100 * float(d.mean()), sum(x > 0 for x in sure), sum(x < 0 for x in sure), p)
        )
    return sorted(found, key=lambda one: -one.mean)


def corrected(found: Sequence[OverSets]) -> dict[str, float]:
    """Return p over sets, corrected for all objectives."""
    return dict(zip([one.method for one in found], holm([one.p for one in found]), strict=True))


def told(found: Sequence[OverSets], where: str) -> Iterator[str]:
    """Say which objectives differ from cross-entropy over the sets."""
    p = corrected(found)
    for side, word in ((1, "above"), (-1, "below")):
        names = [f"`{one.method}` ({one.mean:+.1f})" for one in found if p[one.method] < CLAIM and one.mean * side > 0]
        yield f"- {word.capitalize()} naive over the sets, {where}: {', '.join(names) or 'none'}."
    yield ""


def over(found: Sequence[OverSets]) -> Iterator[str]:
    """Yield the comparison over sets."""
    p = corrected(found)
    yield from head("objective", "sets", "mean difference", "sets above", "sets below", "p over sets")
    for one in found:
        yield line(
            one.method, str(one.sets), f"{one.mean:+.2f}", str(one.above), str(one.below), f"{p[one.method]:.3f}"
        )
    yield ""


def matrix(title: str, rows: Sequence[Row]) -> Iterator[str]:
    """Yield one line an objective and one column a set."""
    sets = list(by(rows, "set"))
    yield from (f"### {title}", "")
    yield from head("objective", *sets)
    for method, mine in by(rows, "method").items():
        of = {row["set"]: row for row in mine}
        cells = [
            f"{100 * of[s]['difference']:+.1f}{'*' if of[s]['p_holm'] < CLAIM else ''}" if s in of else "" for s in sets
        ]
        yield line(method, *cells)
    yield ""


def by(rows: Sequence[Row], key: str) -> Mapping[str, list[Row]]:
    """Group rows, in the order in which they come."""
    found: dict[str, list[Row]] = {}
    for row in rows:
        found.setdefault(row[key], []).append(row)
    return found


def interval(row: Row, name: str, factor: float, form: str) -> str:
    """Write a figure with its interval."""
    value, low, high = (format(factor * row[key], form) for key in (name, f"{name}_low", f"{name}_high"))
    return f"{value} [{low}, {high}]"


def head(*names: str) -> Iterator[str]:
    """Yield the head of a table."""
    yield line(*names)
    yield line("---", *("---:" for _ in names[1:]))


def line(*cells: str) -> str:
    """Return a line of a table."""
    return f"| {' | '.join(cells)} |"
