"""Known noise in real labels: the estimated rate beside the true one, and what each filter finds, beside cleanlab.

    python benchmarks/label_noise.py --data ../shared/data --limit 800

cleanlab judges the same rows from the same out-of-sample probabilities; it is left out when it is not installed
(`pip install cleanlab`). The labels of the sets count as the truth, so their own mistakes count against everybody.
"""

from __future__ import annotations

import sys
from importlib.util import find_spec
from typing import Any

import numpy as np
from _measure import Row, set_options, write
from rich.console import Console
from rich.table import Table

from superalign import Store
from superalign.bank import item_features
from superalign.estimation import estimate
from superalign.filter import Evidence, filters
from superalign.label import Labels
from superalign.model import models
from superalign.noise import OracleNoise, noises
from superalign.task import Gold, tasks

SETS = {
    "sms_spam": "sms_spam/messages.jsonl",
    "sentiment_movie": "sentiment_movie/snippets.jsonl",
    "banking77": "intents/banking77_train.jsonl",
    "clinc150": "intents/clinc150_test.jsonl",
    "utilitarianism": "ethics/utilitarianism_test.jsonl",
}
NOISES = ("symmetric", "class-dependent", "instance-dependent")
RATES = (0.1, 0.2, 0.3, 0.4)
PEERS = ("prune_by_noise_rate", "confident_learning", "low_self_confidence")


def main() -> None:
    """Measure every set, kind of noise and rate, and print two tables."""
    options = set_options(__doc__, limit=800)
    options.add_argument("--model", default="embedded:minilm")
    options.add_argument("--noises", nargs="*", default=list(NOISES))
    options.add_argument("--rates", nargs="*", type=float, default=list(RATES))
    options.add_argument("--seed", type=int, default=0)
    asked = options.parse_args()
    if not find_spec("cleanlab"):
        print("cleanlab is not installed: measured without it", file=sys.stderr)
    rates, found = [], []
    for name in asked.only or SETS:
        source = tasks.build(f"file:{asked.data}/{SETS[name]},limit={asked.limit}")
        for kind in asked.noises:
            for rate in asked.rates:
                print(f"... {name} {kind} {rate}", file=sys.stderr, flush=True)
                one, several = measure(name, source, asked.model, kind, rate, asked.seed)
                rates.append(one)
                found += several
    show_rates(rates)
    show_filters(found)
    write(asked.json, {"rates": rates, "filters": found})


def measure(name: str, source: Any, model: str, kind: str, rate: float, seed: int) -> tuple[Row, list[Row]]:
    """Inject noise once; return the estimate's row and one row a filter."""
    task, truth = source.load()
    judge = models.build(model)
    x = item_features(judge, task, Store(), lambda **_: None)
    k, groups = len(task.classes), np.array(task.groups())
    noise = OracleNoise(noises.build(f"{kind},rate={rate}"))
    labels = noise.label(Gold(truth, "transfer"), k, seed=seed, features=x, pairwise=task.pairwise)
    evidence = Evidence(x, labels, groups, seed, task.pairwise)
    wrong, true_rate = labels.argmax != truth, float((labels.argmax != truth).mean())
    ours = estimate(labels, evidence.probs, groups=groups, pairwise=task.pairwise, seed=seed)
    about = {"set": name, "noise": kind, "rate": true_rate, "n": len(truth), "classes": k}
    row = about | {
        "likelihood": ours.rate.value,
        "low": ours.rate.low,
        "high": ours.rate.high,
        "confident": ours.confident_rate,
        "probe": float((evidence.probs.argmax(1) == truth).mean()),
    }
    if find_spec("cleanlab"):
        row["cleanlab"] = peer_rate(labels, evidence.probs)
    several = []
    for which in (*filters.names(), "confident,rule=noise-rate"):
        done = filters.build(which).judge(evidence)
        several.append(about | {"filter": which} | scored((done.weight == 0) | (done.argmax != labels.argmax), wrong))
    if find_spec("cleanlab"):
        for rule in PEERS:
            several.append(about | {"filter": f"cleanlab {rule}"} | scored(peer(labels, evidence.probs, rule), wrong))
    return row, several


def peer(labels: Labels, probs: np.ndarray, rule: str) -> np.ndarray:
    """Return which rows cleanlab calls wrong."""
    from cleanlab.filter import find_label_issues

    return np.asarray(find_label_issues(labels.argmax, probs, filter_by=rule, n_jobs=1))


def peer_rate(labels: Labels, probs: np.ndarray) -> float:
    """Return the noise rate that cleanlab's joint implies."""
    from cleanlab.count import estimate_joint

    return float(1 - np.trace(estimate_joint(labels.argmax, probs)))


def scored(called: np.ndarray, wrong: np.ndarray) -> Row:
    """Return precision, recall and F1 of the rows called wrong."""
    hit, n, m = int((called & wrong).sum()), int(called.sum()), int(wrong.sum())
    return {"called": n, "precision": hit / n if n else None, "recall": hit / m if m else None, "f1": 2 * hit / (n + m)}


def show_rates(rows: list[Row]) -> None:
    """Print the estimated rates beside the true ones, and the mean errors."""
    table = Table(title="noise rate, %", title_justify="left")
    for name in ("set", "noise", "n", "classes", "probe", "true", "likelihood", "95%", "confident", "cleanlab"):
        table.add_column(name, justify="left" if name in ("set", "noise") else "right")
    for row in rows:
        figures = [f"{100 * row[name]:.1f}" for name in ("probe", "rate", "likelihood")]
        span = f"[{100 * row['low']:.1f}, {100 * row['high']:.1f}]"
        rest = [f"{100 * row[name]:.1f}" if name in row else "" for name in ("confident", "cleanlab")]
        table.add_row(row["set"], row["noise"], str(row["n"]), str(row["classes"]), *figures, span, *rest)
    Console(width=130).print(table)
    for kind in dict.fromkeys(row["noise"] for row in rows):
        mine = [row for row in rows if row["noise"] == kind]
        errors = {
            name: np.array([abs(row[name] - row["rate"]) for row in mine])
            for name in ("likelihood", "confident", "cleanlab")
            if name in mine[0]
        }
        inside = np.mean([row["low"] <= row["rate"] <= row["high"] for row in mine])
        told = ", ".join(
            f"{name} {100 * e.mean():.1f} (largest {100 * e.max():.1f}, within 3: {(e <= 0.03).mean():.0%})"
            for name, e in errors.items()
        )
        print(f"{kind}: mean error in points: {told}; interval holds the rate in {inside:.0%}")


def show_filters(rows: list[Row]) -> None:
    """Print mean precision, recall and F1 of every filter by set."""
    names = list(dict.fromkeys(row["set"] for row in rows))
    table = Table(title="precision / recall / F1 of the rows called wrong, means over noises and rates")
    table.add_column("filter")
    for name in (*names, "all"):
        table.add_column(name, justify="right")
    for which in dict.fromkeys(row["filter"] for row in rows):
        cells = []
        for name in (*names, None):
            mine = [row for row in rows if row["filter"] == which and name in (row["set"], None)]
            known = [row["precision"] for row in mine if row["precision"] is not None]
            figures = [
                np.mean(known) if known else 0,
                *(np.mean([row[key] for row in mine]) for key in ("recall", "f1")),
            ]
            cells.append(" / ".join(f"{figure:.2f}" for figure in figures))
        table.add_row(which, *cells)
    Console(width=150).print(table)


if __name__ == "__main__":
    main()
