"""Whoever waits for the API waits for one that is slow, too: a busy machine answers late at its start."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Event, Thread

import pytest

from reporting_pipeline.cli.local import visitor
from reporting_pipeline.cli.local.processes import running


@pytest.fixture
def slow() -> Iterator[tuple[str, list[str]]]:
    """The address of an API whose first answer never comes and whose second is a no; what it was asked."""
    asked: list[str] = []
    ended = Event()

    class Slow(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            asked.append(self.path)
            if len(asked) == 1:
                ended.wait()
                return
            self.send_response(503 if len(asked) == 2 else 200)
            self.end_headers()

        def log_message(self, format: str, *args: object) -> None:
            """Says nothing."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Slow) as server:
        Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}", asked
        ended.set()
        server.shutdown()


def test_an_api_that_answers_late_is_waited_for(
    slow: tuple[str, list[str]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    base, asked = slow
    monkeypatch.setattr(visitor, "ANSWER_SECONDS", 0.2)
    command = [sys.executable, "-c", "import time; time.sleep(600)"]
    with running("api", command, {}, tmp_path / "api.log") as child:
        visitor.wait_for(child, base)
    assert asked[:2] == ["/readyz"] * 2
