"""One HTTP request and its answer, within a time limit that holds for all of it."""

from __future__ import annotations

import socket
import time
from base64 import b64encode
from collections.abc import Mapping
from contextlib import closing, suppress
from http.client import HTTPConnection, HTTPException, HTTPSConnection, IncompleteRead
from ipaddress import ip_address
from ssl import SSLCertVerificationError
from threading import Event, Timer
from typing import NamedTuple
from urllib.parse import SplitResult, unquote, urlsplit
from urllib.request import getproxies, proxy_bypass

LARGEST = 16 * 2**20  # bytes of an answer


class UnreachableError(OSError):
    """There is no connection to the server."""


class TooLargeError(HTTPException):
    """The answer has more bytes than are read."""


class Received(NamedTuple):
    """What a server sent.

    Args:
        status: of HTTP.
        reason: the words after it.
        retry_after: the header of that name.
        body: all of it, as far as can be told.
        framed: whether the server said how long it is, so that it is all of it for sure.
    """

    status: int
    reason: str
    retry_after: str | None
    body: bytes
    framed: bool


class Lines:
    """The connections that are open in several threads, to be cut all at once."""

    def __init__(self) -> None:
        self.closed = Event()
        self._open: set[socket.socket] = set()

    def add(self, line: socket.socket) -> None:
        """Take in a connection; when all were cut already, it is too."""
        self._open.add(line)
        if self.closed.is_set():
            _cut(line)

    def drop(self, line: socket.socket) -> None:
        """Forget a connection."""
        self._open.discard(line)

    def close(self) -> None:
        """Cut all, those to come as well."""
        self.closed.set()
        for line in list(self._open):
            _cut(line)


def exchange(url: SplitResult, content: bytes, headers: Mapping[str, str], timeout: float, lines: Lines) -> Received:
    """Post `content` and return the answer; redirects are not followed, and certificates are checked.

    Args:
        url: where to.
        content: of the request.
        headers: of the request.
        timeout: seconds for all of it.
        lines: holds the connection while it is open.

    Raises:
        UnreachableError: there is no connection.
        TimeoutError: the time was up.
        TooLargeError: the answer has more than `LARGEST` bytes.
        OSError, HTTPException: the connection broke, or what came is no HTTP.
    """
    end = time.monotonic() + timeout
    connection, target, headers = _route(url, headers, timeout)
    with closing(connection):
        try:
            connection.connect()
        except SSLCertVerificationError:
            raise
        except OSError as error:
            raise UnreachableError(error.strerror or str(error)) from error
        line = connection.sock
        alarm = Timer(max(0.0, end - time.monotonic()), _cut, [line])
        alarm.daemon = True
        alarm.start()
        lines.add(line)
        try:
            connection.request("POST", target, content, dict(headers))
            answer = connection.getresponse()
            framed = answer.length is not None or bool(answer.chunked)
            body = answer.read(LARGEST + 1)
        except (OSError, HTTPException, ValueError) as error:
            raise (TimeoutError() if time.monotonic() >= end else error) from error
        finally:
            alarm.cancel()
            lines.drop(line)
    if time.monotonic() >= end:  # what was cut may look like a whole answer
        raise TimeoutError
    if len(body) > LARGEST:
        raise TooLargeError
    if answer.length:
        raise IncompleteRead(body, answer.length)
    return Received(answer.status, answer.reason, answer.getheader("Retry-After"), body, framed)


def is_local(host: str) -> bool:
    """Tell whether a host is this very machine."""
    with suppress(ValueError):
        return ip_address(host).is_loopback
    return host == "localhost" or host.endswith(".localhost")


def _cut(line: socket.socket) -> None:
    """End a connection, whoever waits for it; below TLS, whose state belongs to the thread that reads."""
    with suppress(OSError):
        socket.socket.shutdown(line, socket.SHUT_RDWR)


def _route(
    url: SplitResult, headers: Mapping[str, str], timeout: float
) -> tuple[HTTPConnection, str, Mapping[str, str]]:
    """Return a connection, straight or through the environment's proxy, with what is asked for there, and headers."""
    host, kind = url.hostname or "", HTTPSConnection if url.scheme == "https" else HTTPConnection
    proxy = None if is_local(host) or proxy_bypass(host) else getproxies().get(url.scheme)
    if not proxy:
        return kind(host, url.port, timeout=timeout), url.path, headers
    way = urlsplit(proxy if "://" in proxy else f"http://{proxy}")
    connection = kind(way.hostname or "", way.port or 80, timeout=timeout)
    user = f"{unquote(way.username or '')}:{unquote(way.password or '')}".encode()
    known = {"Proxy-Authorization": f"Basic {b64encode(user).decode()}"} if way.username else {}
    if url.scheme == "https":
        connection.set_tunnel(host, url.port or 443, known)
        return connection, url.path, headers
    return connection, url.geturl(), {**headers, **known}
