"""A merged model on its way to disk: a hidden folder of pre-sized files, a journal of what is whole, one rename."""

from __future__ import annotations

import fcntl
import json
import math
import os
import shutil
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
from xxhash import xxh3_128

from superalign.errors import ConfigError, ResumeError, SuperalignError
from superalign.merging.dtypes import SIZES
from superalign.models._adapter import MANIFEST, read_manifest
from superalign.models._folder import INDEX, WEIGHTS
from superalign.store import write_synced
from superalign.store import writing as explained

SCHEMA = "superalign.merge/1"
JOURNAL = "journal.jsonl"


class Place(NamedTuple):
    """Where a tensor goes: a file, its first byte there, and how many it has."""

    file: Path
    begin: int
    size: int


class Draft:
    """The folder `.OUT.merging`, which takes the place of OUT when all is in it.

    A journal names every tensor whose bytes are written, with their XXH3-128. What a killed merge of the same digest
    left is gone on from, after its bytes were read again; anything else is thrown away.

    Args:
        out: the folder to write.
        digest: of the merge.
    """

    def __init__(self, out: Path, digest: str) -> None:
        self.out = Path(os.path.abspath(out))
        self.folder = self.out.with_name(f".{self.out.name}.merging")
        self.digest = digest
        self.places: dict[str, Place] = {}
        self.done: dict[str, str] = {}
        self.read: dict[str, dict[str, str]] = {}
        self._lock = threading.Lock()
        self._handles: dict[Path, int] = {}

    def is_whole(self) -> bool:
        """Tell whether OUT is already this very merge.

        Raises:
            ConfigError: OUT holds something else.
        """
        if self.out.exists() and not self.out.is_dir():
            raise ConfigError(f"'{self.out}' is a file, not a folder to merge to")
        if not self.out.is_dir() or not any(self.out.iterdir()):
            return False
        there = read_manifest(self.out)
        if there.get("schema") == SCHEMA and there.get("digest") == self.digest:
            (self.out / JOURNAL).unlink(missing_ok=True)  # of a process that was killed at the very end
            return True
        why = "it holds another merge" if there.get("schema") == SCHEMA else "it holds other files"
        raise ConfigError(f"'{self.out}' is not empty", why=why, fix="give another folder")

    @contextmanager
    def opened(self) -> Iterator[Draft]:
        """Hold the draft alone. An error throws it away; a kill, or an interrupt, leaves it to be gone on from.

        Raises:
            ResumeError: another process writes it.
            StoreError: the disk is full, or the folder cannot be written.
        """
        with explained(self.out):
            self.folder.mkdir(parents=True, exist_ok=True)
            lock = os.open(self.folder, os.O_RDONLY)
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError:
                os.close(lock)
                raise ResumeError(f"another process is merging to '{self.out}'") from None
            try:
                if self._journal() is None:
                    for left in self.folder.iterdir():
                        left.unlink() if left.is_file() else shutil.rmtree(left)
                yield self
            except (SuperalignError, OSError):
                shutil.rmtree(self.folder, ignore_errors=True)
                raise
            finally:
                for handle in (*self._handles.values(), lock):
                    os.close(handle)
                self._handles.clear()

    def lay_out(self, files: Sequence[Sequence[tuple[str, str, tuple[int, ...]]]]) -> None:
        """Make the files: header first, and room for every tensor, so that a full disk is noticed now.

        Args:
            files: for each file its tensors: name, dtype as safetensors names it, shape.
        """
        known = self._journal()
        count = len(files)
        weights: dict[str, str] = {}
        for number, tensors in enumerate(files, 1):
            name = WEIGHTS if count == 1 else f"model-{number:05}-of-{count:05}.safetensors"
            self._make(self.folder / name, tensors)
            weights |= {tensor: name for tensor, _, _ in tensors}
        if count > 1:
            total = sum(place.size for place in self.places.values())
            index = {"metadata": {"total_size": total}, "weight_map": weights}
            write_synced(self.folder / INDEX, (json.dumps(index, indent=2) + "\n").encode())
        for name, line in (known or {}).items():
            if self._digest(name) == line["xxh3"]:
                self.done[name], self.read[name] = line["xxh3"], line["read"]
        if known is None:
            self._note({"digest": self.digest})

    def write(self, name: str, offset: int, data: npt.NDArray[np.uint8]) -> None:
        """Write bytes of a tensor, from `offset` on; several threads may, of several tensors."""
        place = self.places[name]
        with explained(self.out / place.file.name):
            view = data.data
            while view:
                written = os.pwrite(self._handle(place.file), view, place.begin + offset)
                view, offset = view[written:], offset + written

    def finish(self, name: str, digest: str, read: Mapping[str, str]) -> None:
        """Note that all bytes of a tensor are written: the XXH3-128 of them, and of what they were made of, by file."""
        with self._lock:
            self.done[name], self.read[name] = digest, dict(read)
            self._note({"tensor": name, "xxh3": digest, "read": dict(read)})

    def publish(self, manifest: Mapping[str, Any]) -> None:
        """Seal the folder and let it take the place of OUT."""
        for handle in self._handles.values():
            os.fsync(handle)
        about = {"schema": SCHEMA, "what": "merge", "digest": self.digest, **manifest}
        write_synced(self.folder / MANIFEST, (json.dumps(about, indent=2, ensure_ascii=False) + "\n").encode())
        if self.out.is_dir():
            self.out.rmdir()
        self.folder.rename(self.out)
        (self.out / JOURNAL).unlink(missing_ok=True)

    def _journal(self) -> dict[str, dict[str, Any]] | None:
        """Return what a killed merge of the same digest finished; None when there was none."""
        lines = []
        with suppress(OSError, UnicodeDecodeError):
            for text in (self.folder / JOURNAL).read_text(encoding="utf-8").splitlines():
                with suppress(ValueError):  # the last line of a killed process
                    lines.append(json.loads(text))
        if not lines or lines[0] != {"digest": self.digest}:
            return None
        return {line["tensor"]: line for line in lines[1:] if {"tensor", "xxh3", "read"} <= line.keys()}

    def _note(self, line: Mapping[str, Any]) -> None:
        with explained(self.out), (self.folder / JOURNAL).open("a", encoding="utf-8") as file:
            file.write("\n" * (file.tell() > 0) + json.dumps(line))

    def _make(self, file: Path, tensors: Sequence[tuple[str, str, tuple[int, ...]]]) -> None:
        header: dict[str, Any] = {"__metadata__": {"format": "pt"}}
        end = 0
        for name, dtype, shape in tensors:
            size = math.prod(shape) * SIZES[dtype]
            header[name] = {"dtype": dtype, "shape": list(shape), "data_offsets": [end, end + size]}
            end += size
        text = json.dumps(header, separators=(",", ":"), ensure_ascii=False).encode()
        text += b" " * (-len(text) % 8)
        start = 8 + len(text)
        for name, _, _ in tensors:
            begin, last = header[name]["data_offsets"]
            self.places[name] = Place(file, start + begin, last - begin)
        handle = self._handle(file)
        with explained(self.out / file.name):
            os.pwrite(handle, len(text).to_bytes(8, "little") + text, 0)
            os.posix_fallocate(handle, 0, start + end)
            os.ftruncate(handle, start + end)

    def _handle(self, file: Path) -> int:
        with self._lock:
            if file not in self._handles:
                self._handles[file] = os.open(file, os.O_RDWR | os.O_CREAT, 0o644)
            return self._handles[file]

    def _digest(self, name: str) -> str | None:
        """Return the XXH3-128 of a tensor as it is on disk; None for one that has no place."""
        place = self.places.get(name)
        if place is None:
            return None
        found = xxh3_128()
        for begin in range(0, place.size, 1 << 24):
            found.update(os.pread(self._handle(place.file), min(1 << 24, place.size - begin), place.begin + begin))
        return found.hexdigest()
