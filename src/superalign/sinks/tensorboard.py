"""TensorBoard: event files in the run's folder, read by `tensorboard --logdir runs`."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from superalign.sink import Feed, Opening, Sink, State, sinks

if TYPE_CHECKING:
    from tensorboard.summary.writer.event_file_writer import EventFileWriter


@sinks.register("tensorboard")
class TensorBoard(Sink):
    """Event files for TensorBoard; torch is not needed."""

    package = "tensorboard"
    folder: str = ""
    """Where to, in a folder of the run's name; by default `tensorboard` in the run's folder."""

    def open(self, opening: Opening) -> Feed:
        """See Sink.open. A run that goes on adds a file: its series go on, too."""
        from tensorboard.summary.writer.event_file_writer import EventFileWriter

        place = Path(self.folder) / opening.name if self.folder else opening.folder / "tensorboard"
        feed = TensorBoardFeed(EventFileWriter(str(place)))
        feed.text("config", json.dumps(opening.config, indent=2, ensure_ascii=False))
        return feed


class TensorBoardFeed(Feed):
    """An open event file."""

    def __init__(self, writer: EventFileWriter) -> None:
        self._writer = writer

    def progress(self, tag: str, step: int, values: Mapping[str, float]) -> None:
        """See Feed.progress."""
        self._add(step, [{"tag": f"{tag}/{name}", "simple_value": value} for name, value in values.items()])

    def conclude(self, figures: Mapping[str, float], report: Path) -> None:
        """See Feed.conclude."""
        self._add(0, [{"tag": name, "simple_value": value} for name, value in figures.items()])
        self.text("report", str(report))

    def close(self, state: State) -> None:
        """See Feed.close."""
        self.text("state", state)
        self._writer.close()

    def text(self, tag: str, text: str) -> None:
        """Write a text; it is shown as code, so that none of it is taken for markup."""
        from tensorboard.plugins.text.metadata import create_summary_metadata
        from tensorboard.util.tensor_util import make_tensor_proto

        code = "\n".join(f"    {line}" for line in text.splitlines())
        tensor = make_tensor_proto([code.encode(errors="replace")])
        self._add(0, [{"tag": tag, "tensor": tensor, "metadata": create_summary_metadata(tag, "")}])

    def _add(self, step: int, values: list[dict[str, Any]]) -> None:
        from tensorboard.compat.proto.event_pb2 import Event
        from tensorboard.compat.proto.summary_pb2 import Summary

        summary = Summary(value=[Summary.Value(**value) for value in values])
        self._writer.add_event(Event(wall_time=time.time(), step=step, summary=summary))
        self._writer.flush()
