"""One measurement, one process: what a worker used, and a table of workers side by side."""

from __future__ import annotations

import json
import resource
import subprocess
import sys
import time
from collections.abc import Mapping
from typing import Any

from rich.console import Console
from rich.table import Table


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


def in_own_process(script: str, worker: str, plan: Mapping[str, Any]) -> dict[str, Any]:
    """Run `script --worker NAME --plan JSON` and return the JSON of its last line."""
    print(f"... {worker}", file=sys.stderr, flush=True)
    command = [sys.executable, script, "--worker", worker, "--plan", json.dumps(plan)]
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=False)
    if done.returncode:
        raise SystemExit(f"{worker} failed (exit code {done.returncode})")
    result: dict[str, Any] = json.loads(done.stdout.strip().splitlines()[-1])
    return result


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
