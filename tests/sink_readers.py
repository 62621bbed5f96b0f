"""Read back what each sink wrote: with the tool's own reader where it has one, else from the format on disk."""

from __future__ import annotations

import json
import sqlite3
import struct
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

BLOCK, CRC = 32768, 7  # a .wandb file is a log of LevelDB: blocks of records with headers of 7 bytes


@dataclass
class Shown:
    """One run as a tool would show it."""

    name: str = ""
    state: str = ""
    config: str = ""
    series: dict[str, list[tuple[int, float]]] = field(default_factory=dict)
    figures: dict[str, float] = field(default_factory=dict)
    reports: int = 0

    def add(self, name: str, step: int, value: float) -> None:
        """Keep one point; a figure is a series, too."""
        self.series.setdefault(name, []).append((step, value))
        self.figures[name] = value


def tensorboard(folder: Path) -> Shown:
    """Read event files by TensorBoard's accumulator."""
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    read = EventAccumulator(str(folder), size_guidance={"scalars": 0})
    read.Reload()
    texts = {tag: read.Tensors(tag)[-1].tensor_proto.string_val[0].decode() for tag in read.Tags()["tensors"]}
    shown = Shown(folder.parent.name, texts["state"].strip(), texts["config"])
    for tag in read.Tags()["scalars"]:
        for point in read.Scalars(tag):
            shown.add(tag, point.step, point.value)
    shown.reports = int("report" in texts and Path(texts["report"].strip()).is_file())
    return shown


def mlflow(uri: str, project: str) -> Shown:
    """Read the newest run by MLflow's client."""
    from mlflow import MlflowClient

    client = MlflowClient(uri)
    experiment = client.get_experiment_by_name(project)
    assert experiment
    run = client.search_runs([experiment.experiment_id])[0]
    shown = Shown(run.info.run_name, run.info.status.lower(), str(run.data.params), figures=dict(run.data.metrics))
    for name in run.data.metrics:
        history = client.get_metric_history(run.info.run_id, name)
        shown.series[name] = [(point.step, point.value) for point in history]
    shown.reports = len(client.list_artifacts(run.info.run_id))
    return shown


def trackio(folder: Path, project: str) -> Shown:
    """Read a project's only run from its database."""
    with sqlite3.connect(folder / f"{project}.db") as data:
        rows = data.execute("select run_name, step, metrics from metrics order by id").fetchall()
        (config,) = data.execute("select config from configs").fetchone()
        (reports,) = data.execute("select count(*) from artifacts where type = 'report'").fetchone()
    shown = Shown(rows[0][0], config=config.decode(), reports=reports)
    for _, step, metrics in rows:
        for name, value in json.loads(metrics).items():
            shown.add(name, step, value)
    shown.state = "finished" if shown.figures["finished"] else "not finished"
    return shown


def wandb(folder: Path) -> Shown:
    """Read the only offline run of a folder from the file that `wandb sync` would send.

    wandb's own process writes it, and may still be at it for a moment after the run was finished.
    """
    from wandb.proto.wandb_internal_pb2 import Record

    (file,) = folder.rglob("*.wandb")
    shown, end = Shown(), time.monotonic() + 20
    while not any(Record.FromString(data).HasField("exit") for data in _records(file.read_bytes())):
        assert time.monotonic() < end, "the run was never finished"
        time.sleep(0.05)
    for data in _records(file.read_bytes()):
        record = Record.FromString(data)
        kind = record.WhichOneof("record_type")
        if kind == "run":
            shown.name = record.run.display_name
            shown.config += str(record.run.config)
        elif kind == "history":
            items = {"/".join(item.nested_key) or item.key: json.loads(item.value_json) for item in record.history.item}
            tag = next(name for name in items if name.endswith("/step")).removesuffix("/step")
            for name, value in items.items():
                if name.startswith(f"{tag}/") and name != f"{tag}/step":
                    shown.add(name, items[f"{tag}/step"], value)
        elif kind == "summary":
            for item in record.summary.update:
                value: Any = json.loads(item.value_json)
                if isinstance(value, int | float):
                    shown.figures["/".join(item.nested_key) or item.key] = value
        elif kind == "artifact":
            shown.reports += record.artifact.type == "report"
        elif kind == "exit":
            shown.state = {0: "finished", 255: "stopped"}.get(record.exit.exit_code, "failed")
    return shown


def _records(data: bytes) -> list[bytes]:
    found, at, part = list[bytes](), 7, b""  # after the file's own header
    while at + CRC <= len(data):
        if BLOCK - at % BLOCK < CRC:
            at += BLOCK - at % BLOCK
            continue
        _, length, kind = struct.unpack("<IHB", data[at : at + CRC])
        part += data[at + CRC : at + CRC + length]
        at += CRC + length
        if kind in (1, 4):  # whole, or the last part
            found.append(part)
            part = b""
    return found
