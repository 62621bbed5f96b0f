"""An exported folder: whole or not there, sealed by a manifest, never written over something else."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from superalign.errors import ConfigError, StoreError
from superalign.models._adapter import MANIFEST, read_manifest
from superalign.runs import versions
from superalign.store import is_left_behind, write_synced, writer, writing

SCHEMA = "superalign.export/1"


@contextmanager
def written(out: Path | str, about: Mapping[str, Any]) -> Iterator[Path]:
    """Yield an empty folder; when the block ends well it is sealed and takes the place of `out`, in one step.

    Args:
        out: the folder to export to; it may hold an older export of the same thing.
        about: facts for the manifest, `what` and `learner` among them: what is exported.

    Raises:
        ConfigError: `out` is a file, or holds something else.
        StoreError: the disk is full or the folder cannot be written. Nothing half-written stays.
    """
    place = _place(out, about)
    temporary = place.with_name(f".{place.name}.{writer()}")
    old = temporary.with_name(f"{temporary.name}.old")
    from safetensors import SafetensorError

    with writing(place):
        try:
            temporary.mkdir(parents=True)
            yield temporary
            _seal(temporary, about)
            if place.is_dir():
                place.rename(old)
            temporary.rename(place)
        except SafetensorError as error:  # transformers writes through it, and so it says that a disk is full
            raise StoreError("cannot write", where=str(place), why=str(error), fix="free some space") from error
        finally:
            if old.is_dir() and not place.exists():
                old.rename(place)
            shutil.rmtree(temporary, ignore_errors=True)
            shutil.rmtree(old, ignore_errors=True)


def _place(out: Path | str, about: Mapping[str, Any]) -> Path:
    if not str(out):
        raise ConfigError("OUT names no folder", fix="superalign export RUN OUT")
    place = Path(os.path.abspath(out))
    if place.exists() and not place.is_dir():
        raise ConfigError(f"'{out}' is a file, not a folder to export to")
    if place.is_dir() and any(place.iterdir()):
        there = read_manifest(place)
        if any(there.get(key) != about[key] for key in ("what", "learner")):
            why = "it holds an export of something else" if there.get("schema") == SCHEMA else "it holds other files"
            raise ConfigError(f"'{out}' is not empty", why=why, fix="give another folder")
    for left in place.parent.glob(f".{place.name}.*"):
        if is_left_behind(left, left.name.removeprefix(f".{place.name}.").removesuffix(".old")):
            shutil.rmtree(left, ignore_errors=True)
    return place


def _seal(folder: Path, about: Mapping[str, Any]) -> None:
    files = {}
    for file in sorted(folder.iterdir()):
        with file.open("rb") as stream:
            files[file.name] = hashlib.file_digest(stream, "sha256").hexdigest()
            os.fsync(stream.fileno())
    manifest = {"schema": SCHEMA, **about, "versions": versions(), "files": files}
    write_synced(folder / MANIFEST, (json.dumps(manifest, indent=2, ensure_ascii=False) + "\n").encode())
