"""MLflow: a tracking server, or a local database such as `mlflow,uri=sqlite:///runs.db`."""

from __future__ import annotations

import logging
import os
import time
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from superalign.sink import Feed, Opening, Sink, State, sinks

if TYPE_CHECKING:
    from mlflow import MlflowClient

ENDS: dict[State, str] = {"finished": "FINISHED", "failed": "FAILED", "stopped": "KILLED"}
LONGEST_PARAM = 500  # characters that every server takes


@sinks.register("mlflow")
class MLflow(Sink):
    """MLflow, by its client: a run that the user's own code has open stays as it is."""

    package = "mlflow"
    uri: str = ""
    """Of the tracking server or database; by default what the user's environment says (MLFLOW_TRACKING_URI)."""
    experiment: str = "superalign"
    """Experiment in which the run is shown; it is made if it is not there."""

    def open(self, opening: Opening) -> Feed:
        """See Sink.open."""
        os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
        from mlflow import MlflowClient
        from mlflow.entities import Param

        logging.getLogger("mlflow").setLevel(logging.WARNING)
        logging.getLogger("alembic").setLevel(logging.WARNING)
        client = MlflowClient(tracking_uri=self.uri or None)
        known = client.get_experiment_by_name(self.experiment)
        experiment = known.experiment_id if known else client.create_experiment(self.experiment)
        run = client.create_run(experiment, run_name=opening.name).info.run_id
        for name, value in opening.config.items():
            parts = {f"{name}.{key}": part for key, part in value.items()} if isinstance(value, dict) else {name: value}
            client.log_batch(run, params=[Param(key, str(part)[:LONGEST_PARAM]) for key, part in parts.items()])
        return MLflowFeed(client, run)


class MLflowFeed(Feed):
    """An open run."""

    def __init__(self, client: MlflowClient, run: str) -> None:
        self._client, self._run = client, run

    def progress(self, tag: str, step: int, values: Mapping[str, float]) -> None:
        """See Feed.progress."""
        self._log({f"{tag}/{name}": value for name, value in values.items()}, step)

    def conclude(self, figures: Mapping[str, float], report: Path) -> None:
        """See Feed.conclude."""
        self._log(figures, 0)
        self._client.log_artifact(self._run, str(report))

    def close(self, state: State) -> None:
        """See Feed.close."""
        self._client.set_terminated(self._run, ENDS[state])

    def _log(self, values: Mapping[str, float], step: int) -> None:
        from mlflow.entities import Metric

        now = int(time.time() * 1000)
        self._client.log_batch(self._run, [Metric(name, value, now, step) for name, value in values.items()])
