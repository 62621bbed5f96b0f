"""Which exporter a run and a wish call for."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from superalign.errors import ConfigError, did_you_mean
from superalign.export.feedback import export_feedback
from superalign.export.inspect_log import export_log
from superalign.export.labels import export_labels
from superalign.export.learner import export_learner
from superalign.export.loop_learner import export_loop_learner
from superalign.runs import study_of
from superalign.studies.loop import Loop

Exporter = Callable[..., Path]
OF_LEARNERS: dict[str, Exporter] = {"adapter": export_learner, "labels": export_labels}
OF_LOOPS: dict[str, Exporter] = {"adapter": export_loop_learner, "labels": export_feedback, "log": export_log}


def export(run: Path | str, out: Path | str, what: str = "adapter", **which: Any) -> Path:
    """Write what is asked for of a finished run; return the folder.

    Args:
        run: the run's folder.
        out: the folder to write.
        what: adapter, labels, or, of a run of the loop, log.
        which: which learner (role, method, seed and rate, or of a loop arm and seed), and the format of labels;
            None is left to the exporter.

    Raises:
        ConfigError: this run knows no such thing.
    """
    loop = isinstance(study_of(Path(run)), Loop)
    exporters = OF_LOOPS if loop else OF_LEARNERS
    if what not in exporters:
        raise ConfigError(f"this run has no {what} to export", where=str(run), fix=did_you_mean(what, exporters))
    given = {name: value for name, value in which.items() if value is not None}
    known = {"seed", "format", *(("arm",) if loop else ("role", "method", "rate"))}
    for name in given:
        if name not in known:
            raise ConfigError(f"this run knows no --{name}", fix=f"leave --{name} out")
    if what != "labels":
        given.pop("format", None)
    return exporters[what](run, out, **given)
