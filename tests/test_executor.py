"""Executors: same artifacts, failures contained, killed workers survived."""

from __future__ import annotations

import dataclasses

import pytest

import example_steps
from superalign.errors import DataError, JobError
from superalign.executor import executors
from superalign.executors.in_process import InProcess
from superalign.executors.pool import Pool
from superalign.job import Job
from superalign.store import Store
from test_job import Heard, counting

EXECUTORS = [InProcess(), Pool(workers=2)]


@pytest.mark.parametrize("executor", EXECUTORS, ids=str)
def test_every_job_is_brought_into_the_store(executor, tmp_path):
    store = Store(tmp_path / "store")
    leaves = [counting(tmp_path, f"leaf{i}", add=i) for i in range(4)]
    top = counting(tmp_path, "top", **{f"x{i}": leaf for i, leaf in enumerate(leaves)})
    counts = executor.run([top], store, Heard())
    assert counts["computed"] == 5
    assert store.load(top.key).tensors["value"][0] == 7
    again = executor.run([top], store, Heard())
    assert (again["computed"], again["reused"]) == (0, 5)
    assert len((tmp_path / "log").read_text().split()) == 5


@pytest.mark.parametrize("executor", EXECUTORS, ids=str)
def test_a_failure_stops_only_what_needs_it(executor, tmp_path):
    store = Store(tmp_path / "store")
    broken = Job(example_steps.fail, {}, title="broken")
    needs, free = counting(tmp_path, "needs", x=broken), counting(tmp_path, "free")
    heard = Heard()
    with pytest.raises(JobError, match="2 jobs failed or could not start: broken, needs"):
        executor.run([needs, free], store, heard)
    assert store.has(free.key)
    assert not store.has(needs.key)
    assert any(event == "failed" and "by design" in facts["error"] for event, facts in heard)


@pytest.mark.parametrize("executor", EXECUTORS, ids=str)
def test_what_the_user_can_mend_is_raised_whole(executor, tmp_path):
    with pytest.raises(DataError) as caught:
        executor.run([Job(example_steps.refuse, {})], Store(tmp_path / "store"), Heard())
    error = caught.value
    assert (error.what, error.where, error.why, error.fix) == ("row 7 is bad", "file:7", "it is", "mend it")


def test_the_jobs_of_a_killed_worker_are_given_out_again(tmp_path):
    store = Store(tmp_path / "store")
    job = Job(example_steps.die_once, {"marker": str(tmp_path / "marker")})
    heard = Heard()
    Pool(workers=2).run([job, counting(tmp_path, "other")], store, heard)
    assert store.load(job.key).meta == {"survived": True}
    assert any(event == "notice" and "died" in facts["text"] for event, facts in heard)


def test_a_job_that_kills_every_worker_is_given_up_and_the_others_go_on(tmp_path):
    store, heard = Store(tmp_path / "store"), Heard()
    deadly = Job(example_steps.die, {}, title="deadly")
    jobs = [deadly, counting(tmp_path, "needs", x=deadly), counting(tmp_path, "free")]
    with pytest.raises(JobError, match="2 jobs failed or could not start: deadly, needs"):
        Pool(workers=1, retries=1).run(jobs, store, heard)
    assert store.has(jobs[2].key)
    (failed,) = [facts for event, facts in heard if event == "failed"]
    assert "a worker process died, 2 times" in failed["error"]


def test_a_job_waits_for_what_goes_first_but_does_not_read_it(tmp_path):
    first = counting(tmp_path, "first")
    job = dataclasses.replace(counting(tmp_path, "second"), after=(first,))
    assert job.key == counting(tmp_path, "second").key
    for executor in EXECUTORS:
        store = Store(tmp_path / executor.name)
        assert executor.run([job], store, Heard())["computed"] == 2
        assert store.load(job.key).tensors["value"][0] == 1
    assert (tmp_path / "log").read_text().split() == ["first", "second"] * len(EXECUTORS)


def test_executors_are_chosen_by_name():
    assert executors.build("pool,workers=3") == Pool(workers=3)
    assert executors.build("in-process") == InProcess()
