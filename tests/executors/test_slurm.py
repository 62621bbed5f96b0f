"""SLURM by submitit: its local executor, and commands that stand in for SLURM's on PATH."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
from fake_slurm import NO_ACCOUNTING, install, on_path

import example_steps
from superalign.errors import ConfigError, DataError, JobError, MissingExtraError
from superalign.executor import executors
from superalign.executors.slurm import Slurm
from superalign.job import Job
from superalign.store import Store
from test_job import Heard, counting

pytest.importorskip("submitit")


@pytest.fixture
def fake(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    from submitit.slurm.slurm import SlurmInfoWatcher, SlurmJob

    monkeypatch.setattr(SlurmJob, "watcher", SlurmInfoWatcher(delay_s=600))  # jobs are numbered from 1 on in every test
    folder = install(tmp_path / "slurm")
    monkeypatch.setenv("PATH", on_path(folder))
    monkeypatch.setenv("PYTHONPATH", ":".join(filter(None, sys.path)))
    return folder


@pytest.fixture
def local(monkeypatch: pytest.MonkeyPatch) -> Slurm:
    monkeypatch.setenv("PYTHONPATH", ":".join(filter(None, sys.path)))
    return Slurm(cluster="local")


def test_on_the_local_executor(local: Slurm, tmp_path: Path) -> None:
    store, heard = Store(tmp_path / "store"), Heard()
    broken = Job(example_steps.fail, {}, title="broken")
    top = counting(tmp_path, "top", x=counting(tmp_path, "leaf"))
    with pytest.raises(JobError, match="2 jobs failed or could not start: broken, needs"):
        local.run([top, counting(tmp_path, "needs", x=broken)], store, heard)
    assert store.load(top.key).tensors["value"][0] == 2
    assert any(event == "failed" and "by design" in facts["error"] for event, facts in heard)
    assert sorted(facts["title"] for event, facts in heard if event == "finished") == ["leaf", "top"]
    assert not list((store.root / "tmp").iterdir())


@pytest.mark.slow
def test_arrays_of_jobs_and_a_node_that_fails(fake: Path, tmp_path: Path) -> None:
    store, heard = Store(tmp_path / "store"), Heard()
    leaves = [counting(tmp_path, f"leaf{i}", add=i) for i in range(3)]
    top = counting(tmp_path, "top", **{f"x{i}": leaf for i, leaf in enumerate(leaves)})
    dies = Job(example_steps.die_once, {"marker": str(tmp_path / "marker")}, title="dies")
    asked = executors.build("slurm,partition=short,account=us,hours=0.5,cpus=2,memory=3,poll=0.5")
    counts = asked.run([top, dies], store, heard)
    assert (counts["computed"], store.load(top.key).tensors["value"][0]) == (5, 4)
    assert store.load(dies.key).meta == {"survived": True}
    said = [facts["text"] for event, facts in heard if event == "notice"]
    assert any("ended as NODE_FAIL without a result" in text and "given out again" in text for text in said)
    first = (fake / "scripts" / "1").read_text()
    for line in ("--partition=short", "--account=us", "--time=30", "--cpus-per-task=2", "--mem=3GB", "--array=0-3%4"):
        assert f"#SBATCH {line}" in first
    again = asked.run([top, dies], store, Heard())
    assert (again["computed"], again["reused"]) == (0, 5)


@pytest.mark.slow
@pytest.mark.parametrize("without", ["accounting", "sacct"])
def test_a_cluster_without_accounting(
    without: str, fake: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (fake / "sacct").write_text(NO_ACCOUNTING) if without == "accounting" else (fake / "sacct").unlink()
    store, heard = Store(tmp_path / "store"), Heard()
    dies = Job(example_steps.die_once, {"marker": str(tmp_path / "marker")}, title="dies")
    counts = executors.build("slurm,poll=0.5").run([counting(tmp_path, "a"), dies], store, heard)
    assert (counts["computed"], store.load(dies.key).meta) == (2, {"survived": True})
    said = [facts["text"] for event, facts in heard if event == "notice"]
    assert any("left the queue without a result" in text and "given out again" in text for text in said)


def test_what_the_user_can_mend_is_raised_whole(local: Slurm, tmp_path: Path) -> None:
    with pytest.raises(DataError, match="row 7 is bad") as caught:
        local.run([Job(example_steps.refuse, {})], Store(tmp_path / "store"), Heard())
    assert caught.value.fix == "mend it"


def test_a_machine_without_slurm_and_a_job_that_is_refused(
    fake: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (fake / "refuse").touch()
    with pytest.raises(ConfigError, match="SLURM takes no job") as caught:
        Slurm(partition="nowhere").run([counting(tmp_path, "a")], Store(tmp_path / "store"), Heard())
    assert "invalid partition" in str(caught.value.why)
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(ConfigError, match="no SLURM on this machine"):
        Slurm().run([counting(tmp_path, "a")], Store(tmp_path / "store"), Heard())


def test_without_submitit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(MissingExtraError) as caught:
        Slurm().run([counting(tmp_path, "a")], Store(tmp_path / "store"), Heard())
    assert caught.value.fix == "pip install 'superalign[slurm]'"
