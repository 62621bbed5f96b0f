"""What a person sees of a run: each failure once, plain lines in a pipe, a live view on a terminal."""

from __future__ import annotations

import io

import pytest
from rich.console import Console

import example_steps
from superalign.display import Live, Plain, View
from superalign.errors import DataError, JobError
from superalign.executor import Executor
from superalign.executors.in_process import InProcess
from superalign.executors.pool import Pool
from superalign.job import Job, Step
from superalign.store import Store


def seen(kind: type[View], executor: Executor, step: Step, folder: Store) -> tuple[str, Exception]:
    """Run a failing job; return what the view showed, and what was raised."""
    out = io.StringIO()
    view = kind()
    if isinstance(view, Live):
        view.progress.live.console = Console(file=out, width=100)
    else:
        view.stream = out
    with view, pytest.raises((DataError, JobError)) as caught:
        executor.run([Job(step, {}, title="the step")], folder, view)
    return out.getvalue(), caught.value


@pytest.mark.parametrize("kind", [Plain, Live])
@pytest.mark.parametrize("executor", [InProcess(), Pool(workers=1)], ids=str)
def test_a_mendable_error_is_left_to_who_catches_it(kind, executor, tmp_path):
    said, error = seen(kind, executor, example_steps.refuse, Store(tmp_path))
    assert isinstance(error, DataError)
    assert "row 7 is bad" not in said
    assert "failed" not in said


@pytest.mark.parametrize("kind", [Plain, Live])
def test_a_failure_of_the_program_shows_its_last_line(kind, tmp_path):
    said, error = seen(kind, InProcess(), example_steps.fail, Store(tmp_path))
    assert isinstance(error, JobError)
    assert said.count("failed: the step") == 1
    assert said.count("by design") == 1


def test_a_stage_is_one_plain_line():
    out = io.StringIO()
    view = Plain(out)
    for done in range(5):
        view("preparing", text="downloading minilm", done=done, total=4)
    assert out.getvalue().endswith("] downloading minilm\n")
    assert out.getvalue().count("\n") == 1
