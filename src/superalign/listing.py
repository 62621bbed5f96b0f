"""What `superalign ls` prints: every part that can be chosen by name, the runs of a folder; and the plan of a run."""

from __future__ import annotations

import inspect
import json
from argparse import Namespace
from pathlib import Path
from typing import Any

from superalign.registry import Registry

Rows = list[dict[str, Any]]


def listing(what: str | None, folder: str = "runs") -> dict[str, Rows]:
    """Return rows of one kind, or of every kind but runs."""
    if what == "runs":
        return {"runs": runs(Path(folder))}
    kinds = registries()
    return {kind: parts(kinds[kind]) for kind in ([what] if what else kinds)}


def registries() -> dict[str, Registry[Any]]:
    """Return every registry by the plural of its noun."""
    from superalign.aim import aims
    from superalign.attacker import attacks
    from superalign.axis import axes
    from superalign.critic import critics
    from superalign.ensemble import ensembles
    from superalign.executor import executors
    from superalign.filter import filters
    from superalign.fit import fits
    from superalign.merging.method import methods
    from superalign.model import models
    from superalign.noise import noises
    from superalign.objective import objectives
    from superalign.sink import sinks
    from superalign.structure import structures
    from superalign.study import studies
    from superalign.task import tasks
    from superalign.update import updates

    return {
        "studies": studies,
        "tasks": tasks,
        "models": models,
        "objectives": objectives,
        "fits": fits,
        "filters": filters,
        "noises": noises,
        "structures": structures,
        "ensembles": ensembles,
        "attacks": attacks,
        "critics": critics,
        "aims": aims,
        "updates": updates,
        "axes": axes,
        "merge-methods": methods,
        "executors": executors,
        "sinks": sinks,
    }


def parts(registry: Registry[Any]) -> Rows:
    """Return each variant's name, parameters, first sentence and source."""
    rows: Rows = []
    for name in registry.names():
        cls = registry.get(name)
        settings = {key: field for key, field in cls.model_fields.items() if key != cls.argument}
        rows.append(
            {
                "name": f"{name}:<{cls.argument}>" if cls.argument else name,
                "what": (inspect.getdoc(cls) or "").split("\n\n")[0].replace("\n", " "),
                "settings": ", ".join(settings),
                **({"source": source} if (source := getattr(cls, "source", "")) else {}),
            }
        )
    rows += [{"name": name, "what": f"plug-in failed to load: {why}"} for name, why in registry.failures.items()]
    return rows


def runs(folder: Path) -> Rows:
    """Return the runs of a folder, newest first, with their state and headline."""
    from superalign.errors import SuperalignError
    from superalign.runs import CONFIG, RESULTS, load

    rows: Rows = []
    for config in sorted(folder.glob(f"*/{CONFIG}"), key=lambda path: -path.stat().st_mtime):
        run = config.parent
        row = {"run": str(run), "state": "finished" if (run / RESULTS).is_file() else "unfinished", "finding": ""}
        if row["state"] == "finished":
            try:
                row["finding"] = " ".join(getattr(load(run), "verdict", [])[1:3])
            except SuperalignError as error:
                row["state"] = error.what
        rows.append(row)
    return rows


def embedded_models() -> Rows:
    """Return the embedded models with licence, size and whether they are in the cache."""
    from superalign.fetch import listing as catalogue

    return [row if isinstance(row, dict) else row._asdict() for row in catalogue()]


def print_listing(tables: dict[str, Rows], *, as_json: bool) -> None:
    """Print tables, or JSON."""
    if as_json:
        print(json.dumps(tables, indent=2, ensure_ascii=False, default=str))
        return
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    from superalign.display import printable

    console = Console()
    for title, rows in tables.items():
        if not rows:
            console.print(f"{title}: none")
            continue
        table = Table(title=title, title_justify="left", show_lines=False, box=None, padding=(0, 2, 0, 0))
        for name in rows[0]:
            table.add_column(name, style="bold" if name in ("name", "run") else None, overflow="fold")
        for row in rows:
            table.add_row(*(Text(printable(row.get(name, ""))) for name in rows[0]))
        console.print(table)


def print_plan(study: Any, flags: Namespace) -> int:
    """Print the plan of a study and about what it takes; return the exit code."""
    from superalign.display import plan_lines
    from superalign.estimate import Rates, dry_run

    plan = dry_run(study, rates=Rates(flags.price_per_hour, flags.tokens_per_second))
    print(plan.model_dump_json(indent=2) if flags.json else "\n".join(plan_lines(plan)))
    return 0
