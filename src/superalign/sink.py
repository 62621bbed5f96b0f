"""A Sink shows a run in a tool that the user has: its progress while it goes on, its figures at the end."""

from __future__ import annotations

import re
from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal

from superalign.config import Component, digest
from superalign.errors import require
from superalign.registry import Registry, chosen

State = Literal["finished", "failed", "stopped"]
LONGEST = 160  # characters of a tag: some tools take 250, what is measured included


@dataclass(frozen=True)
class Opening:
    """What a sink is told of a run when it starts.

    Args:
        name: of the run's folder.
        folder: absolute.
        config: the resolved settings of the study.
    """

    name: str
    folder: Path
    config: Mapping[str, Any]


class Feed(ABC):
    """A sink that is open for one run; it is used by one thread. Tags and names hold no hostile text any more."""

    @abstractmethod
    def progress(self, tag: str, step: int, values: Mapping[str, float]) -> None:
        """Take a point of a job's time series.

        Args:
            tag: names the job, uniquely within the run.
            step: how much of the job is done: optimizer steps, or texts whose features are known.
            values: such as `loss` and `tokens_per_second`.
        """

    @abstractmethod
    def conclude(self, figures: Mapping[str, float], report: Path) -> None:
        """Take the result's figures, and report.html."""

    @abstractmethod
    def close(self, state: State) -> None:
        """Write what is still held back, and say how the run ended."""


class Sink(Component, ABC):
    """Base of the sinks. They are no part of a study: nothing they do can change a result, or end a run."""

    package: ClassVar[str]
    """The module that must be installed; the extra has the sink's name."""

    @classmethod
    def check(cls) -> None:
        """See, before any work, that the sink's package is there.

        Raises:
            MissingExtraError: it is not.
        """
        require(cls.package, cls.name)

    @abstractmethod
    def open(self, opening: Opening) -> Feed:
        """Begin a run in the tool; whatever is raised switches the sink off."""


sinks: Registry[Sink] = Registry("sink", "superalign.sinks", Sink)
SinkChoice = Annotated[Sink, *chosen(sinks)]


def checked(specs: Iterable[Sink | str]) -> list[Sink]:
    """Build the sinks that a user names, and see that their packages are there; see `Sink.check`."""
    built = [sinks.build(spec) for spec in specs]
    for sink in built:
        sink.check()
    return built


def tag(text: str) -> str:
    """Return a name that every tool takes: letters, digits, `_`, `-` and `.`; a digest tells apart what looks alike."""
    plain = re.sub(r"[^0-9A-Za-z_.-]+", "_", text).strip("_.-")
    if plain and len(plain) <= LONGEST and text.isascii() and text.isprintable():
        return plain
    half = LONGEST // 2
    short = plain if len(plain) <= LONGEST else f"{plain[:half]}...{plain[-half:]}"
    return f"{short or 'unnamed'}-{digest(text)[:8]}"
