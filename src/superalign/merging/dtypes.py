"""Floats of a file and fp32, both ways, by their bits: numpy alone, which has no bf16 of its own."""

from __future__ import annotations

from typing import Literal

import numpy as np
import numpy.typing as npt

from superalign.merging.tensors import Float

Dtype = Literal["bfloat16", "float16", "float32"]
NAMES: dict[str, str] = {"bfloat16": "BF16", "float16": "F16", "float32": "F32"}
"""A dtype as configs name it, and as safetensors does."""
FLOATS = {"BF16": 2, "F16": 2, "F32": 4, "F64": 8}
SIZES = {**FLOATS, "I64": 8, "I32": 4, "I16": 2, "I8": 1, "U8": 1, "BOOL": 1, "U16": 2, "U32": 4, "U64": 8}
"""Bytes of an element."""


def decode(raw: npt.NDArray[np.uint8], dtype: str) -> Float | None:
    """Return the floats in bytes, flat, in an array of their own; None when some are NaN or infinite."""
    if dtype == "BF16":
        short = raw.view("<u2")
        if not _finite(short):
            return None
        bits = short.astype(np.uint32)
        bits <<= 16
        return bits.view(np.float32)
    wide = np.frombuffer(raw, {"F16": "<f2", "F32": "<f4", "F64": "<f8"}[dtype]).astype(np.float32)
    return wide if np.isfinite(wide).all() else None


def encode(values: Float, dtype: str) -> npt.NDArray[np.uint8] | None:
    """Return fp32 as the bytes of another float, rounded to the nearest (ties to even); None when some overflow."""
    if dtype == "BF16":
        bits = values.reshape(-1).view(np.uint32)
        rounded = bits >> 16
        rounded &= 1
        rounded += 0x7FFF
        rounded += bits
        rounded >>= 16
        short = rounded.astype("<u2")
        return short.view(np.uint8) if _finite(short) else None
    with np.errstate(over="ignore"):
        found = values.reshape(-1).astype({"F16": "<f2", "F32": "<f4"}[dtype])
    return found.view(np.uint8) if np.isfinite(found).all() else None


def _finite(short: npt.NDArray[np.uint16]) -> bool:
    """Tell whether no bf16 is NaN or infinite: of either sign, these have the largest bits of all."""
    return bool(short.view("<i2").max(initial=0) < 0x7F80 and short.max(initial=0) < 0xFF80)
