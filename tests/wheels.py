"""A registry that is one folder: wheels made on the spot, which pip and uv take from there and from nowhere else."""

from __future__ import annotations

import os
import zipfile
from collections.abc import Mapping
from pathlib import Path


def write_wheel(folder: Path, name: str, files: Mapping[str, bytes]) -> Path:
    """Write version 1.0 of a package that holds some files."""
    folder.mkdir(parents=True, exist_ok=True)
    stem = f"{name.replace('-', '_')}-1.0"
    about = {
        "METADATA": f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n",
        "WHEEL": "Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
    }
    content = {**files, **{f"{stem}.dist-info/{key}": text.encode() for key, text in about.items()}}
    record = f"{stem}.dist-info/RECORD"
    with zipfile.ZipFile(folder / f"{stem}-py3-none-any.whl", "w") as wheel:
        for path, data in content.items():
            wheel.writestr(path, data)
        wheel.writestr(record, "".join(f"{path},,\n" for path in (*content, record)))
    return folder / f"{stem}-py3-none-any.whl"


def only_from(folder: Path) -> dict[str, str]:
    """Return the environment variables with which pip and uv know no other registry."""
    return {
        "PIP_NO_INDEX": "1",
        "PIP_FIND_LINKS": str(folder),
        "PIP_CONFIG_FILE": os.devnull,
        "UV_NO_INDEX": "1",
        "UV_FIND_LINKS": str(folder),
        "UV_NO_CONFIG": "1",
    }
