"""A chess engine in a process of its own, asked over UCI: it answers in time, or it is ended and the error says why."""

from __future__ import annotations

import os
import re
import select
import shutil
import signal
import subprocess
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import NamedTuple

from superalign.errors import DataError, MissingExtraError
from superalign.tasks._files import sha256

PLACES = "/usr/games:/usr/local/games"
"""Where Debian puts games; not on everybody's PATH."""
HASH = 16  # MB
MATE = 10_000
LOUD = 1 << 20  # bytes without an end of line
SCORE = re.compile(r" score (cp|mate) (-?\d+)( lowerbound| upperbound)?")


class Answer(NamedTuple):
    """A move in UCI's notation, and what it is worth to the one who plays it, in centipawns."""

    move: str
    score: int


def find_engine(name: str) -> Path:
    """Return the path of an engine, given as a path or by its name.

    Raises:
        MissingExtraError: there is none.
        DataError: it cannot be run.
    """
    place = Path(name).expanduser()
    if place.is_file() and not os.access(place, os.X_OK):
        raise DataError(f"the chess engine '{name}' may not be executed", fix=f"chmod +x {place}")
    found = shutil.which(place) or shutil.which(name, path=PLACES)
    if found is None:
        raise MissingExtraError(
            f"there is no chess engine '{name}'",
            why="the gold of generated positions is an engine's judgement",
            fix="apt-get install stockfish, or name another UCI engine: chess,engine=PATH",
        )
    return Path(found).resolve()


class Engine:
    """One engine with one thread, whose every answer begins with an empty memory, so that none depends on another.

    Args:
        path: of its program.
        nodes: how many it searches for an answer.
        patience: seconds in which it must answer.

    Raises:
        DataError: on entering and asking: it does not start, dies, says nonsense, or does not answer in time.
    """

    def __init__(self, path: Path, nodes: int, patience: float) -> None:
        self.path, self.nodes, self.patience = path, nodes, patience
        self._process: subprocess.Popen[bytes] | None = None
        self._heard = b""

    def fingerprint(self) -> str:
        """Return a digest of what decides the answers."""
        return f"{sha256(self.path)}/{self.nodes}/{HASH}"

    def __enter__(self) -> Engine:
        self._heard = b""
        try:
            self._process = subprocess.Popen(
                [self.path],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                start_new_session=True,  # Ctrl-C is for this process, which ends the engine
            )
        except OSError as error:
            raise self._error("cannot be started", error.strerror or str(error)) from None
        try:
            self._hear(["uci"], "uciok")
            self._hear(["setoption name Threads value 1", f"setoption name Hash value {HASH}", "isready"], "readyok")
        except BaseException:
            self.close()
            raise
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.close()

    def ask(self, fen: str, move: str | None = None) -> Answer:
        """Return the best move of a position with its score; given a move, that one with its own."""
        only = f" searchmoves {move}" if move else ""
        said = self._hear(["ucinewgame", f"position fen {fen}", f"go nodes {self.nodes}{only}"], "bestmove")
        best = said[-1].split()[1:2]
        scores = [found for line in said if (found := SCORE.search(line))]
        exact = [found for found in scores if not found[3]] or scores
        if not best or not exact or (move and best[0] != move):
            heard = f"of '{fen}' it said '{said[-1][:80]}'" + ("" if exact else ", and no score")
            raise self._error("answers nonsense", heard)
        kind, value = exact[-1][1], int(exact[-1][2])
        if kind == "mate":
            value = MATE - value if value > 0 else -MATE - value
        return Answer(best[0], value)

    def close(self) -> None:
        """End the engine and whatever it started; nothing of it is left."""
        if self._process is None:
            return
        with suppress(ProcessLookupError):
            os.killpg(self._process.pid, signal.SIGKILL)
        with suppress(OSError):  # what it never read
            self._process.communicate()
        self._process.wait()
        self._process = None

    def _hear(self, say: list[str], word: str) -> list[str]:
        """Say lines and return what is said up to the line that begins with a word."""
        process = self._process
        if process is None or process.stdin is None:
            raise self._error("is not running", "it was closed")
        said: list[str] = []
        until = time.monotonic() + self.patience
        try:
            process.stdin.write("".join(f"{line}\n" for line in say).encode())
            process.stdin.flush()
        except OSError:
            raise self._died(process, word) from None
        for line in self._lines(process, word, until):
            said.append(line)
            if line.split(" ", 1)[0] == word:
                break
        return said

    def _lines(self, process: subprocess.Popen[bytes], word: str, until: float) -> Iterator[str]:
        if process.stdout is None:
            return
        ready = select.poll()
        ready.register(process.stdout, select.POLLIN)
        while (left := until - time.monotonic()) > 0:
            line, end, rest = self._heard.partition(b"\n")
            if end:
                self._heard = rest
                yield "".join(filter(str.isprintable, line.decode(errors="replace"))).strip()
            elif ready.poll(1000 * left):
                read = os.read(process.stdout.fileno(), 1 << 16)
                if not read:
                    raise self._died(process, word)
                self._heard += read
                if len(self._heard) > LOUD and b"\n" not in self._heard:
                    raise self._error("answers nonsense", "a line of more than 1 MB")
        why = (
            f"it hangs, or {self.nodes:,} nodes take longer" if word == "bestmove" else "it hangs, or is no UCI engine"
        )
        raise self._error(f"did not say '{word}' within {self.patience:g} s", why)

    def _died(self, process: subprocess.Popen[bytes], word: str) -> DataError:
        with suppress(subprocess.TimeoutExpired):
            process.wait(1)
        code = process.returncode
        how = "it closed its output" if code is None else f"signal {-code}" if code < 0 else f"exit status {code}"
        return self._error(f"ended before it said '{word}'", how)

    def _error(self, what: str, why: str) -> DataError:
        fix = "run the same command again: what was judged is kept; or name another engine: chess,engine=PATH"
        return DataError(f"the chess engine {what}", where=str(self.path), why=why, fix=fix)
