"""Feeds pass a run's events on to its sinks, each in a thread of its own: one that is slow or breaks costs nothing."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from queue import Full, Queue
from threading import Thread
from types import TracebackType
from typing import Any, Self

from superalign.errors import SuperalignError
from superalign.job import Listener
from superalign.sink import Feed, Opening, Sink, State, tag

Work = Callable[[Feed], None] | State
EVERY = 1.0  # seconds of a job between two points, where there is no loss
WAITING = 10_000  # points that a slow sink may be behind
PATIENCE: dict[State, float] = {"finished": 60.0, "failed": 10.0, "stopped": 5.0}  # seconds for all sinks to close


class Feeds:
    """A listener that passes on what it hears, and also feeds the sinks, between `__enter__` and `__exit__`.

    Args:
        sinks: where to.
        opening: the run.
        listen: hears every event, and one notice of each sink that broke.
    """

    def __init__(self, sinks: Sequence[Sink], opening: Opening, listen: Listener) -> None:
        self._listen = listen
        self._lines = [Line(sink, opening) for sink in sinks]
        self._jobs = {"": Series("jobs")}
        self._planned, self._done = 0, set[str]()

    def __enter__(self) -> Self:
        for line in self._lines:
            line.start()
        return self

    def __call__(self, event: str, /, **facts: Any) -> None:
        """Hear an event."""
        self._listen(event, **facts)
        if not self._lines:
            return
        if event == "planned":
            self._planned = facts["jobs"]
        elif event == "progress":
            self._progress(**facts)
        elif event in ("finished", "reused") and facts["job"] not in self._done:
            self._done.add(facts["job"])
            count, share = len(self._done), len(self._done) / max(self._planned, 1)
            self._put(lambda feed: feed.progress("jobs", count, {"share_done": share}))
        self._tell_troubles()

    def conclude(self, figures: dict[tuple[str, ...], float], report: Path) -> None:
        """Pass on a result's figures, named from the general to the particular, and its report."""
        named = {"/".join(map(tag, name)): value for name, value in figures.items() if math.isfinite(value)}
        self._put(lambda feed: feed.conclude(named, report))

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        state: State = "finished" if kind is None else "failed" if issubclass(kind, Exception) else "stopped"
        end = time.monotonic() + PATIENCE[state]
        self._put(state)
        for line in self._lines:
            if not line.trouble:
                line.join(max(0.0, end - time.monotonic()))
                line.trouble = line.trouble or ("it did not end in time" if line.is_alive() else "")
        self._tell_troubles()

    def _progress(self, *, job: str, title: str, done: int = 0, **facts: Any) -> None:
        if job not in self._jobs:
            name = tag(title)
            taken = name in (series.tag for series in self._jobs.values())
            self._jobs[job] = Series(f"{name}-{job[:8]}" if taken else name)
        series = self._jobs[job]
        if values := series.point(done, **facts):
            self._put(lambda feed: feed.progress(series.tag, done, values))

    def _put(self, work: Work) -> None:
        for line in self._lines:
            line.put(work)

    def _tell_troubles(self) -> None:
        for line in self._lines:
            if line.trouble and not line.told:
                line.told = True
                self._listen("notice", text=f"sink {line.sink.name}: {line.trouble}; it is switched off")


class Series:
    """The progress of one job, thinned: every loss, the last step, and else a point a second."""

    def __init__(self, tag: str) -> None:
        self.tag = tag
        self._seconds, self._tokens = math.nan, 0  # at the last point

    def point(
        self, done: int, *, seconds: float, total: int = 0, tokens: int = 0, **measured: object
    ) -> dict[str, float]:
        """Return what is worth a point, if anything; a rate is that since the last one, by the job's own clock."""
        first = math.isnan(self._seconds)
        if not (first or measured or done == total or seconds - self._seconds >= EVERY):
            return {}
        values = {name: value for name, value in measured.items() if isinstance(value, int | float)}
        if not first and tokens > self._tokens and seconds > self._seconds:
            values["tokens_per_second"] = (tokens - self._tokens) / (seconds - self._seconds)
        self._seconds, self._tokens = seconds, tokens
        return {name: value for name, value in values.items() if math.isfinite(value)}


class Line(Thread):
    """Feeds one sink with what was put in a queue. What it raises is kept as the trouble that ends it."""

    def __init__(self, sink: Sink, opening: Opening) -> None:
        super().__init__(name=f"sink {sink.name}", daemon=True)  # a process need not outlive its run for a sink
        self.sink, self.opening = sink, opening
        self.trouble, self.told = "", False
        self._todo: Queue[Work] = Queue(WAITING)

    def put(self, work: Work) -> None:
        """Leave something to do, the last of which is to end, unless the sink is switched off."""
        if self.trouble:
            return
        try:
            self._todo.put_nowait(work)
        except Full:
            self.trouble = f"it is {WAITING:,} points behind"

    def run(self) -> None:
        """Be the thread."""
        feed: Feed | None = None
        try:
            feed = self.sink.open(self.opening)
            feed.close(self._fed(feed))
        except (Exception, SystemExit) as error:  # of any tool, of any kind: it must not reach the run
            self.trouble = self.trouble or _told(error)
            if feed:
                with suppress(Exception):
                    feed.close("failed")

    def _fed(self, feed: Feed) -> State:
        """Do what is in the queue to its end; return how the run ended."""
        while not self.trouble:
            work = self._todo.get()
            if isinstance(work, str):
                return work
            work(feed)
        return "failed"


def _told(error: BaseException) -> str:
    """Return an error in one line."""
    if isinstance(error, SuperalignError):
        return "; ".join(filter(None, (error.what, error.fix)))
    lines = str(error).strip().splitlines() or [""]
    return f"{type(error).__name__}: {lines[0][:300]}"
