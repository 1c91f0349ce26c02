"""One HTTP request under an outer deadline, with the one thing a sender must know: did anything go out?

Before the first byte left us, nothing can have happened and a retry is safe. After it, only an answer
tells; without one the outcome is unknown. Redirects are never followed and no proxy is asked.
"""

from __future__ import annotations

import os
import socket
import ssl
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from http.client import HTTPConnection, HTTPException, HTTPResponse, HTTPSConnection, IncompleteRead
from threading import Timer
from types import TracebackType
from typing import Any
from urllib.parse import urlsplit

LONGEST_ANSWER = 64 * 1024  # bytes read of an answer's body

Connect = Callable[[str, int, float], socket.socket]  # host, port, seconds


class NotSent(Exception):
    """No byte of the request left: nothing can have happened on the other side."""


class AnswerLost(Exception):
    """The request went out, at least in part, and no whole answer came back."""


@dataclass(frozen=True)
class Answer:
    status: int
    headers: Mapping[str, str]
    body: bytes  # at most LONGEST_ANSWER


def connect_directly(host: str, port: int, timeout: float) -> socket.socket:
    return socket.create_connection((host, port), timeout)


class OutboundRequest:
    """One attempt: opens the socket, notes that bytes left, and cuts the line at the deadline.

    A server that sends one byte a second never trips a socket timeout; the deadline ends it.
    """

    def __init__(
        self,
        timeout: float,
        deadline: float,
        connect: Connect = connect_directly,
        on_request_out: Callable[[], None] = lambda: None,
    ) -> None:
        self.timeout = timeout
        self.bytes_left = False
        self.request_out = on_request_out
        self._connect = connect
        self._expired = False
        self._line: socket.socket | None = None
        self._timer = Timer(deadline, self._cut)
        self._timer.daemon = True

    def __enter__(self) -> OutboundRequest:
        self._timer.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._timer.cancel()
        if self._line is not None:
            self._line.close()

    def open(self, host: str, port: int) -> socket.socket:
        opened = self._connect(host, port, self.timeout)
        # A second handle on the same line: TLS takes over the first one.
        self._line = socket.socket(fileno=os.dup(opened.fileno()))
        if self._expired:
            opened.close()
            raise TimeoutError("the deadline passed while connecting")
        return opened

    def sort_out(self, error: Exception) -> NotSent | AnswerLost:
        """The error as what it means for the request."""
        text = f"{type(error).__name__}: {error}"
        if self._expired:
            text = f"the deadline passed ({text})"
        return AnswerLost(text) if self.bytes_left else NotSent(text)

    def _cut(self) -> None:
        self._expired = True
        line = self._line
        if line is not None:
            try:
                line.shutdown(socket.SHUT_RDWR)
            except OSError:
                return  # the other side was faster


class _Watched(HTTPConnection):
    outbound: OutboundRequest

    def connect(self) -> None:
        self.sock = self.outbound.open(self.host, self.port)

    def send(self, data: Any) -> None:
        if self.sock is None:
            self.connect()
        self.outbound.bytes_left = True
        super().send(data)

    def getresponse(self) -> HTTPResponse:
        self.outbound.request_out()
        return super().getresponse()


class PlainConnection(_Watched):
    def __init__(
        self, host: str, outbound: OutboundRequest, port: int | None = None, **_ignored: Any
    ) -> None:
        super().__init__(host, port, timeout=outbound.timeout)
        self.outbound = outbound


class TlsConnection(_Watched, HTTPSConnection):
    def __init__(
        self, host: str, outbound: OutboundRequest, port: int | None = None, **_ignored: Any
    ) -> None:
        HTTPSConnection.__init__(self, host, port, timeout=outbound.timeout, context=tls_context())
        self.outbound = outbound

    def connect(self) -> None:
        line = self.outbound.open(self.host, self.port)
        try:
            self.sock = tls_context().wrap_socket(line, server_hostname=self.host)
        except BaseException:
            line.close()
            raise


@lru_cache(maxsize=1)
def tls_context() -> ssl.SSLContext:
    """Certificates and host names are checked; loaded once, it costs tens of milliseconds."""
    return ssl.create_default_context()


def post(url: str, body: bytes, headers: Mapping[str, str], request: OutboundRequest) -> Answer:
    """POST `body` and read the answer, whatever its status. Raises NotSent or AnswerLost."""
    parts = urlsplit(url)
    kind = TlsConnection if parts.scheme == "https" else PlainConnection
    path = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    with request:
        connection = kind(parts.hostname or "", request, parts.port)
        try:
            connection.request("POST", path, body=body, headers={**headers, "Connection": "close"})
            response = connection.getresponse()
            return Answer(response.status, dict(response.getheaders()), _body_of(response))
        except (OSError, HTTPException, ValueError) as error:
            raise request.sort_out(error) from error
        finally:
            connection.close()


def _body_of(response: HTTPResponse) -> bytes:
    """The body, to LONGEST_ANSWER. Raises IncompleteRead where the line ended before it."""
    body = response.read(LONGEST_ANSWER)
    if len(body) < LONGEST_ANSWER and response.length:  # reading a number of bytes does not tell
        raise IncompleteRead(b"", response.length)
    return body
