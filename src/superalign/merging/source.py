"""Checkpoints and adapters as tensors that are read when they are asked for, from files that are mapped into memory."""

from __future__ import annotations

import math
import mmap
from collections.abc import Mapping
from functools import cached_property
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
from xxhash import xxh3_128

from superalign.errors import ModelError
from superalign.merging.dtypes import FLOATS, SIZES, decode
from superalign.merging.tensors import Float, LowRank, Rows
from superalign.models import _adapter
from superalign.models._folder import CONFIG, INDEX, read_header, read_json, weight_files

Raw = npt.NDArray[np.uint8]
AROUND = 1 << 20  # bytes
OUTPUTS = {
    "lm_head.weight": ("model.embed_tokens.weight", "transformer.wte.weight"),
    "embed_out.weight": ("gpt_neox.embed_in.weight",),
}
"""Output matrices, and the embeddings to which they may be tied."""


class Entry(NamedTuple):
    """Where a tensor is.

    Args:
        file: in which it is.
        dtype: as safetensors names it.
        shape: of the tensor.
        begin: its first byte in the file.
        end: the byte after its last.
    """

    file: Path
    dtype: str
    shape: tuple[int, ...]
    begin: int
    end: int


class Tensors:
    """The tensors of some safetensors files. A file is mapped when the first of its tensors is read.

    Args:
        files: in which no name stands twice.

    Raises:
        ModelError: a file is not whole, or a tensor is none (named).
    """

    def __init__(self, files: list[Path]) -> None:
        self.files = files
        self.entries: dict[str, Entry] = {}
        self._maps: dict[Path, mmap.mmap] = {}
        for file in files:
            header, start = read_header(file)
            for name, said in header.items():
                if name in self.entries:
                    other = self.entries[name].file.name
                    raise ModelError(f"tensor '{name}' stands in two files", where=f"{file} and {other}")
                self.entries[name] = _entry(file, name, said, start)

    def raw(self, name: str, begin: int, end: int) -> Raw:
        """Return bytes of a tensor, counted from its first; they are a view of the file."""
        entry = self.entries[name]
        held = np.frombuffer(self._map(entry.file), np.uint8)
        return held[entry.begin + begin : entry.begin + end]

    def rows(self, name: str) -> Rows:
        """Return a reader of a tensor's rows: see `Stack`. What was read does not stay in memory.

        Raises:
            ModelError: (the reader) the rows hold NaN or infinity.
        """
        entry = self.entries[name]
        columns = math.prod(entry.shape[1:] if len(entry.shape) > 1 else entry.shape)
        width = columns * SIZES[entry.dtype]

        def read(rows: slice) -> Float:
            raw = self.raw(name, rows.start * width, rows.stop * width)
            values = decode(raw, entry.dtype)
            self.release(name, rows.start * width, rows.stop * width)
            if values is None:
                raise ModelError(f"tensor '{name}' holds NaN or infinity", where=str(entry.file))
            return values.reshape(-1, columns)

        return read

    def array(self, name: str) -> Float:
        """Return a whole tensor."""
        entry = self.entries[name]
        rows = entry.shape[0] if len(entry.shape) > 1 else 1
        return self.rows(name)(slice(0, rows)).reshape(entry.shape)

    def digest(self, name: str) -> str:
        """Return the XXH3-128 of a tensor's bytes, in hex."""
        entry, found = self.entries[name], xxh3_128()
        for begin in range(0, entry.end - entry.begin, AROUND):
            end = min(begin + AROUND, entry.end - entry.begin)
            found.update(self.raw(name, begin, end).data)
            self.release(name, begin, end)
        return found.hexdigest()

    def release(self, name: str, begin: int, end: int) -> None:
        """Let go of the memory that bytes of a tensor take; the file stays mapped."""
        entry = self.entries[name]
        # A fault maps what is around it as well: also what was let go of before.
        first = max(0, entry.begin + begin - AROUND) // mmap.PAGESIZE * mmap.PAGESIZE
        if hasattr(mmap, "MADV_DONTNEED") and end > begin:
            self._map(entry.file).madvise(mmap.MADV_DONTNEED, first, entry.begin + end - first)

    def _map(self, file: Path) -> mmap.mmap:
        if file not in self._maps:
            with file.open("rb") as stream:
                self._maps[file] = mmap.mmap(stream.fileno(), 0, access=mmap.ACCESS_READ)
        return self._maps[file]


