"""A real HTTP server in a thread that answers as it is told, badly too, and remembers what it was asked."""

from __future__ import annotations

import json
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from ssl import PROTOCOL_TLS_SERVER, SSLContext
from threading import Lock, Thread
from typing import Any


@dataclass(frozen=True)
class Asked:
    """What came in, and the how many-eth time the same came in: 0 is the first."""

    path: str
    headers: Mapping[str, str]
    body: Any
    nth: int
    time: float

    @property
    def last(self) -> str:
        """Return the last turn of the conversation."""
        return str(self.body["messages"][-1]["content"])


@dataclass(frozen=True)
class Says:
    """What goes out.

    Args:
        body: JSON-able, or the very bytes.
        status: of HTTP.
        headers: further ones.
        late: seconds before anything is sent.
        drip: seconds between two bytes of the body.
        more: bytes that are announced and never come; None announces nothing at all.
        mute: hang up without a word.
    """

    body: Any = b""
    status: int = 200
    headers: Mapping[str, str] = field(default_factory=dict)
    late: float = 0.0
    drip: float = 0.0
    more: int | None = 0
    mute: bool = False


@dataclass
class Server:
    """A server that runs: where, what it was asked, and how many at once."""

    url: str = ""
    asked: list[Asked] = field(default_factory=list)
    most: int = 0
    die: Callable[[], None] = lambda: None  # from now on nobody answers at its url

    def tries(self, words: str) -> int:
        """Return how often a conversation came in."""
        return sum(one.last == words for one in self.asked)


def completion(text: Any, finish: Any = "stop", **message: Any) -> dict[str, Any]:
    """Return a chat completion as servers write it."""
    choice = {"index": 0, "finish_reason": finish, "message": {"role": "assistant", "content": text, **message}}
    usage = {"prompt_tokens": 7, "completion_tokens": 3, "total_tokens": 10}
    return {"id": "x", "object": "chat.completion", "choices": [choice], "usage": usage}


@contextmanager
def serving(behave: Callable[[Asked], Says], certificate: Path | None = None, port: int = 0) -> Iterator[Server]:
    """Run a server that answers what `behave` says; with a certificate (and its key, in one file) over TLS.

    A port of 0 is any that is free.
    """
    server, lock, seen, busy = Server(), Lock(), Counter[str](), 0

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            nonlocal busy
            content = self.rfile.read(int(self.headers["Content-Length"]))
            with lock:
                asked = Asked(
                    self.path, dict(self.headers), json.loads(content), seen[content.decode()], time.monotonic()
                )
                seen[content.decode()] += 1
                server.asked.append(asked)
                busy += 1
                server.most = max(server.most, busy)
            with suppress(OSError):  # a client that has gone away
                self._say(behave(asked))
            with lock:
                busy -= 1

        def _say(self, says: Says) -> None:
            time.sleep(says.late)
            if says.mute:
                return
            body = says.body if isinstance(says.body, bytes) else json.dumps(says.body).encode()
            self.send_response(says.status)
            for name, value in says.headers.items():
                self.send_header(name, value)
            if says.more is not None:
                self.send_header("Content-Length", str(len(body) + says.more))
            self.end_headers()
            if not says.drip:
                self.wfile.write(body)
            for byte in body if says.drip else b"":
                self.wfile.write(bytes([byte]))
                time.sleep(says.drip)

        def log_message(self, *_: Any) -> None:
            """Be quiet."""

    class Listener(ThreadingHTTPServer):
        daemon_threads = True
        request_queue_size = 64

        def handle_error(self, *_: Any) -> None:
            """Be quiet about clients that refuse a certificate."""

    with Listener(("127.0.0.1", port), Handler) as listener:
        if certificate:
            context = SSLContext(PROTOCOL_TLS_SERVER)
            context.load_cert_chain(certificate)
            listener.socket = context.wrap_socket(listener.socket, server_side=True, do_handshake_on_connect=False)
        thread = Thread(target=listener.serve_forever, args=(0.02,), daemon=True)
        thread.start()

        def die() -> None:
            listener.shutdown()
            listener.server_close()

        server.die = die
        server.url = f"http{'s' if certificate else ''}://127.0.0.1:{listener.server_address[1]}/v1"
        yield server
        listener.shutdown()
