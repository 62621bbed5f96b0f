"""A model's folder: found on disk or on the hub, checked before use, named by the SHA-256 of its files."""

from __future__ import annotations

import contextlib
import hashlib
import json
import re
from difflib import get_close_matches
from pathlib import Path
from typing import Any

from superalign.config import digest
from superalign.errors import ModelError, StoreError
from superalign.models._torch import quiet
from superalign.store import home, write_atomic

CONFIG, WEIGHTS, INDEX = "config.json", "model.safetensors", "model.safetensors.index.json"
GENERATION = "generation_config.json"
SNAPSHOTS = "snapshots"  # the hub client's folder of checkouts, each named by its commit
TOKENIZER_FILES = (
    "tokenizer.json",
    "tokenizer_config.json",
    "special_tokens_map.json",
    "added_tokens.json",
    "vocab.json",
    "vocab.txt",
    "merges.txt",
    "tokenizer.model",
    "spiece.model",
    "sentencepiece.bpe.model",
    "chat_template.jinja",
    "chat_template.json",
)
_HUB_ID = re.compile(r"[A-Za-z0-9][\w.-]*(/[A-Za-z0-9][\w.-]*)?")


def find_folder(path: str, revision: str | None = None) -> Path:
    """Return the local folder of a model: `path` itself, or the hub's snapshot of it, downloaded when needed.

    Raises:
        ModelError: there is no such folder, nor such a model within reach.
    """
    folder = Path(path).expanduser()
    if folder.is_dir():
        return folder
    if folder.is_file():
        raise ModelError(f"'{path}' is a file", fix="give the folder that holds config.json and model.safetensors")
    if path.startswith((".", "~", "/")) or not _HUB_ID.fullmatch(path):
        raise ModelError(f"there is no folder '{path}'", fix=_nearest_folder(folder))
    return _snapshot(path, revision)


def local_folder(path: str, revision: str | None = None) -> Path | None:
    """Return the folder of a model that is on this machine, by `path` or in the hub's cache; no network is asked."""
    folder = Path(path).expanduser()
    if folder.is_dir() or not _HUB_ID.fullmatch(path):
        return folder if folder.is_dir() else None
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import HFValidationError, LocalEntryNotFoundError

    try:
        with quiet():
            return Path(snapshot_download(path, revision=revision, local_files_only=True))
    except (LocalEntryNotFoundError, HFValidationError):
        return None


def check_folder(folder: Path) -> list[Path]:
    """Return the weight files of a model's folder, each seen to be whole.

    Raises:
        ModelError: not a model's folder, pickled weights, or a damaged file (named).
    """
    if not (folder / CONFIG).is_file():
        raise ModelError("not a model's folder", where=str(folder), why=f"it has no {CONFIG}")
    files = weight_files(folder)
    for file in files:
        check_whole(file)
    return files


def folder_digests(folder: Path) -> dict[str, str]:
    """Return what names every file that decides what the model answers: its SHA-256, or the hub's commit."""
    if folder.parent.name == SNAPSHOTS:
        return {"commit": folder.name, **{file.name: "" for file in check_folder(folder)}}
    files = [folder / CONFIG, *check_folder(folder), *(folder / name for name in TOKENIZER_FILES)]
    return {file.name: file_digest(file) for file in files if file.is_file()}


def weights_digest(folder: Path) -> str:
    """Return what names a model's weights wherever they lie: a digest of the files' names and SHA-256."""
    return digest({file.name: file_digest(file) for file in check_folder(folder)})


def file_digest(file: Path) -> str:
    """Return the SHA-256 of a file; the digest of an unchanged large file is computed once, ever."""
    status = file.stat()
    if status.st_size < 1 << 20:
        return hashlib.sha256(file.read_bytes()).hexdigest()
    book = home() / "digests.json"
    known = read_json(book) or {}
    key = f"{file.resolve()}|{status.st_size}|{status.st_mtime_ns}"
    if not isinstance(known.get(key), str):
        with file.open("rb") as stream:
            known[key] = hashlib.file_digest(stream, "sha256").hexdigest()
        with contextlib.suppress(StoreError):  # the book only saves time
            write_atomic(book, json.dumps(known, indent=1))
    return str(known[key])


