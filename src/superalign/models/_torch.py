"""Threads, device and precision: settings with measured defaults."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Literal

from superalign.errors import ConfigError, ModelError

if TYPE_CHECKING:
    import torch

THREADS = "SUPERALIGN_THREADS"
# Threads that spin for long while they wait make a busy machine up to 8 x slower; threads that sleep at once make a
# free one 15 % slower. So they spin for some 50 us. OpenMP reads this when torch is imported: it is set before that.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
os.environ.setdefault("GOMP_SPINCOUNT", "30000")
DtypeName = Literal["auto", "bf16", "fp32"]


def usable_cores() -> int:
    """Return how many cores this process may run on; containers and job schedulers often allow fewer than there are."""
    affinity = getattr(os, "sched_getaffinity", None)
    return len(affinity(0)) if affinity else os.cpu_count() or 1


def asked_threads(n: int | None = None) -> int:
    """Return `n`, else $SUPERALIGN_THREADS, else the usable cores.

    Raises:
        ConfigError: the number is not a positive integer.
    """
    asked = str(n) if n is not None else os.environ.get(THREADS) or str(usable_cores())
    if not asked.isdecimal() or int(asked) < 1:
        raise ConfigError(f"threads must be a positive number, not '{asked}'", where=None if n is not None else THREADS)
    return int(asked)


def use_threads(n: int | None = None) -> int:
    """Set torch's threads to what `asked_threads` says; return the number set."""
    import torch

    asked = asked_threads(n)
    if torch.get_num_threads() != asked:
        torch.set_num_threads(asked)
    return asked


def pick_device(device: str) -> str:
    """Return the device asked for; `auto` is the first GPU when there is one, else the CPU.

    Raises:
        ModelError: the device is not on this machine.
    """
    import torch

    if device == "auto":
        return "cuda" if torch.cuda.is_available() else "cpu"
    try:
        torch.empty(1, device=device)
    except (RuntimeError, AssertionError) as error:
        why = str(error).partition("\n")[0]
        raise ModelError(f"device '{device}' cannot be used", why=why, fix="device=cpu") from error
    return device


def pick_dtype(name: DtypeName, device: str) -> Literal["bf16", "fp32"]:
    """Return the precision: `auto` is bf16 where the device multiplies it natively (3.8 x faster there), else fp32."""
    if name != "auto":
        return name
    return "bf16" if _native_bf16(device) else "fp32"


def torch_dtype(name: Literal["bf16", "fp32"]) -> torch.dtype:
    """Return torch's name of a precision."""
    import torch

    return {"bf16": torch.bfloat16, "fp32": torch.float32}[name]


@contextmanager
def quiet() -> Iterator[None]:
    """Keep the progress bars and warnings of transformers and the hub client off the user's terminal."""
    from huggingface_hub.utils.tqdm import are_progress_bars_disabled, disable_progress_bars, enable_progress_bars
    from transformers.utils import logging

    verbosity, bars, hub_bars = (
        logging.get_verbosity(),
        logging.is_progress_bar_enabled(),
        are_progress_bars_disabled(),
    )
    logging.set_verbosity_error()
    logging.disable_progress_bar()
    disable_progress_bars()
    try:
        yield
    finally:
        logging.set_verbosity(verbosity)
        if bars:
            logging.enable_progress_bar()
        if not hub_bars:
            enable_progress_bars()


def _native_bf16(device: str) -> bool:
    import torch

    if device.startswith("cuda"):
        return bool(torch.cuda.is_bf16_supported(including_emulation=False))
    if device != "cpu" or not hasattr(torch.cpu, "get_capabilities"):
        return False
    capabilities = torch.cpu.get_capabilities()
    return any(capabilities.get(name, False) for name in ("avx512_bf16", "amx_bf16", "bf16", "sve_bf16"))
