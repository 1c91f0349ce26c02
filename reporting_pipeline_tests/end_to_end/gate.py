"""A way to a server that can be shut: whoever comes is refused, whoever is inside is thrown out.

The servers of the tests are shared, so a test that needs one away goes to it through a gate of its own,
or has its process stopped for a moment (`stopped`): then it takes what is sent, and does not answer.
"""

from __future__ import annotations

import os
import signal
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from reporting_pipeline.embedded.processes import HOST, free_ports, read_record


class Gate:
    """Passes connections on `port` of this machine to `to`."""

    def __init__(self, to: int) -> None:
        self._to = to
        (self.port,) = free_ports(1)
        self._lock = threading.Lock()
        self._inside: set[socket.socket] = set()
        self._door = self._bound()
        self.open()

    def open(self) -> None:
        """Let connections in."""
        self._door.listen(128)
        threading.Thread(target=self._admit, args=(self._door,), daemon=True).start()

    def shut(self) -> None:
        """Refuse new connections and end those that are there."""
        door = self._door
        with suppress(OSError):
            door.shutdown(socket.SHUT_RDWR)  # wakes the thread that waits in accept
        door.close()
        self._door = self._bound()  # keeps the port, and does not listen
        with self._lock:
            inside, self._inside = self._inside, set()
        for one in inside:
            _end(one)

    def close(self) -> None:
        self.shut()
        self._door.close()

    def _bound(self) -> socket.socket:
        door = socket.socket()
        door.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        door.bind((HOST, self.port))
        return door

    def _admit(self, door: socket.socket) -> None:
        while True:
            try:
                caller, _ = door.accept()
            except OSError:
                return
            try:
                server = socket.create_connection((HOST, self._to))
            except OSError:
                _end(caller)
                continue
            with self._lock:
                self._inside |= {caller, server}
            for source, target in ((caller, server), (server, caller)):
                threading.Thread(target=self._pass, args=(source, target), daemon=True).start()

    def _pass(self, source: socket.socket, target: socket.socket) -> None:
        with suppress(OSError):
            while some := source.recv(65_536):
                target.sendall(some)
        for one in (source, target):
            with self._lock:
                self._inside.discard(one)
            _end(one)


def _end(one: socket.socket) -> None:
    with suppress(OSError):
        one.shutdown(socket.SHUT_RDWR)
    one.close()


@contextmanager
def stopped(folder: Path) -> Iterator[None]:
    """The server whose home is `folder` stands still inside the block."""
    record = read_record(folder)
    assert record is not None, folder
    os.kill(record.pid, signal.SIGSTOP)
    try:
        yield
    finally:
        os.kill(record.pid, signal.SIGCONT)
