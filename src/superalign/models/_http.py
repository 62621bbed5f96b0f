"""JSON over HTTP to one server: retries with back-off, and errors in words that never hold the key."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from http.client import HTTPException
from random import SystemRandom
from ssl import SSLCertVerificationError
from typing import Any
from urllib.parse import SplitResult, urlsplit

from superalign.display import printable
from superalign.errors import ModelError
from superalign.models._exchange import LARGEST, Lines, Received, TooLargeError, UnreachableError, exchange
from superalign.models._speaker import WORDS

BUSY = (408, 409, 429)  # of the statuses below 500, those worth another try
FIRST_WAIT, LONGEST_WAIT = 0.5, 30.0  # seconds before the second try, and at most between two
PATIENCE = 300.0  # seconds: a server that asks for a longer wait is not waited for
SECRET = 16  # a key of so many characters is taken out of answers too; a shorter one may be a word
_draw = SystemRandom()


class UnansweredError(Exception):
    """There is no answer, for the reason that it says.

    Args:
        words: what happened.
        gone: whether the server cannot be reached, after all tries.
    """

    def __init__(self, words: str, *, gone: bool = False) -> None:
        super().__init__(words)
        self.gone = gone


class _PassingError(Exception):
    """A failure that another try may mend.

    Args:
        words: what happened.
        wait: seconds that the server asks for.
        reached: whether there was a connection.
    """

    def __init__(self, words: str, *, wait: float | None = None, reached: bool = True) -> None:
        super().__init__(words)
        self.wait, self.reached = wait, reached


class Endpoint:
    """A server, asked from several threads.

    While it cannot be reached, those who ask first try again and again; those after them try once each.

    Args:
        key_name: the environment variable that holds the key; empty for none.
        timeout: seconds for one try, from connecting to the last byte.
        retries: further tries where the failure may pass.

    Raises:
        ModelError: what the variable holds is no key.
    """

    def __init__(self, key_name: str, timeout: float, retries: int) -> None:
        self._timeout, self._retries = timeout, retries
        self._key_name, self._key = key_name, _key(key_name)
        self._lines, self._gone = Lines(), False

    def post(self, url: str, body: Mapping[str, Any]) -> Any:
        """Send JSON and return the JSON that comes back.

        Raises:
            UnansweredError: nothing, or nothing that is JSON, came back after all tries.
        """
        content, tries = json.dumps(body).encode(), 0
        while not self._lines.closed.is_set():
            tries += 1
            try:
                answer = self._once(urlsplit(url), content)
            except _PassingError as failure:
                if tries > self._retries or (self._gone and not failure.reached):
                    self._gone = not failure.reached
                    words = f"{failure} ({tries} tries)" if tries > 1 else str(failure)
                    raise UnansweredError(words, gone=self._gone) from None
                wait = _back_off(tries) if failure.wait is None else failure.wait
                if wait > PATIENCE:
                    raise UnansweredError(f"{failure}; it asks for a wait of {wait:.0f} s") from None
                self._lines.closed.wait(wait)
            else:
                self._gone = False
                return answer
        raise UnansweredError("stopped")

    def close(self) -> None:
        """Stop all who ask, in whatever thread."""
        self._lines.close()

    def _once(self, url: SplitResult, content: bytes) -> Any:
        headers = {"Content-Type": "application/json", "Accept": "application/json", "Connection": "close"}
        if self._key:
            headers["Authorization"] = f"Bearer {self._key}"
        try:
            received = exchange(url, content, headers, self._timeout, self._lines)
        except TooLargeError:
            raise UnansweredError(f"the answer has more than {LARGEST:,} bytes") from None
        except SSLCertVerificationError as error:
            raise UnansweredError(f"the certificate of {url.hostname} is not trusted: {error.verify_message}") from None
        except UnreachableError as error:
            raise _PassingError(f"{url.netloc} cannot be reached: {self._shown(str(error))}", reached=False) from None
        except TimeoutError:
            raise _PassingError(f"no whole answer within {self._timeout:g} s") from None
        except (OSError, HTTPException, ValueError) as error:
            raise _PassingError(f"the connection broke: {type(error).__name__}") from None
        return self._read(received)

    def _read(self, received: Received) -> Any:
        body = received.body
        if len(self._key) >= SECRET:
            body = body.replace(self._key.encode(), b"***")
        data, is_json = _parsed(body)
        if not 200 <= received.status < 300:
            words = f"HTTP {received.status} {self._shown(received.reason)}".rstrip()
            if said := self._shown(_message(data, body)):
                words = f"{words}: {said}"
            if received.status in BUSY or received.status >= 500:
                raise _PassingError(words, wait=_seconds(received.retry_after))
            if received.status in (401, 403) and self._key_name:
                state = "is read from" if self._key else "is not set: it would be read from"
                words = f"{words}; the key {state} the environment variable {self._key_name}"
            raise UnansweredError(words)
        if is_json:
            return data
        if body.lstrip()[:1] == b"<":
            raise UnansweredError("the answer is a page of HTML or XML, not JSON: is the url right?")
        if received.framed:
            raise UnansweredError(f"the answer is not JSON: {self._shown(body.decode(errors='replace')) or 'nothing'}")
        raise _PassingError("the answer breaks off")

    def _shown(self, text: str) -> str:
        """Return what a server says as words for a person: no key, no control characters, no more than some lines."""
        plain = text.replace(self._key, "***") if self._key else text
        return printable(" ".join(plain.split()))[:WORDS]


def _key(name: str) -> str:
    key = os.environ.get(name, "").strip() if name else ""
    if not (key.isascii() and key.isprintable()) or " " in key:
        raise ModelError(f"the environment variable {name} holds no key", why="a key has no spaces and only ASCII")
    return key


def _parsed(body: bytes) -> tuple[Any, bool]:
    try:
        return json.loads(body), True
    except (ValueError, RecursionError):
        return None, False


def _message(data: Any, body: bytes) -> str:
    """Return what an answer with an error status says, in the forms that servers use."""
    match data:
        case {"error": {"message": str(words)}} | {"error": str(words)} | {"message": str(words)}:
            return words
        case {"detail": str(words)}:
            return words
    return "" if body.lstrip()[:1] == b"<" else body.decode(errors="replace")


def _back_off(tries: int) -> float:
    """Return seconds: twice as many after each try, less up to a half by chance, so that not all come back at once."""
    return min(LONGEST_WAIT, FIRST_WAIT * 2.0 ** (tries - 1)) * _draw.uniform(0.5, 1.0)


def _seconds(retry_after: str | None) -> float | None:
    """Return the wait that a header asks for: seconds, or a date; None where it says neither."""
    if retry_after is None:
        return None
    try:
        return max(0.0, float(retry_after)) if retry_after[:1].isdigit() else _until(retry_after)
    except (ValueError, OverflowError):
        return None


def _until(date: str) -> float:
    then = parsedate_to_datetime(date)
    return max(0.0, (then.replace(tzinfo=then.tzinfo or UTC) - datetime.now(UTC)).total_seconds())
