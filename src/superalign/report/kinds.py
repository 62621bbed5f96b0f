"""A result in, its page or its summary out: each study has its own."""

from __future__ import annotations

from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any

from superalign.report.results import Shown
from superalign.store import write_atomic

if TYPE_CHECKING:
    from rich.console import RenderableType

VIEWS = {
    "weak-to-strong": ("page", "text"),
    "label-noise": ("noise_page", "noise_text"),
    "attack": ("attack_page", "attack_text"),
    "critic-eval": ("critic_page", "critic_text"),
    "error-lab": ("structure_page", "structure_text"),
    "loop": ("loop_page", "loop_text"),
    "deception": ("deception_page", "deception_text"),
    "balance-3h": ("balance_page", "balance_text"),
    "scaling": ("scaling_page", "scaling_text"),
    "recommend": ("recommend_page", "recommend_text"),
}
"""For each study the modules of this folder that hold `render` and `summary`."""


def write_report(result: Shown, path: Path) -> Path:
    """Write the report of a result to `path` and return it.

    Raises:
        StoreError: the disk is full or the folder cannot be written; an older report stays.
    """
    write_atomic(path, render(result))
    return path


def render(result: Shown) -> str:
    """Return the report as HTML. Without the extra `report` it has the tables, and a line that says what to install."""
    page: str = _view(result, 0).render(result)
    return page


def summary(result: Shown) -> RenderableType:
    """Return what a terminal shows of a result: finding, figures with intervals, tests, warnings, what was left out.

    All text is shown as it is: markup and terminal escape sequences in it have no effect.
    """
    shown: RenderableType = _view(result, 1).summary(result)
    return shown


def _view(result: Shown, which: int) -> Any:
    return import_module(f"superalign.report.{VIEWS[result.study][which]}")
