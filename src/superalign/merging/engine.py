"""Runs a merge: tensors in parallel, from mapped files to their places on disk, within a budget of memory."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from xxhash import xxh3_128

from superalign.errors import ConfigError, ModelError
from superalign.merging.adapters import write_adapter
from superalign.merging.config import GB, MergeConfig
from superalign.merging.config import read as settings_of
from superalign.merging.dtypes import FLOATS, encode
from superalign.merging.method import Method, Piece
from superalign.merging.methods.linear import RewardedSoups
from superalign.merging.plan import Plan, footprint, prepare, shards
from superalign.merging.source import Adapter
from superalign.merging.writing import Draft
from superalign.models._folder import CONFIG, GENERATION, file_digest
from superalign.models._torch import asked_threads
from superalign.store import write_synced

Report = Callable[[int, int], None]
SOUPS = "soups.json"


def merge(
    config: MergeConfig | Mapping[str, Any] | Path | str,
    out: Path | str,
    *,
    threads: int | None = None,
    report: Report | None = None,
) -> Path:
    """Merge models and return the folder of the merged one; rewarded soups are folders in that folder.

    The same settings and files give the same bytes, however many threads there are. A merge that was killed goes on
    from the tensors that were finished.

    Args:
        config: the settings, a mapping of them, or a YAML file (see docs/merging.md).
        out: the folder to write; it must not exist, be empty, or hold this very merge.
        threads: how many tensors are merged at a time; by default as many as there are cores.
        report: is told how many of how many tensors are done.

    Raises:
        ConfigError: a setting is wrong, or `out` holds something else.
        ModelError: a model is damaged or does not fit the others; tensor and file are named.
        StoreError: the disk is full, or cannot be written. Nothing half-written stays.
    """
    if not str(out):
        raise ConfigError("OUT names no folder", fix="superalign merge CONFIG.yaml OUT")
    plan = prepare(settings_of(config))
    method = plan.method()
    told = report or (lambda done, total: None)
    if not isinstance(method, RewardedSoups):
        return _run(plan, Path(out), asked_threads(threads), told)
    names = [one.listed.model for one in plan.experts]
    points = list(method.sweep(len(names)))
    held = {"-".join(f"{w:.3g}" for w in weights): dict(zip(names, weights, strict=True)) for weights in points}
    for number, (name, weights) in enumerate(zip(held, points, strict=True)):

        def told_of_all(done: int, total: int, before: int = number) -> None:
            told(before * total + done, len(points) * total)

        soup = Plan(plan.config, plan.reference, plan.base, plan.experts, plan.tokens, weights)
        _run(soup, Path(out) / name, asked_threads(threads), told_of_all)
    write_synced(Path(out) / SOUPS, (json.dumps(held, indent=2) + "\n").encode())
    return Path(out)


def _run(plan: Plan, out: Path, threads: int, report: Report) -> Path:
    draft = Draft(out, plan.digest())
    if draft.is_whole():
        return out
    with draft.opened():
        if plan.config.output == "adapter":
            draft.done = write_adapter(plan, draft.folder)
        else:
            _write_model(plan, draft, threads, report)
        if plan.digest() != draft.digest:
            raise ModelError("a file was changed while it was merged", where=", ".join(map(str, plan.files())))
        draft.publish(_manifest(plan, draft))
    return out


def _write_model(plan: Plan, draft: Draft, threads: int, report: Report) -> None:
    """Merge all tensors, and write what stands beside them."""
    files = [[(name, plan.dtype(name), plan.entries[name].shape) for name in names] for names in shards(plan)]
    draft.lay_out(files)
    left = [name for name in plan.entries if name not in draft.done]
    costs = {name: footprint(plan, name) for name in left}
    total = len(plan.entries)
    with Pool(threads, plan.config.memory) as pool:
        shared = _survey(plan, pool)
        report(total - len(left), total)
        for number, _ in enumerate(pool.map(partial(_merge_one, plan, draft, shared), costs), 1):
            report(total - len(left) + number, total)
    config = dict(plan.reference.config)
    if plan.config.out:
        config["torch_dtype" if "torch_dtype" in config else "dtype"] = plan.config.out
    write_synced(draft.folder / CONFIG, (json.dumps(config, indent=2, ensure_ascii=False) + "\n").encode())
    if (plan.reference.folder / GENERATION).is_file():
        write_synced(draft.folder / GENERATION, (plan.reference.folder / GENERATION).read_bytes())
    plan.tokens.write(draft.folder)


def _survey(plan: Plan, pool: Pool) -> Any:
    """Return what all tensors share, from looks at all of them; None where the method takes none."""
    method, shared = plan.method(), None
    own = tuple(plan.method(None, i) for i in range(len(plan.experts)))
    names = {name: footprint(plan, name) for name in plan.entries if not plan.is_copied(name)}
    for level in range(method.surveys):
        look = partial(_look, plan, method, level, shared)
        total = sum(pool.map(look, names), np.zeros((), dtype=np.int64))
        shared = method.settle(total, level, shared, own)
    return shared


def _look(plan: Plan, method: Method, level: int, shared: Any, name: str) -> Any:
    return method.survey(plan.stack(name), level, shared)


def _merge_one(plan: Plan, draft: Draft, shared: Any, name: str) -> None:
    """Merge a tensor and write it."""
    dtype, read = plan.dtype(name), plan.digests(name)
    written, offset = xxh3_128(), 0
    for data in _copied(plan, name) if plan.is_copied(name) else _merged(plan, name, shared):
        found = encode(data, dtype) if dtype in FLOATS else data
        if found is None:
            raise ModelError(
                f"tensor '{name}' does not fit into {dtype} once merged",
                where=str(plan.entries[name].file),
                why="some of its elements are too large",
                fix="out_dtype: float32, or bfloat16",
            )
        draft.write(name, offset, found)
        written.update(found.data)
        offset += found.nbytes
    draft.finish(name, written.hexdigest(), read)


def _copied(plan: Plan, name: str) -> Iterable[Any]:
    """Yield a tensor of the reference in pieces: as floats, or as the bytes it has."""
    entry = plan.entries[name]
    if entry.dtype not in FLOATS:
        yield plan.reference.raw(name, 0, entry.end - entry.begin)
        return
    stack = plan.stack(name)
    rows_of = plan.reference.rows(name)
    yield from (rows_of(rows) for rows in stack.blocks())


def _merged(plan: Plan, name: str, shared: Any) -> Iterable[Any]:
    """Yield the merged tensor in pieces of fp32."""
    stack = plan.stack(name)
    pieces: Iterable[Piece] = plan.method(name).merge(stack, shared)
    for rows, delta in pieces:
        yield np.ascontiguousarray(delta if stack.base is None else stack.start(rows) + delta, dtype=np.float32)


def _manifest(plan: Plan, draft: Draft) -> dict[str, Any]:
    """Return what was merged from what, with hashes of what was read and written."""
    from superalign import __version__

    small = [file for source in plan.sources() if isinstance(source, Adapter) for file in source.files]
    files = [*plan.files()] if plan.config.hashes == "sha256" else small
    return {
        "config": plan.config.model_dump(mode="json", exclude_none=True),
        "method": plan.method().spec(),
        "weights": plan.weights,
        "read_sha256": {**{str(file): file_digest(file) for file in files}, **plan.tokens.digests()},
        "read_xxh3": dict(sorted(draft.read.items())),
        "written_xxh3": dict(sorted(draft.done.items())),
        "versions": {"superalign": __version__, "numpy": np.__version__},
    }


class Pool:
    """Threads that share a budget of memory: a task starts when what it holds fits, or when it is alone.

    Args:
        threads: at a time.
        memory: GB.
    """

    def __init__(self, threads: int, memory: float) -> None:
        self.threads, self.budget = threads, memory * GB
        np.empty(16 << 20, dtype=np.uint8)  # freed at once: glibc then keeps freed memory of up to twice that at hand
        self._executor = ThreadPoolExecutor(threads)

    def __enter__(self) -> Pool:
        return self

    def __exit__(self, *_: object) -> None:
        self._executor.shutdown(cancel_futures=True)

    def map(self, task: Callable[[str], Any], costs: Mapping[str, int]) -> Iterable[Any]:
        """Yield what a task returns for each name, as it comes; the most costly ones are started first."""
        waiting = sorted(costs, key=lambda name: -costs[name])
        running: dict[Future[Any], str] = {}
        while waiting or running:
            free = self.budget - sum(costs[name] for name in running.values())
            fits = next((name for name in waiting if costs[name] <= free or not running), None)
            if fits is not None and len(running) < self.threads:
                waiting.remove(fits)
                running[self._executor.submit(task, fits)] = fits
                continue
            for future in wait(running, return_when=FIRST_COMPLETED).done:
                del running[future]
                yield future.result()
