"""Feeds: what a sink is told, in which order, and that none can harm or delay a run."""

from __future__ import annotations

import threading
import time
from contextlib import suppress
from pathlib import Path

import pytest
from pydantic import Field

from superalign import feeds
from superalign.feeds import Feeds, Series
from superalign.sink import Feed, Opening, Sink
from test_job import Heard

OPENING = Opening("run", Path("/run"), {"study": "s"})


class Notebook(Sink):
    """Writes down what it hears; breaks or hangs where it is told to."""

    name = "notebook"
    package = "json"
    breaks: str = ""
    hangs: str = ""
    notes: list = Field(default_factory=list)

    def open(self, opening):
        page = Page(self)
        page.take("open", opening.name)
        return page


class Page(Feed):
    def __init__(self, book):
        self.book = book

    def take(self, what, *facts):
        self.book.notes.append((what, *facts))
        if what == self.book.hangs:
            threading.Event().wait()
        if what == self.book.breaks:
            raise SystemExit("by design") if what == "conclude" else ZeroDivisionError("by design")

    def progress(self, tag, step, values):
        self.take("progress", tag, step, dict(values))

    def conclude(self, figures, report):
        self.take("conclude", dict(figures), report)

    def close(self, state):
        self.take("close", state)


def feed(book, heard, error=None):
    with Feeds([book], OPENING, heard) as feeds:
        feeds("planned", jobs=2, stored=0)
        for done in (1, 2):
            facts = {"loss": 0.5} if done == 2 else {}
            feeds("progress", job="j", title="a job", done=done, total=4, seconds=done * 0.1, tokens=7 * done, **facts)
        feeds("finished", job="j", title="a job", seconds=1.0)
        if error:
            raise error
        feeds.conclude({("accuracy", "student", "a,b=1"): 0.5, ("pgr",): float("nan")}, Path("report.html"))


def test_a_sink_hears_the_run_in_order():
    book, heard = Notebook(), Heard()
    feed(book, heard)
    assert book.notes == [
        ("open", "run"),
        ("progress", "a_job", 2, {"loss": 0.5, "tokens_per_second": pytest.approx(70)}),
        ("progress", "jobs", 1, {"share_done": 0.5}),
        ("conclude", {"accuracy/student/a_b_1": 0.5}, Path("report.html")),
        ("close", "finished"),
    ]
    assert heard.names() == ["planned", "progress", "progress", "finished"]


@pytest.mark.parametrize(("error", "state"), [(KeyboardInterrupt(), "stopped"), (ValueError(), "failed")])
def test_a_sink_is_told_how_the_run_ended(error, state):
    book = Notebook()
    with pytest.raises(type(error)):
        feed(book, Heard(), error)
    assert book.notes[-1] == ("close", state)


@pytest.mark.parametrize("where", ["open", "progress", "conclude", "close"])
def test_a_sink_that_breaks_is_reported_once_and_harms_nothing(where):
    book, heard, other = Notebook(breaks=where), Heard(), Notebook()
    with Feeds([book, other], OPENING, heard) as both:
        for done in range(40):
            both("progress", job="j", title="a job", done=done, total=50, seconds=done, loss=0.1)
            time.sleep(0.002)
        both.conclude({("gap",): 0.1}, Path("report.html"))
    notices = [facts["text"] for event, facts in heard if event == "notice"]
    assert len(notices) == 1
    assert notices[0].startswith("sink notebook: ")
    assert "by design; it is switched off" in notices[0]
    assert len([note for note in book.notes if note[0] == where]) == (2 if where == "close" else 1)
    assert [note[0] for note in other.notes] == ["open", *["progress"] * 40, "conclude", "close"]


def test_a_sink_that_hangs_does_not_hold_the_run(monkeypatch):
    monkeypatch.setattr(feeds, "PATIENCE", {"finished": 0.2})
    heard, start = Heard(), time.monotonic()
    feed(Notebook(hangs="open"), heard)
    assert time.monotonic() - start < 5
    assert [facts["text"] for event, facts in heard if event == "notice"] == [
        "sink notebook: it did not end in time; it is switched off"
    ]


def test_a_sink_that_is_far_behind_is_switched_off(monkeypatch):
    monkeypatch.setattr(feeds, "WAITING", 3)
    heard = Heard()
    with Feeds([Notebook(hangs="open")], OPENING, heard) as one:
        for done in range(9):
            one("progress", job="j", title="a job", done=done, total=50, seconds=done, loss=0.1)
    assert [facts["text"] for event, facts in heard if event == "notice"] == [
        "sink notebook: it is 3 points behind; it is switched off"
    ]


def test_two_jobs_never_share_a_series():
    book = Notebook()
    with Feeds([book], OPENING, Heard()) as one:
        for key, title in (("k1", "same, title"), ("k2", "same; title"), ("k1", "same, title"), ("k3", "jobs")):
            one("progress", job=key, title=title, done=1, total=2, seconds=1.0, loss=1.0)
    assert [note[1] for note in book.notes if note[0] == "progress"] == [
        "same_title",
        "same_title-k2",
        "same_title",
        "jobs-k3",
    ]


def test_progress_without_losses_is_a_point_a_second():
    series, points = Series("t"), 0
    for step in range(1, 101):
        point = series.point(step, total=100, seconds=step / 20, tokens=step * 10)
        points += bool(point)
        with suppress(KeyError):
            assert point["tokens_per_second"] == pytest.approx(200)
    assert points == 5


def test_what_is_no_number_is_left_out():
    assert Series("t").point(1, total=9, seconds=0.1, loss=float("inf"), phase="warm-up", lr=0.1) == {"lr": 0.1}
