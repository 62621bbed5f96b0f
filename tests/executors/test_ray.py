"""Ray on its local cluster of several nodes: a worker and a node die in the middle, nothing is lost."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import example_steps
from superalign.errors import ConfigError, JobError, MissingExtraError
from superalign.executor import executors
from superalign.executors.in_process import InProcess
from superalign.executors.ray import Ray
from superalign.job import Job
from superalign.store import Store
from test_job import Heard, counting

pytest.importorskip("ray")
TESTS = str(Path(example_steps.__file__).parent)


@pytest.fixture
def cluster(monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """Yield a cluster whose head computes nothing, with two nodes of one core that do."""
    import ray
    from ray.cluster_utils import Cluster

    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(filter(None, [TESTS, os.environ.get("PYTHONPATH")])))
    monkeypatch.setenv("RAY_USAGE_STATS_ENABLED", "0")
    memory = {"object_store_memory": 80_000_000}
    made = Cluster(initialize_head=True, head_node_args={"num_cpus": 0, "include_dashboard": False, **memory})
    made.workers = [made.add_node(num_cpus=1, **memory) for _ in range(2)]
    ray.init(address=made.address, log_to_driver=False)
    yield made
    ray.shutdown()
    made.shutdown()


class Striking(Heard):
    """Kills the worker of the first job that hangs, and the node of the second."""

    def __init__(self, cluster: Any, markers: list[Path]) -> None:
        self.cluster, self.left, self.struck = cluster, markers, list[str]()

    def __call__(self, event: str, /, **facts: Any) -> None:
        super().__call__(event, **facts)
        if event == "notice" and facts["text"] == "it hangs":
            marker = next(one for one in self.left if one.exists())
            self.left.remove(marker)
            pid, node = marker.read_text().split()
            if not self.struck:
                os.kill(int(pid), signal.SIGKILL)
                self.struck.append("worker")
            else:
                (mine,) = [one for one in self.cluster.workers if one.node_id == node]
                self.cluster.remove_node(mine, allow_graceful=False)
                self.struck.append("node")


def graph(folder: Path) -> tuple[list[Job], list[Path]]:
    """Return jobs of which two hang the first time, and their markers."""
    folder.mkdir()
    markers = [folder / "first", folder / "second"]
    leaf = counting(folder, "leaf")
    hung = [
        Job(example_steps.hang_once, {"marker": str(marker), "seed": seed}, {"x": leaf}, f"hangs {seed}")
        for seed, marker in enumerate(markers)
    ]
    tops = [counting(folder, f"top{i}", add=i, a=hung[0], b=hung[i % 2]) for i in range(4)]
    return [*tops, Job(example_steps.fail, {}, title="broken")], markers


@pytest.mark.slow
def test_nothing_is_lost_when_a_worker_and_a_node_die(cluster: Any, tmp_path: Path) -> None:
    jobs, markers = graph(tmp_path / "jobs")
    store, heard = Store(tmp_path / "store"), Striking(cluster, markers.copy())
    with pytest.raises(JobError, match="1 jobs failed or could not start: broken"):
        Ray().run(jobs, store, heard)
    assert heard.struck == ["worker", "node"]
    notices = [facts["text"] for event, facts in heard if event == "notice"]
    assert sum("a worker of Ray died" in text for text in notices) == 2
    calm = Store(tmp_path / "calm")
    InProcess().run(jobs[:-1], calm, Heard())  # the markers are there: nothing hangs
    for job in jobs[:-1]:
        assert store.load(job.key).tensors["value"] == calm.load(job.key).tensors["value"]
    finished = [facts["title"] for event, facts in heard if event == "finished"]
    assert sorted(finished) == sorted(set(finished)) == ["hangs 0", "hangs 1", "leaf", *(f"top{i}" for i in range(4))]
    with pytest.raises(ConfigError, match="the Ray cluster has no CPU 64 for a job"):
        Ray(cpus=64).run(jobs, Store(tmp_path / "other"), Heard())


def test_without_ray(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(MissingExtraError) as caught:
        executors.build("ray").run([counting(tmp_path, "a")], Store(tmp_path / "store"), Heard())
    assert caught.value.fix == "pip install 'superalign[ray]'"
