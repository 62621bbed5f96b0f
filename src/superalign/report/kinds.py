"""A result in, its page or its summary out: each study has its own."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from superalign.critic_result import CriticEvalResult
from superalign.noise_result import LabelNoiseResult
from superalign.report import critic_page, critic_text, noise_page, noise_text
from superalign.report import page as weak_to_strong_page
from superalign.report import text as weak_to_strong_text
from superalign.report.results import Shown
from superalign.store import write_atomic

if TYPE_CHECKING:
    from rich.console import RenderableType


def write_report(result: Shown, path: Path) -> Path:
    """Write the report of a result to `path` and return it.

    Raises:
        StoreError: the disk is full or the folder cannot be written; an older report stays.
    """
    write_atomic(path, render(result))
    return path


def render(result: Shown) -> str:
    """Return the report as HTML. Without the extra `report` it has the tables, and a line that says what to install."""
    if isinstance(result, CriticEvalResult):
        return critic_page.render(result)
    return noise_page.render(result) if isinstance(result, LabelNoiseResult) else weak_to_strong_page.render(result)


def summary(result: Shown) -> RenderableType:
    """Return what a terminal shows of a result: finding, figures with intervals, tests, warnings, what was left out.

    All text is shown as it is: markup and terminal escape sequences in it have no effect.
    """
    if isinstance(result, CriticEvalResult):
        return critic_text.summary(result)
    return noise_text.summary(result) if isinstance(result, LabelNoiseResult) else weak_to_strong_text.summary(result)
