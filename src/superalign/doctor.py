"""What is installed, which devices there are, what is reachable, and what to do about what is not."""

from __future__ import annotations

import json
import os
import shutil
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from importlib.metadata import PackageNotFoundError, version
from importlib.util import find_spec
from urllib.parse import urlsplit

from superalign.errors import MissingExtraError
from superalign.store import home

EXTRAS = {
    "local": ("torch", "transformers", "gguf", "peft"),
    "data": ("datasets", "pandas", "pyarrow"),
    "report": ("vl_convert",),
}
OPTIONAL = {"llamacpp": "xllamacpp", "slurm": "submitit", "ray": "ray", "chess": "chess", "inspect": "inspect_ai"}
"""Extras that most users do without, and the package of each."""
ENOUGH_DISK = 2_000_000_000
TIMEOUT = 3.0


@dataclass(frozen=True)
class Finding:
    """One thing looked at; `ok` is None when it is only for information."""

    what: str
    found: str
    ok: bool | None = None
    fix: str = ""


def examine() -> list[Finding]:
    """Look at everything; a look that breaks is itself a finding."""
    looks: list[Callable[[], Iterator[Finding]]] = [
        _python,
        _packages,
        _engine,
        _sinks,
        _devices,
        _disk,
        _models,
        _plugins,
        _network,
    ]
    findings: list[Finding] = []
    for look in looks:
        try:
            findings += look()
        except Exception as error:  # the doctor must survive every patient
            findings.append(Finding(look.__name__.strip("_"), f"{type(error).__name__}: {error}", ok=False))
    return findings


def print_findings(findings: list[Finding], *, as_json: bool) -> None:
    """Print one line a finding, or JSON."""
    if as_json:
        print(json.dumps([asdict(finding) for finding in findings], indent=2))
        return
    signs = {True: "ok", False: "!!", None: "  "}
    for finding in findings:
        print(f"{signs[finding.ok]}  {finding.what:24} {finding.found}")
        if finding.fix:
            print(f"    {'':24} {finding.fix}")


def _python() -> Iterator[Finding]:
    ok = sys.version_info >= (3, 11)
    yield Finding("python", sys.version.split()[0], ok, "" if ok else "superalign needs 3.11 or newer")
    yield Finding("superalign", version("superalign"), ok=True)


def _packages() -> Iterator[Finding]:
    for extra, modules in EXTRAS.items():
        missing = [module for module in modules if find_spec(module) is None]
        have = ", ".join(f"{module} {_version(module)}" for module in modules if module not in missing)
        fix = f"pip install 'superalign[{extra}]' for {', '.join(missing)}" if missing else ""
        yield Finding(f"extra '{extra}'", have or "not installed", not missing, fix)
    for extra, module in OPTIONAL.items():
        if find_spec(module) is None:
            yield Finding(f"extra '{extra}'", "not installed", fix=f"pip install 'superalign[{extra}]'")
        else:
            yield Finding(f"extra '{extra}'", f"{module} {_version(module)}".strip(), ok=True)


def _engine() -> Iterator[Finding]:
    from superalign.tasks._engine import find_engine

    try:
        yield Finding("chess engine", str(find_engine("stockfish")), ok=True)
    except MissingExtraError as error:
        yield Finding("chess engine", "not installed", fix=error.fix or "")


def _sinks() -> Iterator[Finding]:
    from superalign.sink import sinks

    for name in sinks.names():
        try:
            sinks.get(name).check()
        except MissingExtraError as error:
            yield Finding(f"sink {name}", "not installed", fix=error.fix or "")
        else:
            yield Finding(f"sink {name}", f"installed {_version(sinks.get(name).package)}".strip(), ok=True)


def _devices() -> Iterator[Finding]:
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    yield Finding("cpu", f"{cores} usable cores", ok=True)
    if find_spec("torch") is None:
        return
    import torch

    from superalign.models._torch import pick_dtype

    yield Finding("bf16 on this cpu", "native" if pick_dtype("auto", "cpu") == "bf16" else "emulated: fp32 is used")
    cuda = torch.cuda.is_available()
    names = ", ".join(torch.cuda.get_device_name(i) for i in range(torch.cuda.device_count())) if cuda else "none"
    yield Finding("cuda devices", names)


def _disk() -> Iterator[Finding]:
    folder = home()
    place = next(path for path in (folder, *folder.parents) if path.exists())
    free = shutil.disk_usage(place).free
    writable = os.access(place, os.W_OK)
    ok = free > ENOUGH_DISK and writable
    fix = "" if ok else "set SUPERALIGN_HOME to a folder with space"
    yield Finding("cache", f"{folder} ({free / 1e9:.1f} GB free{'' if writable else ', not writable'})", ok, fix)


def _models() -> Iterator[Finding]:
    from superalign.listing import embedded_models

    for row in embedded_models():
        yield Finding(f"embedded:{row['name']}", str(row["state"]))


def _plugins() -> Iterator[Finding]:
    from superalign.listing import registries

    for kind, registry in registries().items():
        registry.names()
        for name, why in registry.failures.items():
            yield Finding(f"plug-in {name}", why, False, f"it failed while {kind} were listed; update or remove it")


def _network() -> Iterator[Finding]:
    if any(os.environ.get(name) == "1" for name in ("HF_HUB_OFFLINE", "TRANSFORMERS_OFFLINE")):
        yield Finding("model hub", "switched off by HF_HUB_OFFLINE")
    elif find_spec("huggingface_hub") is not None:
        from huggingface_hub.constants import ENDPOINT

        place = urlsplit(ENDPOINT)
        reached = _connects(place.hostname or "", place.port or (443 if place.scheme == "https" else 80))
        yield Finding("model hub", "reachable" if reached else "not reachable: local folders and embedded models work")
    yield Finding("package installer", _installer(), find_spec("pip") is not None or shutil.which("uv") is not None)


def _connects(host: str, port: int) -> bool:
    try:
        with socket.create_connection((host, port), TIMEOUT):
            return True
    except OSError:
        return False


def _installer() -> str:
    if find_spec("pip") is not None:
        return f"pip {_version('pip')}"
    if uv := shutil.which("uv"):
        return subprocess.run([uv, "--version"], capture_output=True, text=True, check=False).stdout.strip()
    return "neither pip nor uv: embedded models cannot be fetched"


def _version(module: str) -> str:
    plain = module.replace("_", "-")
    for name in (module, plain, f"{plain}-python", f"{plain}-skinny"):
        try:
            return version(name)
        except PackageNotFoundError:
            continue
    return ""
