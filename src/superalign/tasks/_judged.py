"""What an engine holds of moves, judged once and kept beside the store."""

from __future__ import annotations

import fcntl
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from itertools import islice
from typing import NamedTuple

from superalign.config import digest
from superalign.errors import DataError
from superalign.store import Artifact, Store, home
from superalign.tasks._engine import Engine
from superalign.tasks._positions import Position

BLOCK = 32  # positions that are kept at once: what a kill can cost
RULES = 1


class Judged(NamedTuple):
    """A position, the engine's best move in it, another one, and by how many centipawns that is worse."""

    position: Position
    best: str
    other: str
    gap: int


def judged(positions: Iterator[Position], engine: Engine, alike: bool) -> Iterator[Judged]:
    """Yield positions with the engine's judgement, from the cache where it was asked before.

    The other move is `Position.other`.

    Raises:
        DataError: the engine fails. Blocks that were finished stay in the cache.
    """
    store = Store(home() / "chess")
    store.sweep()
    asked = [RULES, engine.fingerprint(), alike]
    while block := list(islice(positions, BLOCK)):
        key = digest([*asked, [[one.fen, *one.moves] for one in block]])
        found = store.load(key)
        if found is None:
            with _alone(store):
                found = store.load(key) or Artifact(meta={"judged": _asked(block, engine, alike)})
                if not store.has(key):
                    store.save(key, found, {"engine": str(engine.path), "nodes": engine.nodes})
        for position, (best, other, gap) in zip(block, found.meta["judged"], strict=True):
            yield Judged(position, best, other, gap)


@contextmanager
def _alone(store: Store) -> Iterator[None]:
    """Hold the lock of the cache: the truth and the items are read by two jobs, and one of them waits for the other."""
    store.root.mkdir(parents=True, exist_ok=True)
    with (store.root / ".lock").open("a") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _asked(block: Sequence[Position], engine: Engine, alike: bool) -> list[tuple[str, str, int]]:
    rows = []
    with engine:
        for position in block:
            best = engine.ask(position.fen)
            if best.move not in position.moves:
                why = f"'{best.move[:20]}' is no legal move in '{position.fen}'"
                raise DataError("the chess engine answers nonsense", where=str(engine.path), why=why)
            other = position.other(best.move, alike)
            rows.append((best.move, other, best.score - engine.ask(position.fen, other).score))
    return rows
