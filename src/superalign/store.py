"""Content-addressed artifacts: safetensors and JSON, checksums verified on read, atomic writes, never pickle."""

from __future__ import annotations

import contextlib
import errno
import hashlib
import json
import os
import re
import shutil
import socket
import time
import uuid
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from superalign.config import canonical
from superalign.errors import StoreError

Array = npt.NDArray[Any]
RECORD, TENSORS = "record.json", "tensors.safetensors"
SCHEMA = 1
LEFT_AFTER = 24 * 3600.0
"""Seconds after which a half-written thing counts as left behind, whoever wrote it: a write takes minutes at most."""


def home() -> Path:
    """Return the folder of models and artifacts: $SUPERALIGN_HOME, else the user's cache folder."""
    if explicit := os.environ.get("SUPERALIGN_HOME"):
        return Path(explicit).expanduser()
    return Path(os.environ.get("XDG_CACHE_HOME", "~/.cache")).expanduser() / "superalign"


@dataclass(frozen=True)
class Artifact:
    """What a job leaves behind: named tensors and JSON-able facts."""

    tensors: Mapping[str, Array] = field(default_factory=dict)
    meta: Mapping[str, Any] = field(default_factory=dict)


class Store:
    """A folder of artifacts, one sub-folder a key. Safe for several processes at once.

    An artifact is written beside its place and renamed into it, so a key either holds a whole artifact or nothing.
    """

    def __init__(self, root: Path | None = None) -> None:
        self.root = root if root is not None else home() / "store"
        self.notices: list[str] = []

    def path(self, key: str) -> Path:
        """Return the folder of `key`, whether it exists or not."""
        return self.root / key[:2] / key

    def has(self, key: str) -> bool:
        """Tell whether `key` is stored; its checksum is verified only on `load`."""
        return (self.path(key) / RECORD).is_file()

    def load(self, key: str, only: Collection[str] | None = None) -> Artifact | None:
        """Return the artifact, or None when there is none or it is damaged.

        A damaged artifact is thrown away and a notice is kept, so that the job is computed again.

        Args:
            key: its name.
            only: read and verify these tensors alone; the others are not touched. By default all, but those whose
                name holds a slash: they are large, and rarely asked for.
        """
        record = self.record(key)
        if record is None:
            return None
        wanted = [name for name in record["tensors"] if ("/" not in name if only is None else name in only)]
        try:
            tensors = _read_tensors(self.path(key) / TENSORS, wanted)
            for name in wanted:
                if _tensor_sha256(tensors[name]) != record["tensors"][name]:
                    raise ValueError(f"checksum mismatch of tensor '{name}'")
        except (OSError, ValueError) as error:
            self._discard(key, str(error))
            return None
        return Artifact(tensors, record["meta"])

    def record(self, key: str) -> dict[str, Any] | None:
        """Return the JSON part of `key`, verified, without reading its tensors."""
        folder = self.path(key)
        try:
            record: dict[str, Any] = json.loads((folder / RECORD).read_text(encoding="utf-8"))
            seal = record.pop("sha256")
            if seal != _sha256(record) or record["key"] != key or record["schema"] != SCHEMA:
                raise ValueError("checksum mismatch")
        except FileNotFoundError:
            return None
        except (OSError, ValueError, KeyError, TypeError) as error:
            self._discard(key, str(error))
            return None
        return record

    def save(self, key: str, artifact: Artifact, about: Mapping[str, Any] | None = None) -> None:
        """Write an artifact atomically; if another process was first, theirs is kept.

        Raises:
            StoreError: the disk is full or the folder cannot be written. Nothing half-written stays.
        """
        place = self.path(key)
        temporary = self.root / "tmp" / f"{writer()}-{uuid.uuid4().hex}"
        try:
            temporary.mkdir(parents=True)
            tensors = {name: np.asarray(value, order="C") for name, value in artifact.tensors.items()}
            if tensors:
                from safetensors.numpy import save

                write_synced(temporary / TENSORS, save(tensors))
            record = {
                "schema": SCHEMA,
                "key": key,
                "about": dict(about or {}),
                "meta": dict(artifact.meta),
                "tensors": {name: _tensor_sha256(value) for name, value in tensors.items()},
            }
            text = json.dumps({**record, "sha256": _sha256(record)}, ensure_ascii=False, allow_nan=False)
            write_synced(temporary / RECORD, text.encode())
            place.parent.mkdir(parents=True, exist_ok=True)
            self._put(temporary, key)
            _sync_folder(place.parent)
        except OSError as error:
            raise _cannot_write(self.root, error) from error
        finally:
            shutil.rmtree(temporary, ignore_errors=True)

    def __iter__(self) -> Iterator[str]:
        """Yield every stored key."""
        for record in self.root.glob(f"??/*/{RECORD}"):
            yield record.parent.name

    def sweep(self) -> None:
        """Remove what dead processes of this machine left half-written, and what any process left a day ago."""
        for folder in (self.root / "tmp").glob("*-*"):
            if is_left_behind(folder, folder.name.rpartition("-")[0]):
                shutil.rmtree(folder, ignore_errors=True)

    def _put(self, whole: Path, key: str) -> None:
        """Rename a written folder into its place, unless an artifact is there already."""
        try:
            whole.rename(self.path(key))
        except OSError as error:
            if error.errno not in (errno.ENOTEMPTY, errno.EEXIST):
                raise
            if not self.has(key):  # what is there is no artifact
                self._remove(key)
                whole.rename(self.path(key))

    def _discard(self, key: str, why: str) -> None:
        self.notices.append(f"artifact {key[:12]} is damaged ({why}); it is computed again")
        self._remove(key)

    def _remove(self, key: str) -> None:
        """Take an artifact out of its place in one step, then delete it."""
        rubbish = self.root / "tmp" / f"{writer()}-{uuid.uuid4().hex}"
        with contextlib.suppress(OSError):
            rubbish.parent.mkdir(parents=True, exist_ok=True)
            self.path(key).rename(rubbish)
        shutil.rmtree(rubbish, ignore_errors=True)


