"""Dagster's code server as a deployment runs it: on a port of its own, and ended by SIGTERM.

Dagster's own command binds with SO_REUSEPORT, so that a second one on the same port serves beside the
first, old and new code in turn; and at SIGTERM it waits for the streams of a webserver and a daemon, which
end with them only.
"""

from __future__ import annotations

import ctypes
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import partial
from typing import Annotated

import typer

from reporting_pipeline.cli.plain import plain_errors
from reporting_pipeline.settings import SettingsError, child_environment, current_settings

DEFINITIONS = "reporting_pipeline.definitions"
#: Seconds that calls under way are given at a stop; a run goes on in a process of its own.
GRACE_SECONDS = 5
#: On top of it, for Dagster to leave; then it is killed.
LEAVE_SECONDS = 15.0
PR_SET_PDEATHSIG = 1


def code_server(
    host: Annotated[str, typer.Option("--host", "-h", help="Where it listens.")] = "127.0.0.1",
    port: Annotated[int, typer.Option("--port", "-p", help="A port that nobody else has.")] = 4000,
) -> None:
    """Load the definitions and serve them to Dagster's webserver and daemon until SIGTERM."""
    with plain_errors():
        code = run(host, port, log_format=current_settings().log_format)
    raise typer.Exit(code)


def run(host: str, port: int, log_format: str = "text") -> int:
    """Serve until told to stop; the exit code. Raises SettingsError where somebody has the port."""
    with _port_of_ones_own(host, port):
        return _serve(host, port, log_format)


def _serve(host: str, port: int, log_format: str) -> int:
    command = [sys.executable, "-m", "dagster", "code-server", "start", "-h", host, "-p", str(port)]
    form = ["--log-format", "json"] if log_format == "json" else []
    child = subprocess.Popen(
        [*command, "-m", DEFINITIONS, *form],
        env=child_environment({"DAGSTER_GRPC_SHUTDOWN_GRACE_PERIOD": str(GRACE_SECONDS)}),
        start_new_session=True,  # a Ctrl-C reaches it once, from here
        preexec_fn=partial(_end_with, os.getpid()) if sys.platform == "linux" else None,
    )
    told = False

    def stop(*_: object) -> None:
        nonlocal told
        told = True
        child.terminate()

    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, stop)
    while not told:
        try:
            return child.wait(1)
        except subprocess.TimeoutExpired:
            continue
    try:
        child.wait(GRACE_SECONDS + LEAVE_SECONDS)
    except subprocess.TimeoutExpired:
        child.kill()
        child.wait()
    return 0


def _end_with(parent: int) -> None:
    """In the child: the kernel kills it when its parent is killed, so that the port is free for the next one.

    prctl(2), PR_SET_PDEATHSIG. SIGKILL, since at SIGTERM Dagster waits for streams that do not end.
    """
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, int(signal.SIGKILL))
    if os.getppid() != parent:  # it was killed before
        os._exit(1)


@contextmanager
def _port_of_ones_own(host: str, port: int) -> Iterator[None]:
    """Raises SettingsError where somebody has the port, or has begun a code server for it, and holds it.

    Dagster binds when the definitions are loaded, seconds later: of two that were started at once, each would
    find the port free. So a socket that takes no connection stands there from the look at the port until the
    end. It shares the port with who binds as Dagster does, and is in the way of every other look.
    """
    family, kind, protocol, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
    with socket.socket(family, kind, protocol) as look, socket.socket(family, kind, protocol) as place:
        look.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            look.bind(address)
            look.listen(1)
        except OSError as error:
            raise SettingsError(
                f"{host}:{port} cannot be had ({error.strerror}): another code server may still serve there, "
                "and two on one port would answer in turn. Stop it first, or choose another --port"
            ) from None
        with suppress(OSError):  # not every system shares a port that somebody listens on
            for one in (look, place):
                one.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
            place.bind(address)
        look.close()
        yield
