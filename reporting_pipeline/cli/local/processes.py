"""Child processes of a command: Dagster's daemon and UI, the API. They end with the command."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from reporting_pipeline.settings import SettingsError

HOST = "127.0.0.1"
STOP_SECONDS = 20.0


@dataclass(frozen=True)
class Child:
    name: str
    process: subprocess.Popen[bytes]
    log: Path

    @property
    def pid(self) -> int:
        return self.process.pid

    def check(self) -> None:
        """Raise with the end of its log when it has ended on its own."""
        code = self.process.poll()
        if code is not None:
            tail = "\n".join(self.log.read_text(errors="replace").splitlines()[-25:])
            raise SettingsError(f"{self.name} ended with code {code}; the end of {self.log}:\n{tail}")


def program(name: str) -> str:
    """The path of a program of this environment. Raises SettingsError when it is not installed."""
    path = Path(sys.executable).parent / name
    if not path.is_file():
        raise SettingsError(f"{name} is not installed beside {sys.executable}; run `make install`")
    return str(path)


def api_command(port: int) -> list[str]:
    """The API on `port` of this machine."""
    return [
        program("uvicorn"),
        "reporting_pipeline.sidecar:app_from_environment",
        "--factory",
        "--host",
        HOST,
        "--port",
        str(port),
        "--no-server-header",
    ]


def free_port(wanted: int) -> int:
    """`wanted`, or the next one that nobody listens on."""
    for port in range(wanted, wanted + 50):
        with socket.socket() as probe:
            if probe.connect_ex((HOST, port)) != 0:
                return port
    raise SettingsError(f"no free port between {wanted} and {wanted + 49}")


@contextmanager
def running(name: str, command: Sequence[str], environment: dict[str, str], log: Path) -> Iterator[Child]:
    """Run `command` for the length of a block, its output in `log`; its whole process group ends with it."""
    log.parent.mkdir(parents=True, exist_ok=True)
    with log.open("ab") as output:
        process = subprocess.Popen(
            list(command), env=environment, stdout=output, stderr=output, start_new_session=True
        )
    try:
        yield Child(name, process, log)
    finally:
        _stop(process)


def _stop(process: subprocess.Popen[bytes]) -> None:
    """Interrupt, wait, then kill. The group is this child's own: it was started as a session leader."""
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGKILL):
        try:
            os.killpg(process.pid, number)
        except ProcessLookupError:
            break
        try:
            process.wait(timeout=STOP_SECONDS)
            break
        except subprocess.TimeoutExpired:
            continue
    _reap_group(process.pid)


def _reap_group(group: int) -> None:
    """End what the child left behind in its group, such as code servers of Dagster."""
    deadline = time.monotonic() + STOP_SECONDS
    while time.monotonic() < deadline:
        try:
            os.killpg(group, signal.SIGTERM if time.monotonic() < deadline - 5 else signal.SIGKILL)
        except (ProcessLookupError, PermissionError):
            return
        time.sleep(0.2)
