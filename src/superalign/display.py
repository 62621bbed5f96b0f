"""What a person sees while a run goes on: a live view on a terminal, plain lines in a pipe."""

from __future__ import annotations

import sys
import time
from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, Any, Self, TextIO

if TYPE_CHECKING:
    from collections.abc import Iterator

    from rich.progress import TaskID

    from superalign.estimated import DryRun

EVERY = 5.0  # seconds between plain progress lines


def printable(text: object) -> str:
    """Return text with control characters (terminal escapes among them) made visible."""
    return "".join(c if c.isprintable() else f"\\x{ord(c):02x}" for c in str(text))


class Rate:
    """Items and tokens a second of one job, and when it will be done."""

    def __init__(self) -> None:
        self.start, self.done, self.total, self.tokens = time.perf_counter(), 0, 0, 0

    def update(self, done: int = 0, total: int = 0, tokens: int = 0, **_: Any) -> None:
        """Take one progress event."""
        self.done, self.total, self.tokens = done, total, tokens

    def __str__(self) -> str:
        seconds = max(time.perf_counter() - self.start, 1e-6)
        parts = [f"{self.done:,}/{self.total:,}"]
        if self.tokens:
            parts.append(f"{self.tokens / seconds:,.0f} tok/s")
        if self.done and self.done < self.total:
            parts.append(f"ETA {seconds / self.done * (self.total - self.done):.0f} s")
        return ", ".join(parts)


class View(ABC):
    """Shows events between `__enter__` and `__exit__`. A failure that is `raised` as well is left to who catches it."""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        return None

    @abstractmethod
    def __call__(self, event: str, /, **facts: Any) -> None:
        """Show one event."""


class Silent(View):
    """Shows nothing."""

    def __call__(self, event: str, /, **facts: Any) -> None:
        """Show nothing."""


class Plain(View):
    """One line an event."""

    def __init__(self, stream: TextIO | None = None) -> None:
        self.stream, self.start = stream or sys.stderr, time.perf_counter()
        self.rates: dict[str, Rate] = {}
        self.said = 0.0
        self.stage = ""

    def __call__(self, event: str, /, **facts: Any) -> None:
        """Print what matters of one event."""
        job = facts.get("job", "")
        if event == "preparing":
            if facts["text"] != self.stage:
                self.stage = facts["text"]
                self._say(self.stage)
        elif event == "planned":
            self._say(f"{facts['jobs']} jobs, {facts['stored']} of them already in the store")
        elif event == "started":
            self.rates[job], self.said = Rate(), time.perf_counter()
            self._say(facts["title"])
        elif event == "progress":
            self.rates.setdefault(job, Rate()).update(**facts)
            if time.perf_counter() - self.said > EVERY:
                self.said = time.perf_counter()
                self._say(f"  {facts['title']}: {self.rates[job]}")
        elif event == "finished" and facts["seconds"] > 1:
            self._say(f"  done in {facts['seconds']:.1f} s: {facts['title']}")
        elif event in ("notice", "failed", "skipped") and not facts.get("raised"):
            self._say(f"{event}: {facts.get('text') or facts.get('title')}")
            if error := facts.get("error"):
                self._say(f"  {_last_line(error)}")

    def _say(self, text: str) -> None:
        print(f"[{time.perf_counter() - self.start:6.1f} s] {printable(text)}", file=self.stream, flush=True)


