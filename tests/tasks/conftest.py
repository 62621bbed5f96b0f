"""Files to read, and the real sets where they lie beside the project."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

import pytest

Write = Callable[[str, Iterable[Mapping[str, Any]]], Path]


@pytest.fixture
def jsonl(tmp_path: Path) -> Write:
    """Return a function that writes rows as JSON lines under a name."""

    def write(name: str, rows: Iterable[Mapping[str, Any]]) -> Path:
        path = tmp_path / name
        path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
        return path

    return write


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """Return the folder of the real data sets: $SUPERALIGN_SHARED_DATA, or ../shared/data beside the project."""
    default = Path(__file__).parents[3] / "shared" / "data"
    folder = Path(os.environ.get("SUPERALIGN_SHARED_DATA", default))
    if not folder.is_dir():
        pytest.skip("the real data sets are not here: set SUPERALIGN_SHARED_DATA to their folder")
    return folder
