"""Child processes of a command: Dagster's daemon and UI, the API. They end with the command."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

from reporting_pipeline.embedded.processes import ports_are_free
from reporting_pipeline.settings import SettingsError

HOST = "127.0.0.1"
#: What a child is told, one after the other, and how long it may take each time: in all 30 s.
STOPPING = ((signal.SIGINT, 20.0), (signal.SIGTERM, 5.0), (signal.SIGKILL, 5.0))
#: How long what a child left behind may take; it is killed 5 s before.
REAP_SECONDS = 15.0
#: A child that ends so soon after its start cannot run; what lived longer may have been killed.
SHORT_LIFE_SECONDS = 60.0
SHORT_LIVES = 3
PORTS_TRIED = 50


@dataclass
class Child:
    """A process of a command, its output in `log`."""

    name: str
    command: Sequence[str]
    environment: Mapping[str, str]
    log: Path
    clock: Callable[[], float] = time.monotonic
    process: subprocess.Popen[bytes] = field(init=False)
    _started_at: float = field(init=False)
    _short_lives: int = 0

    def __post_init__(self) -> None:
        self.start()

    def start(self) -> None:
        self._started_at = self.clock()
        with self.log.open("ab") as output:
            self.process = subprocess.Popen(
                list(self.command),
                env=dict(self.environment),
                stdout=output,
                stderr=output,
                start_new_session=True,
            )

    def keep(self) -> int | None:
        """Start it again when it has ended on its own; the code it ended with, None while it runs.

        Raises SettingsError with the end of its log when it ended soon after its start again and again.
        """
        code = self.process.poll()
        if code is None:
            return None
        short = self.clock() - self._started_at < SHORT_LIFE_SECONDS
        self._short_lives = self._short_lives + 1 if short else 0
        if self._short_lives >= SHORT_LIVES:
            self.check()
        _reap_groups([self.process.pid])
        self.start()
        return code

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
        "--no-proxy-headers",  # whom to believe is REPORTING_TRUSTED_PROXIES
        "--timeout-graceful-shutdown",  # pages that are open stay connected
        "10",
    ]


def claim_port(stack: ExitStack, wanted: int) -> int:
    """`wanted`, or the next port that nobody has; other commands leave it alone until `stack` closes.

    Between a look at a port and the bind of the server that is started for it lie seconds. So a command
    claims its ports by a name that the system gives to one process only (Linux: an abstract socket).
    """
    for port in range(wanted, wanted + PORTS_TRIED):
        claim = socket.socket(socket.AF_UNIX)
        try:
            if sys.platform == "linux":
                claim.bind(f"\0reporting-pipeline-port-{port}")
        except OSError:
            claim.close()
            continue
        if ports_are_free({"": port}):
            stack.callback(claim.close)
            return port
        claim.close()
    raise SettingsError(f"no free port between {wanted} and {wanted + PORTS_TRIED - 1}")


@contextmanager
def running(name: str, command: Sequence[str], environment: Mapping[str, str], log: Path) -> Iterator[Child]:
    """Run `command` for the length of a block, its output in `log`; its whole process group ends with it."""
    log.parent.mkdir(parents=True, exist_ok=True)
    child = Child(name, command, environment, log)
    try:
        yield child
    finally:
        _stop([child.process])


def stop_together(children: Iterable[Child]) -> None:
    """Interrupt them all, wait, then kill: they end beside one another, in the time of the slowest."""
    _stop([child.process for child in children])


def _stop(processes: Sequence[subprocess.Popen[bytes]]) -> None:
    """Interrupt, wait, then kill. Each group is its child's own: it was started as a session leader."""
    running = [process for process in processes if process.poll() is None]
    for number, seconds in STOPPING:
        for process in running:
            with suppress(ProcessLookupError):
                os.killpg(process.pid, number)
        deadline = time.monotonic() + seconds
        running = [process for process in running if not _ended(process, deadline)]
    _reap_groups([process.pid for process in processes])


def _ended(process: subprocess.Popen[bytes], deadline: float) -> bool:
    try:
        process.wait(max(0.0, deadline - time.monotonic()))
    except subprocess.TimeoutExpired:
        return False
    return True


def _reap_groups(groups: Sequence[int]) -> None:
    """End what children left behind in their groups, such as code servers of Dagster."""
    deadline = time.monotonic() + REAP_SECONDS
    left = list(groups)
    while left and time.monotonic() < deadline:
        number = signal.SIGTERM if time.monotonic() < deadline - 5 else signal.SIGKILL
        left = [group for group in left if _is_signalled(group, number)]
        if left:
            time.sleep(0.2)


def _is_signalled(group: int, number: signal.Signals) -> bool:
    """Whether there was somebody in the group to take the signal."""
    try:
        os.killpg(group, number)
    except (ProcessLookupError, PermissionError):
        return False
    return True
