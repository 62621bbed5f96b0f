"""Helper processes that end when they should: with the process that started them, and not by themselves on Ctrl-C."""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def deaf_to_ctrl_c() -> Iterator[None]:
    """Let processes that are started in the block not hear Ctrl-C: this process hears it, and stops them."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def live_with_parent() -> None:
    """Let this process end when the one that started it does, even when that one is killed."""
    parent = multiprocessing.parent_process()

    def watch() -> None:
        if parent is not None:
            parent.join()
            os._exit(1)

    threading.Thread(target=watch, daemon=True).start()


def live_while_fed() -> None:
    """Let this process end when its standard input does: a pipe that the one that started it holds while it lives."""

    def watch() -> None:
        os.read(0, 1)  # not sys.stdin: its lock, held at exit, would abort the process
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()
