"""SendGrid-, Slack- and webhook-shaped servers that log what they took and can misbehave."""

from __future__ import annotations

import json
import socket
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any


@dataclass
class Provider:
    """Faults are taken from `faults` in order, then `always`; what is in `accepted` was taken for good."""

    faults: list[str] = field(default_factory=list)
    always: str = ""
    accepted: list[str] = field(default_factory=list)  # delivery ids, in order
    requests: list[dict[str, Any]] = field(default_factory=list)  # headers and body
    connections: int = 0
    reject: set[str] = field(default_factory=set)  # addresses that make a request a 400
    url: str = ""
    elsewhere: str = ""  # where a 302 points
    lock: threading.Lock = field(default_factory=threading.Lock)
    over: threading.Event = field(default_factory=threading.Event)  # the test is: what hangs lets go

    def next_fault(self) -> str:
        with self.lock:
            return self.faults.pop(0) if self.faults else self.always

    @property
    def duplicates(self) -> dict[str, int]:
        return {each: self.accepted.count(each) for each in self.accepted if self.accepted.count(each) > 1}


#: Faults that end with the sender's patience.
WITHOUT_END = {"silent", "drip"}


def patience(*servers: Provider) -> dict[str, float]:
    """The sender's limits of time: short only where the next answer never comes."""
    if any(WITHOUT_END & {*server.faults[:1]} for server in servers):
        return {"send_timeout_seconds": 2.0, "send_deadline_seconds": 3.0}
    return {"send_timeout_seconds": 120.0, "send_deadline_seconds": 240.0}


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    provider: Provider

    def log_message(self, *arguments: object) -> None:
        """Silent."""

    def do_POST(self) -> None:
        raw = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        body = json.loads(raw)
        with self.provider.lock:
            self.provider.requests.append(
                {"path": self.path, "headers": dict(self.headers), "body": body, "raw": raw}
            )
        if "personalizations" in body and self._refuse(body):
            return
        getattr(self, f"_fault_{self.provider.next_fault() or 'none'}")(body)

    def do_GET(self) -> None:
        with self.provider.lock:
            self.provider.requests.append({"path": self.path, "headers": dict(self.headers), "body": {}})
        self._answer(200, b"", {})

    def _refuse(self, body: dict[str, Any]) -> bool:
        addresses = {each["to"][0]["email"] for each in body["personalizations"]}
        if not addresses & self.provider.reject:
            return False
        self._answer(400, json.dumps({"errors": [{"message": "Does not contain a valid address."}]}).encode())
        return True

    def _accept(self, body: dict[str, Any]) -> None:
        with self.provider.lock:
            if "personalizations" in body:
                ids = [each["custom_args"]["delivery_id"] for each in body["personalizations"]]
            else:
                ids = [self.headers.get("webhook-id") or body.get("text", "")]
            self.provider.accepted += ids

    def _answer(self, status: int, body: bytes = b"", headers: dict[str, str] | None = None) -> None:
        self.send_response(status)
        for name, value in (headers or {}).items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def _fault_none(self, body: dict[str, Any]) -> None:
        self._accept(body)
        if "personalizations" in body:
            self._answer(202, b"", {"X-Message-Id": f"msg-{len(self.provider.accepted)}"})
        elif self.path.endswith("chat.postMessage"):
            self._answer(200, b'{"ok": true, "ts": "1.2"}')
        else:
            self._answer(200, b"ok")

    def _fault_slow(self, body: dict[str, Any]) -> None:
        time.sleep(0.3)
        self._fault_none(body)

    def _fault_silent(self, body: dict[str, Any]) -> None:
        """Takes the message and never answers."""
        self._accept(body)
        self.provider.over.wait()
        self.close_connection = True

    def _fault_drip(self, body: dict[str, Any]) -> None:
        """Takes the message and answers a byte at a time, within every socket timeout, without end."""
        self._accept(body)
        try:
            self.wfile.write(b"HTTP/1.1 202 Accepted\r\nX-Slow: ")
            while not self.provider.over.wait(0.05):
                self.wfile.write(b"a")
        except OSError:
            pass
        self.close_connection = True

    def _fault_reset(self, body: dict[str, Any]) -> None:
        """Takes the message and resets the connection."""
        self._accept(body)
        self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\x01\0\0\0\0\0\0\0")
        self.connection.close()
        self.close_connection = True

    def _fault_truncated(self, body: dict[str, Any]) -> None:
        self._accept(body)
        self.wfile.write(b"HTTP/1.1 202 Acc")
        self.close_connection = True

    def _fault_302(self, body: dict[str, Any]) -> None:
        self._answer(302, b"", {"Location": f"{self.provider.elsewhere}/v3/mail/send"})

    def _fault_200(self, body: dict[str, Any]) -> None:
        self._accept(body)
        self._answer(200, b"{}", {"X-Message-Id": "msg"})

    def _fault_no_id(self, body: dict[str, Any]) -> None:
        self._accept(body)
        self._answer(202)

    def _fault_429_reset(self, body: dict[str, Any]) -> None:
        self._answer(429, b"{}", {"X-RateLimit-Reset": "1795421700"})  # 2026-11-23 08:15 UTC

    def _fault_429(self, body: dict[str, Any]) -> None:
        self._answer(429, b"{}")

    def _fault_502(self, body: dict[str, Any]) -> None:
        """A gateway's page after the message was taken."""
        self._accept(body)
        self._answer(502, b"<html><h1>Bad Gateway</h1></html>", {"Content-Type": "text/html"})

    def __getattr__(self, name: str) -> Any:
        if not name.startswith("_fault_"):
            raise AttributeError(name)
        status = int(name.removeprefix("_fault_"))
        return lambda _body: self._answer(status, b'{"errors": [{"message": "no"}]}')


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    provider: Provider

    def get_request(self) -> tuple[socket.socket, Any]:
        self.provider.connections += 1
        return super().get_request()

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that hangs up is what the tests are about."""


@contextmanager
def provider(faults: Sequence[str] = (), **options: Any) -> Iterator[Provider]:
    state = Provider(faults=list(faults), **options)
    handler = type("Handler", (_Handler,), {"provider": state})
    server = _Server(("127.0.0.1", 0), handler)
    server.provider = state
    state.url = f"http://127.0.0.1:{server.server_address[1]}"
    thread = threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True)
    thread.start()
    try:
        yield state
    finally:
        state.over.set()
        server.shutdown()
        server.server_close()
        thread.join(5)
