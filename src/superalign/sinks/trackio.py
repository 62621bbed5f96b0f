"""Trackio: a local database that `trackio show` reads, or a Space or server of the user's."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from superalign.sink import Feed, Opening, Sink, State, sinks

if TYPE_CHECKING:
    from trackio import Run


@sinks.register("trackio")
class Trackio(Sink):
    """Trackio. Where to is what the user's environment says (TRACKIO_DIR, TRACKIO_SPACE_ID, TRACKIO_SERVER_URL)."""

    package = "trackio"
    project: str = "superalign"
    """Project in which the run is shown."""

    def open(self, opening: Opening) -> Feed:
        """See Sink.open."""
        import trackio

        with _without_a_word():
            run = trackio.init(
                self.project,
                name=opening.name,
                config=dict(opening.config),
                embed=False,
                auto_log_gpu=False,
                auto_log_cpu=False,
            )
        return TrackioFeed(run)


class TrackioFeed(Feed):
    """An open run."""

    def __init__(self, run: Run) -> None:
        self._run = run

    def progress(self, tag: str, step: int, values: Mapping[str, float]) -> None:
        """See Feed.progress."""
        self._run.log({f"{tag}/{name}": value for name, value in values.items()}, step=step)

    def conclude(self, figures: Mapping[str, float], report: Path) -> None:
        """See Feed.conclude."""
        self._run.log(dict(figures))
        self._run.log_artifact(report, type="report")

    def close(self, state: State) -> None:
        """See Feed.close. Trackio knows no states, so this one is a figure: 1 when the run finished."""
        import trackio

        self._run.log({"finished": int(state == "finished")})
        with _without_a_word():
            trackio.finish()  # this thread's run, which is no other than this one


@contextmanager
def _without_a_word() -> Iterator[None]:
    """Let trackio print nothing: it does so on standard output, which holds the result; other threads may print."""
    import trackio.run
    import trackio.utils

    places = [vars(module) for module in (trackio, trackio.run, trackio.utils)]
    for place in places:
        place["print"] = _say_nothing
    try:
        yield
    finally:
        for place in places:
            place.pop("print", None)


def _say_nothing(*_: object, **__: object) -> None:
    """Print nothing."""