def write_synced(path: Path, data: bytes) -> None:
    """Write and fsync; the caller renames."""
    with path.open("wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())


def write_tensors(file: Path, tensors: Mapping[str, Array], metadata: Mapping[str, str]) -> None:
    """Write tensors in safetensors format."""
    from safetensors.numpy import save

    write_synced(file, save({name: np.asarray(value, order="C") for name, value in tensors.items()}, dict(metadata)))


def write_atomic(path: Path, text: str) -> None:
    """Replace `path` with `text` in one step.

    Raises:
        StoreError: the disk is full or the folder cannot be written; the old content stays.
    """
    temporary = path.with_name(f".{path.name}.{writer()}")
    with writing(path):
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            write_synced(temporary, text.encode())
            temporary.replace(path)
        except OSError:
            with contextlib.suppress(OSError):
                temporary.unlink(missing_ok=True)
            raise


def sweep_written(path: Path) -> None:
    """Remove what `write_atomic` to `path` left behind in processes that were killed."""
    for temporary in path.parent.glob(f".{path.name}.*"):
        if is_left_behind(temporary, temporary.name.removeprefix(f".{path.name}.")):
            temporary.unlink(missing_ok=True)


def writer() -> str:
    """Return what names this process among all that share a folder: `pid@machine`."""
    return f"{os.getpid()}@{_machine()}"


def is_left_behind(path: Path, by: str) -> bool:
    """Tell whether `by`, the writer in the name of a half-written `path`, is no more, or `path` is a day old.

    Only a process of this machine is looked up: the number of another machine's says nothing here.
    """
    pid, _, machine = by.partition("@")
    if machine == _machine() and not _runs(pid):
        return True
    try:
        return time.time() - path.stat().st_mtime > LEFT_AFTER
    except OSError:  # removed by another process
        return False


@contextmanager
def writing(path: Path) -> Iterator[None]:
    """Explain what keeps the block from writing `path`.

    Raises:
        StoreError: instead of an OSError of the block.
    """
    try:
        yield
    except OSError as error:
        raise _cannot_write(path, error) from error


def _read_tensors(path: Path, names: Collection[str]) -> dict[str, Array]:
    if not names:
        return {}
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(path, framework="numpy") as file:
            return {name: file.get_tensor(name) for name in names}
    except SafetensorError as error:
        raise ValueError(str(error)) from error


def tensors_sha256(tensors: Mapping[str, Array]) -> str:
    """Return the SHA-256 (hex) of tensors and their names."""
    return _sha256({name: _tensor_sha256(value) for name, value in tensors.items()})


def _tensor_sha256(value: Array) -> str:
    seal = hashlib.sha256(f"{value.dtype.str}{value.shape}".encode())
    seal.update(value.tobytes())
    return seal.hexdigest()


def _sha256(record: Mapping[str, Any]) -> str:
    return hashlib.sha256(canonical(record).encode()).hexdigest()


def _sync_folder(folder: Path) -> None:
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


@cache
def _machine() -> str:
    """Return the host's name and, since containers and machines may share one, a digest of what holds its processes."""
    parts = [socket.gethostname()]
    for read, place in ((Path.read_text, "/proc/sys/kernel/random/boot_id"), (os.readlink, "/proc/self/ns/pid")):
        with contextlib.suppress(OSError):
            parts.append(str(read(Path(place))))
    return f"{re.sub(r'[^A-Za-z0-9]', '_', parts[0])[:40]}.{hashlib.sha256(''.join(parts).encode()).hexdigest()[:8]}"


def _runs(pid: str) -> bool:
    """Tell whether a process of this machine has the number `pid`, or may have it."""
    try:
        os.kill(int(pid), 0)
    except ProcessLookupError:
        return False
    except (ValueError, OverflowError, PermissionError):
        return True
    return True


def _cannot_write(path: Path, error: OSError) -> StoreError:
    if error.errno == errno.ENOSPC:
        return StoreError(
            "the disk is full",
            where=str(path),
            why="nothing half-written was kept; finished jobs are safe",
            fix="free some space, or take another disk (SUPERALIGN_HOME for the store, --out for a run), "
            "and run the same command again",
        )
    return StoreError("cannot write", where=str(path), why=str(error), fix="check the folder's permissions")
