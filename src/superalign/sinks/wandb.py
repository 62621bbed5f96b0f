"""Weights & Biases: online, or offline into the run's folder, to be sent later with `wandb sync`."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

from superalign.errors import ConfigError
from superalign.sink import Feed, Opening, Sink, State, sinks, tag

CODES: dict[State, int] = {"finished": 0, "failed": 1, "stopped": 255}  # 255: what it takes for Ctrl-C


@sinks.register("wandb")
class WandB(Sink):
    """Weights & Biases. It is told nothing but the settings, the progress, the figures and the report."""

    package = "wandb"
    project: str = "superalign"
    """Project in which the run is shown."""
    entity: str = ""
    """User or team it belongs to; by default the user's own."""
    mode: Literal["", "online", "offline", "disabled"] = ""
    """By default what the user's environment says (WANDB_MODE, `wandb offline`), else online."""

    def open(self, opening: Opening) -> Feed:
        """See Sink.open.

        Raises:
            ConfigError: it should go online, and the user has not logged in.
        """
        os.environ.setdefault("WANDB_ERROR_REPORTING", "false")
        import wandb

        quiet = wandb.Settings(
            silent=True,
            console="off",
            disable_code=True,
            disable_git=True,
            x_disable_meta=True,
            x_disable_machine_info=True,
            x_disable_stats=True,
            x_save_requirements=False,
        )
        mode = self.mode or wandb.setup(settings=wandb.Settings(silent=True)).settings.mode
        if mode == "online" and not wandb.login(prompt=False, verify=False):
            raise ConfigError("nobody is logged in to wandb", fix="wandb login, or wandb,mode=offline")
        place = None if os.environ.get("WANDB_DIR") else str(opening.folder)
        run = wandb.init(
            project=self.project,
            entity=self.entity or None,
            name=opening.name,
            dir=place,
            mode=mode,
            config=dict(opening.config),
            reinit="create_new",
            settings=quiet,
        )
        return WandBFeed(run, opening.name)


class WandBFeed(Feed):
    """An open run. Each job has steps of its own."""

    def __init__(self, run: Any, name: str) -> None:
        self._run, self._name, self._tags = run, tag(name), set[str]()

    def progress(self, tag: str, step: int, values: Mapping[str, float]) -> None:
        """See Feed.progress."""
        if tag not in self._tags:
            self._tags.add(tag)
            self._run.define_metric(f"{tag}/step", hidden=True)
            self._run.define_metric(f"{tag}/*", step_metric=f"{tag}/step")
        self._run.log({f"{tag}/step": step, **{f"{tag}/{name}": value for name, value in values.items()}})

    def conclude(self, figures: Mapping[str, float], report: Path) -> None:
        """See Feed.conclude."""
        import wandb

        self._run.summary.update(figures)
        artifact = wandb.Artifact(f"{self._name[-100:]}-report", type="report")
        artifact.add_file(str(report))
        self._run.log_artifact(artifact)

    def close(self, state: State) -> None:
        """See Feed.close."""
        self._run.finish(exit_code=CODES[state])
