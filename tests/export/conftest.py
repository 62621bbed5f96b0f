"""Small finished runs whose learners are exported."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import superalign
from small_tasks import comparisons, examples
from superalign.store import Store, home
from superalign.studies.weak_to_strong import WeakToStrong

Ran = Callable[..., Path]


def write_rows(place: Path, kind: str) -> Path:
    """Write a table of comparisons (`pairs`), of texts of four classes (`texts`), or of good and bad responses."""
    task, truth = comparisons(48) if kind == "pairs" else examples(160, 4) if kind == "texts" else examples(96)
    rows: list[dict[str, Any]] = []
    for item, label in zip(task.items, truth.tolist(), strict=True):
        if kind == "pairs":
            better, worse = item.responses[label], item.responses[1 - label]
            rows.append({"prompt": f"Q{item.id}: {item.prompt}", "chosen": better, "rejected": worse})
        elif kind == "texts":
            rows.append({"text": item.prompt, "label": task.classes[label]})
        else:
            rows.append({"prompt": f"Is it so, {item.id}?", "completion": item.prompt, "label": bool(label)})
    place.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return place


@pytest.fixture(scope="session")
def tables(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Return the tables by kind."""
    folder = tmp_path_factory.mktemp("tables")
    return {kind: write_rows(folder / f"{kind}.jsonl", kind) for kind in ("pairs", "texts", "replies")}


@pytest.fixture(scope="session")
def learnt_before(tmp_path_factory: pytest.TempPathFactory) -> Store:
    """Return a store with what the runs of other tests have computed."""
    return Store(tmp_path_factory.mktemp("learnt") / "store")


@pytest.fixture
def ran(tiny: Callable[[str], Path], tables: dict[str, Path], learnt_before: Store, tmp_path: Path) -> Ran:
    """Return a function that makes a run of one seed and returns its folder; the test's home has a store of its own."""

    def make(architecture: str, fit: str, kind: str, strong: str = "", **settings: Any) -> Path:
        study = WeakToStrong(
            weak=f"hf:{tiny('bert')},dtype=fp32",
            strong=f"hf:{tiny(architecture)},dtype=fp32{strong}",
            task=f"file:{tables[kind]}",
            fit=fit,
            **{"seeds": 1, "sweep": 0, "methods": ("naive",), **settings},
        )
        out = tmp_path / f"run{len(list(tmp_path.glob('run*')))}"
        superalign.run(study, out=out, store=learnt_before)
        shutil.rmtree(home() / "store", ignore_errors=True)
        shutil.copytree(learnt_before.root, home() / "store", copy_function=os.link)
        return out

    return make