class Live(View):
    """A bar for the run and one for each job at work."""

    def __init__(self) -> None:
        from rich.console import Console
        from rich.progress import BarColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

        self.progress = Progress(
            SpinnerColumn(),
            TextColumn("{task.description}", markup=False),
            BarColumn(bar_width=24),
            TextColumn("{task.fields[rate]}", markup=False),
            TimeElapsedColumn(),
            console=Console(stderr=True),
            transient=True,
        )
        self.bars: dict[str, TaskID] = {}
        self.rates: dict[str, Rate] = {}
        self.whole: TaskID | None = None
        self.failed = 0

    def __enter__(self) -> Self:
        self.progress.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.progress.stop()

    def __call__(self, event: str, /, **facts: Any) -> None:
        """Show one event."""
        job = facts.get("job", "")
        if event == "preparing":
            if facts["text"] not in self.bars:
                self.bars[facts["text"]] = self.progress.add_task(printable(facts["text"]), total=None, rate="")
            self.progress.update(self.bars[facts["text"]], completed=facts["done"], total=facts["total"])
        elif event == "planned":
            for bar in self.bars.values():
                self.progress.remove_task(bar)
            self.bars.clear()
            self.whole = self.progress.add_task("jobs", total=facts["jobs"], rate="")
        elif event == "started":
            self.rates[job] = Rate()
            self.bars[job] = self.progress.add_task(printable(facts["title"]), total=None, rate="")
        elif event == "progress" and job in self.bars:
            self.rates[job].update(**facts)
            done, total = facts.get("done", 0), facts.get("total")
            self.progress.update(self.bars[job], completed=done, total=total, rate=str(self.rates[job]))
        elif event in ("finished", "reused", "failed", "skipped"):
            self._ended(event, job, facts)
        if event == "notice":
            self._line(f"notice: {facts['text']}")

    def _ended(self, event: str, job: str, facts: dict[str, Any]) -> None:
        if job in self.bars:
            self.progress.remove_task(self.bars.pop(job))
        if event in ("failed", "skipped") and not facts.get("raised"):
            self.failed += 1
            self._line(f"{event}: {facts['title']}")
            if error := facts.get("error"):
                self._line(f"  {_last_line(error)}")
        if self.whole is not None:
            rate = f"{self.failed} failed" if self.failed else ""
            self.progress.update(self.whole, advance=1, rate=rate)

    def _line(self, text: str) -> None:
        self.progress.console.print(printable(text), markup=False, highlight=False)


def _last_line(error: str) -> str:
    return next(iter(error.strip().splitlines()[-1:]), "")


def watch(*, quiet: bool) -> View:
    """Return the view that fits where standard error goes."""
    if quiet or sys.stderr is None:  # None: it is closed
        return Silent()
    return Live() if sys.stderr.isatty() else Plain()


def plan_lines(plan: DryRun) -> Iterator[str]:
    """Yield the lines that show a dry run; what is not known is said, not left out."""
    jobs = "the jobs are not known" if plan.jobs is None else f"{plan.jobs} jobs, {plan.stored} of them in the store"
    yield f"{plan.study}: {jobs}; nothing was run"
    if plan.cells is not None and plan.separate is not None and plan.jobs:
        times = plan.separate / plan.jobs
        yield f"{plan.cells:,} cells: {plan.separate:,} jobs as runs of their own, {times:.1f} times the distinct ones"
    for step in plan.steps:
        yield f"  {step.step:18} {step.jobs:6,} jobs, {step.stored:,} stored"
    yield "models"
    for one in plan.models:
        size = f"size not known: {one.why}" if one.parameters is None else f"{one.parameters:,} parameters"
        yield f"  {printable(one.model)}  {printable(size)}"
    if plan.work:
        yield "work that is left, about"
        yield f"  {'':16} {'tokens read':>14} {'written':>12} {'trained on':>12} {'FLOPs':>9}  model"
    for part in plan.work:
        flops = "?" if part.flops is None else f"{part.flops:.1e}"
        counts = f"{part.read:14,} {part.written:12,} {part.trained:12,} {flops:>9}"
        yield f"  {part.component:16} {counts}  {printable(part.model)}"
    if memory := plan.memory:
        trained = "gradient and AdamW" if memory.adapter else "axes"
        named = {"weights": memory.weights, "adapter": memory.adapter, trained: memory.optimizer}
        parts = [f"{name} {_size_of(value)}" for name, value in named.items() if value]
        parts.append("activations " + ("not known" if memory.activations is None else _size_of(memory.activations)))
        what = "the learner in training" if memory.adapter else "the largest job"
        yield f"memory of {what}, about {_size_of(memory.total)}: {', '.join(parts)}"
    if plan.hours is not None:
        yield f"time, about {plan.hours:.2g} hours of this machine"
    if plan.cost is not None:
        yield f"cost, about {plan.cost:.2f}"
    yield from (f"not known: {printable(line)}" for line in plan.unknown)
    yield from (f"assumed: {line}" for line in plan.assumed)


def _size_of(count: int) -> str:
    return f"{count / 1e9:.2f} GB" if count >= 1e8 else f"{count / 1e6:.2f} MB"
