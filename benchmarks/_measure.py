"""What the benchmarks share: options, one process a measurement, what it used, and workers side by side."""

from __future__ import annotations

import argparse
import json
import os
import resource
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

Plan = dict[str, Any]
Row = dict[str, Any]
Rows = dict[str, Row]
Workers = Mapping[str, Callable[[Plan], Row]]
SAME = {"tokens", "accuracy", "first loss", "last loss", "weak", "student", "ceiling"}  # a ratio of these says nothing


class Meter:
    """Wall and CPU seconds of a block (all threads of this process), in `wall` and `cpu`."""

    def __enter__(self) -> Meter:
        self._wall, self._cpu = time.perf_counter(), time.process_time()
        return self

    def __exit__(self, *_: object) -> None:
        self.wall, self.cpu = time.perf_counter() - self._wall, time.process_time() - self._cpu


def peak_gb() -> float:
    """Return the most memory this process ever held, in GB."""
    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit / 1e9


def spent(meter: Meter, tokens: int) -> Row:
    """Return what reading the tokens took."""
    return {
        "tokens": tokens,
        "tok/s": tokens / meter.wall,
        "wall s": meter.wall,
        "CPU s": meter.cpu,
        "peak GB": peak_gb(),
    }


def options(doc: str | None) -> argparse.ArgumentParser:
    """Return a parser with the option of every benchmark."""
    made = argparse.ArgumentParser(description=doc, formatter_class=argparse.RawDescriptionHelpFormatter)
    made.add_argument("--json", type=Path, help="also write the figures here")
    return made


def set_options(doc: str | None, limit: int) -> argparse.ArgumentParser:
    """Return a parser for a benchmark over public sets in a folder."""
    made = options(doc)
    made.add_argument("--data", type=Path, required=True, help="folder with one sub-folder a set")
    made.add_argument("--limit", type=int, default=limit, help=f"rows of a set (default: {limit})")
    made.add_argument("--only", nargs="*", help="names of sets")
    return made


def worker_options(doc: str | None, workers: Workers) -> argparse.ArgumentParser:
    """Return a parser for a benchmark whose measurements are workers, each in a process of its own."""
    made = options(doc)
    made.add_argument("--model", default="embedded:smollm2")
    made.add_argument("--threads", type=int, help="default: all usable cores")
    made.add_argument("--seed", type=int, default=0)
    made.add_argument("--worker", choices=[*workers], help=argparse.SUPPRESS)
    made.add_argument("--plan", type=json.loads, help=argparse.SUPPRESS)
    return made


def asked_of(parser: argparse.ArgumentParser, workers: Workers) -> argparse.Namespace:
    """Return what is asked of the benchmark, its threads set; in the process of a worker, work and exit."""
    asked = parser.parse_args()
    if asked.worker:
        print(json.dumps(workers[asked.worker](asked.plan)))
        raise SystemExit
    if asked.threads:
        os.environ["SUPERALIGN_THREADS"] = os.environ["OMP_NUM_THREADS"] = str(asked.threads)
    return asked


def run(workers: Iterable[str], plan: Plan) -> Rows:
    """Run workers of this benchmark, one after the other; return what each measured."""
    return {worker: _in_own_process(worker, plan) for worker in workers}


def _in_own_process(worker: str, plan: Plan) -> Row:
    """Start this script anew with `--worker NAME --plan JSON` and return the JSON of its last line."""
    print(f"... {worker}", file=sys.stderr, flush=True)
    command = [sys.executable, sys.argv[0], "--worker", worker, "--plan", json.dumps(plan)]
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=False)
    if done.returncode:
        raise SystemExit(f"{worker} failed (exit code {done.returncode})")
    result: Row = json.loads(done.stdout.strip().splitlines()[-1])
    return result


def ratio(one: Row, other: Row) -> Row:
    """Return one worker's measures as multiples of another's, where that says anything."""
    return {measure: one[measure] / other[measure] for measure in one if measure not in SAME}


def write(path: Path | None, figures: object) -> None:
    """Write figures as JSON where that was asked for."""
    if path:
        path.write_text(json.dumps(figures, indent=2) + "\n")


def show(title: str, workers: Mapping[str, Mapping[str, float]]) -> None:
    """Print one column a worker and one line a measure."""
    table = Table(title=title, title_justify="left")
    table.add_column()
    for name in workers:
        table.add_column(name, justify="right")
    for measure in next(iter(workers.values())):
        table.add_row(measure, *(_cell(worker.get(measure)) for worker in workers.values()))
    Console().print(table)


def _cell(value: float | None) -> str:
    if value is None:
        return ""
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.3g}"