def _nearest_folder(folder: Path) -> str:
    around = folder.parent.iterdir() if folder.parent.is_dir() else ()
    close = get_close_matches(folder.name, [path.name for path in around if (path / CONFIG).is_file()], n=1)
    if close:
        return f"did you mean '{folder.parent / close[0]}'?"
    return f"give the folder that holds the model's {CONFIG} and its weights in safetensors format"


def _snapshot(name: str, revision: str | None) -> Path:
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import HfHubHTTPError, HFValidationError, LocalEntryNotFoundError

    wanted = ["*.json", "*.safetensors", "*.jinja", "*.txt", "*.model"]
    try:
        with quiet():
            return Path(snapshot_download(name, revision=revision, allow_patterns=wanted, ignore_patterns=["*/*"]))
    except LocalEntryNotFoundError as error:
        why = "the hub cannot be reached (or HF_HUB_OFFLINE is set) and the model is not in its local cache"
        fix = "give a folder, connect, or take an embedded model (superalign models list)"
        raise ModelError(f"model '{name}' is neither a folder nor within reach", why=why, fix=fix) from error
    except (HfHubHTTPError, HFValidationError, OSError) as error:
        why = str(error).strip().partition("\n")[0]
        raise ModelError(
            f"model '{name}' cannot be had from the hub", why=why, fix="check the id, revision and access"
        ) from error


def weight_files(folder: Path) -> list[Path]:
    """Return the files that hold a model's weights; they are not looked into.

    Raises:
        ModelError: there are none, some are missing, or they are pickled.
    """
    if (folder / WEIGHTS).is_file():
        return [folder / WEIGHTS]
    if (folder / INDEX).is_file():
        index = read_json(folder / INDEX) or {}
        names = sorted(set(index.get("weight_map", {}).values()))
        missing = [name for name in names if not (folder / name).is_file()]
        if missing or not names:
            raise ModelError("weights are incomplete", where=str(folder / INDEX), why=f"missing: {missing or 'all'}")
        return [folder / name for name in names]
    if any(folder.glob("*.bin")) or any(folder.glob("*.pt")):
        raise ModelError(
            "the model's weights are pickled, which can run code when read",
            where=str(folder),
            fix="convert them: load once where you trust them and call save_pretrained(), which writes safetensors",
        )
    raise ModelError("the model's folder has no weights", where=str(folder), why=f"neither {WEIGHTS} nor {INDEX}")


def check_whole(file: Path) -> None:
    """Refuse a file that is not safetensors, or cut short, by its header alone."""
    read_header(file)


def read_header(file: Path) -> tuple[dict[str, Any], int]:
    """Return what a safetensors file says of its tensors, and where their bytes begin.

    Raises:
        ModelError: the file is not safetensors, or its length is not what the header says (the first tensor that is cut
            is named).
    """
    size = file.stat().st_size
    try:
        with file.open("rb") as stream:
            length = int.from_bytes(stream.read(8), "little")
            if not 0 < length <= size - 8:
                raise ValueError
            header = {name: entry for name, entry in json.loads(stream.read(length)).items() if name != "__metadata__"}
        ends = {name: int(entry["data_offsets"][1]) for name, entry in header.items()}
    except (ValueError, KeyError, IndexError, TypeError, AttributeError):
        raise ModelError("the weights are not in safetensors format", where=str(file)) from None
    end = max(ends.values(), default=0)
    if size != 8 + length + end:
        cut = min((name for name, last in ends.items() if 8 + length + last > size), key=ends.__getitem__, default="")
        raise ModelError(
            "the weights are cut short",
            where=str(file),
            why=f"the file has {size:,} bytes, its header says {8 + length + end:,}"
            + (f"; the first tensor that is not whole is '{cut}'" if cut else ""),
            fix="download or copy the file again",
        )
    return header, 8 + length


def read_json(file: Path) -> dict[str, Any] | None:
    """Return the mapping in a file; None when there is none, or it cannot be read."""
    try:
        data = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    return data if isinstance(data, dict) else None
