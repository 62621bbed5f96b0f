"""Model merging: methods as pure functions of tensors, and an engine that streams them from disk to disk."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from superalign.merging.engine import merge
from superalign.merging.measuring import measure
from superalign.merging.method import methods

__all__ = ["describe", "measure", "merge", "methods"]


def describe(config: Mapping[str, Any] | Path | str) -> list[str]:
    """Return what a merge would do, in lines; its models are opened and compared, and no tensor is merged."""
    from superalign.merging.config import read
    from superalign.merging.plan import lines, prepare

    return list(lines(prepare(read(config))))