class Checkpoint(Tensors):
    """A model's folder, sharded or not. An output matrix that is tied to the embeddings is left out.

    Args:
        folder: of the model.

    Raises:
        ModelError: the folder, a file or the index is not what it says.
    """

    def __init__(self, folder: Path) -> None:
        config = read_json(folder / CONFIG)
        if config is None:
            raise ModelError("not a model's folder", where=str(folder), why=f"it has no {CONFIG} that can be read")
        super().__init__(weight_files(folder))
        self.folder, self.config = folder, config
        self._check_index()
        if config.get("tie_word_embeddings"):
            self._untie()

    def _check_index(self) -> None:
        """Refuse an index that names other tensors than there are."""
        index = (read_json(self.folder / INDEX) or {}).get("weight_map") if len(self.files) > 1 else None
        if not isinstance(index, dict):
            return
        for name, file in sorted(index.items()):
            if name not in self.entries or self.entries[name].file.name != file:
                raise ModelError(f"tensor '{name}' is missing", where=str(self.folder / file), why=f"{INDEX} names it")
        for name in sorted(self.entries.keys() - index.keys()):
            raise ModelError(f"tensor '{name}' is not in {INDEX}", where=str(self.entries[name].file))

    def _untie(self) -> None:
        for output, inputs in OUTPUTS.items():
            for name in (name for name in inputs if {name, output} <= self.entries.keys()):
                if not np.array_equal(self._bytes(output), self._bytes(name)):
                    raise ModelError(
                        f"tensors '{output}' and '{name}' differ",
                        where=str(self.entries[output].file),
                        why=f"{CONFIG} says that they are tied (tie_word_embeddings)",
                    )
                self.release(output, 0, len(self._bytes(output)))
                self.release(name, 0, len(self._bytes(name)))
                del self.entries[output]

    def _bytes(self, name: str) -> Raw:
        entry = self.entries[name]
        return self.raw(name, 0, entry.end - entry.begin)


class Adapter(Tensors):
    """A LoRA adapter in PEFT's format, by the names of the base's tensors that it changes.

    Args:
        folder: of the adapter.
        base: to whose tensors it adds.

    Raises:
        ModelError: it is no such adapter, or does not fit (tensor and file named).
    """

    def __init__(self, folder: Path, base: Checkpoint) -> None:
        self.folder = _adapter.check_adapter(str(folder), base.folder)
        super().__init__([self.folder / _adapter.WEIGHTS])
        self.settings: Mapping[str, Any] = _adapter.read_config(self.folder)
        self._turned = bool(self.settings.get("fan_in_fan_out"))
        self._layers = {
            _target(layer, base, folder, a): (layer, a, b)
            for layer, (a, b) in _adapter.layers(self.folder, self.entries, heads=()).items()
        }
        for tensor in self._layers:
            self._check(tensor, base.entries[tensor])

    @cached_property
    def targets(self) -> frozenset[str]:
        """The base's tensors that it changes."""
        return frozenset(self._layers)

    def layer(self, tensor: str) -> str:
        """Return the layer that a changed tensor belongs to, as PEFT names it, without its prefix."""
        return self._layers[tensor][0].removeprefix(_adapter.PREFIX)

    def factors(self, tensor: str, shape: tuple[int, ...]) -> LowRank:
        """Return the factors of what it adds to a tensor; of rank 0 where it adds nothing."""
        if tensor not in self._layers:
            return LowRank(np.zeros((shape[0], 0), np.float32), np.zeros((0, math.prod(shape[1:])), np.float32))
        layer, first, second = self._layers[tensor]
        a, b = self.array(first), self.array(second)
        b = b * np.float32(_adapter.scale(dict(self.settings), layer, len(a)))
        return LowRank(np.ascontiguousarray(a.T), np.ascontiguousarray(b.T)) if self._turned else LowRank(b, a)

    def _check(self, tensor: str, base: Entry) -> None:
        """Refuse factors whose product is not of the base's shape."""
        _, first, second = self._layers[tensor]
        a, b = self.entries[first].shape, self.entries[second].shape
        wanted = base.shape[::-1] if self._turned else base.shape
        if len(wanted) != 2 or len(a) != 2 or len(b) != 2 or (b[0], a[1]) != wanted or a[0] != b[1]:
            why = f"A is {list(a)} and B is {list(b)}, where the base's '{tensor}' is {list(base.shape)}"
            raise _adapter.misfit(self.folder, first, why)


def _target(layer: str, base: Checkpoint, folder: Path, factor: str) -> str:
    """Return the base's tensor that a layer's adapter changes; an adapter of a bare body leaves out the body's name."""
    name = f"{layer.removeprefix(_adapter.PREFIX)}.weight"
    if name in base.entries:
        return name
    found = [known for known in base.entries if known.endswith(f".{name}")]
    if len(found) != 1:
        raise _adapter.misfit(folder, factor, f"the base model has no tensor '{name}'")
    return found[0]


def _entry(file: Path, name: str, said: Any, start: int) -> Entry:
    """Return a checked entry of a header."""
    try:
        shape = tuple(int(size) for size in said["shape"])
        begin, end = (int(offset) for offset in said["data_offsets"])
        dtype = str(said["dtype"])
    except (KeyError, TypeError, ValueError):
        raise ModelError(f"the header says no shape and place of tensor '{name}'", where=str(file)) from None
    if dtype in SIZES and (begin < 0 or min(shape, default=0) < 0 or end - begin != math.prod(shape) * SIZES[dtype]):
        why = f"{end - begin} bytes for the shape {list(shape)} of {dtype}"
        raise ModelError(f"the header contradicts itself about tensor '{name}'", where=str(file), why=why)
    return Entry(file, dtype, shape, start + begin, start + end)


def is_float(entry: Entry) -> bool:
    """Tell whether a tensor can be merged; others are copied."""
    return entry.dtype in FLOATS
