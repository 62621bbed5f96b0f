"""Steps for the tests of jobs and executors; worker processes import them by name."""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path

import numpy as np

from superalign.errors import DataError
from superalign.job import step
from superalign.store import Artifact
from superalign.supervisor import GroundTruth
from superalign.task import Gold


@step(version=1)
def count(params, inputs, tools):
    log = Path(params["log"])
    with log.open("a") as file:
        file.write(f"{params['name']}\n")
    tools.report(done=1, total=1, tokens=3)
    total = sum(float(artifact.tensors["value"][0]) for artifact in inputs.values())
    return Artifact({"value": np.array([total + params["add"]])}, {"name": params["name"]})


@step(version=1)
def unseal(params, inputs, tools):
    GroundTruth().label(Gold(np.array([0, 1, 1]), "supervise"), 2)
    return Artifact(meta={"ok": True})


@step(version=1)
def fail(params, inputs, tools):
    raise ZeroDivisionError("by design")


@step(version=1)
def refuse(params, inputs, tools):
    raise DataError("row 7 is bad", where="file:7", why="it is", fix="mend it")


@step(version=1)
def die_once(params, inputs, tools):
    marker = Path(params["marker"])
    if not marker.exists():
        marker.touch()
        os.kill(os.getpid(), signal.SIGKILL)
    return Artifact(meta={"survived": True})


@step(version=1)
def hang_once(params, inputs, tools):
    """Hang the first time, having written where; the inputs' sum and a draw the second time."""
    marker = Path(params["marker"])
    if not marker.exists():
        import ray

        written = marker.with_suffix(".new")
        written.write_text(f"{os.getpid()} {ray.get_runtime_context().get_node_id()}")
        written.rename(marker)
        tools.report(note="it hangs")
        time.sleep(600)
    total = sum(float(artifact.tensors["value"][0]) for artifact in inputs.values())
    return Artifact({"value": np.array([total + np.random.default_rng(params["seed"]).normal()])})


@step(version=1)
def die(params, inputs, tools):
    os.kill(os.getpid(), signal.SIGKILL)
