"""Finding a data file and telling what is wrong with it before a row is read."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path

from superalign.errors import DataError, did_you_mean

TEXT_FORMATS = (".csv", ".tsv", ".jsonl", ".ndjson", ".json")
FORMATS = (*TEXT_FORMATS, ".parquet")
SNIFFED = 4096
SIGNATURES = {
    b"PAR1": "a parquet file",
    b"ARROW1": "an Arrow file",
    b"\x89PNG": "a PNG image",
    b"\xff\xd8\xff": "a JPEG image",
    b"%PDF": "a PDF",
    b"\x1f\x8b": "gzip-compressed",
    b"\x28\xb5\x2f\xfd": "zstd-compressed",
    b"PK\x03\x04": "a zip archive (or a spreadsheet)",
    b"SQLite format 3": "an SQLite database",
    b"\x7fELF": "a program",
    b"\xff\xfe": "UTF-16 text",
    b"\xfe\xff": "UTF-16 text",
    **{b"\x80" + bytes([protocol]): "a pickle" for protocol in range(2, 6)},
}


def find(path: Path) -> Path:
    """Return the path of a data file that can be read.

    Raises:
        DataError: it is missing (with the nearest name), a folder, empty, of an unknown format, or binary.
    """
    path = path.expanduser()
    try:
        if path.is_dir():
            raise DataError(f"'{path}' is a folder", fix=f"name a file in it: {_listing(path)}")
        if not path.exists():
            raise _missing(path)
        if path.suffix.lower() not in FORMATS:
            raise DataError(
                f"'{path.name}' has no known data format", where=str(path), fix=f"known formats: {', '.join(FORMATS)}"
            )
        if not path.is_file():
            raise DataError(f"'{path}' is not a regular file")
        with path.open("rb") as file:
            head = file.read(SNIFFED)
    except OSError as error:
        raise DataError(f"'{path}' cannot be read", why=error.strerror or str(error)) from None
    _sniff(path, head)
    return path


def sha256(path: Path) -> str:
    """Return the SHA-256 (hex) of a file, read in blocks."""
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise DataError(f"'{path}' cannot be read", why=error.strerror or str(error)) from None


def _sniff(path: Path, head: bytes) -> None:
    if not head:
        raise DataError("the file is empty", where=str(path))
    looks = next((name for signature, name in SIGNATURES.items() if head.startswith(signature)), None)
    if path.suffix.lower() == ".parquet":
        if not head.startswith(b"PAR1"):
            raise DataError("this is not a parquet file", where=str(path), why=looks and f"it looks like {looks}")
    elif looks or _is_binary(head):
        raise DataError(
            f"this is not a {path.suffix.lower()[1:]} file",
            where=str(path),
            why=f"it looks like {looks or 'binary data, or text that is not UTF-8'}",
            fix="convert it to UTF-8 text" if looks == "UTF-16 text" else None,
        )


def _is_binary(head: bytes) -> bool:
    """Tell whether a fifth of the bytes cannot stand in UTF-8 text; single bad rows are quarantined later."""
    broken = head.decode("utf-8", errors="replace").count("\ufffd")
    control = sum(byte < 32 and byte not in b"\t\n\r\f\v\x1b" for byte in head)
    return broken + control > len(head) / 5


def _missing(path: Path) -> DataError:
    folder = path.parent
    if not folder.is_dir():
        return DataError(f"there is no file '{path}'", why=f"there is no folder '{folder}'")
    names = [entry.name for entry in os.scandir(folder) if Path(entry.name).suffix.lower() in FORMATS]
    fix = did_you_mean(path.name, names) if names else f"'{folder}' holds no data file"
    return DataError(f"there is no file '{path}'", fix=fix)


def _listing(folder: Path, most: int = 5) -> str:
    names = sorted(entry.name for entry in os.scandir(folder) if Path(entry.name).suffix.lower() in FORMATS)
    shown = ", ".join(names[:most]) + (", ..." if len(names) > most else "")
    return shown or f"it holds no {', '.join(FORMATS)} file"
