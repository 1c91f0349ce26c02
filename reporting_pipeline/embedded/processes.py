"""One server process of a home: launched detached, found again by a later command, stopped for certain.

A record file keeps the pid, the arguments and the ports. A pid alone proves nothing, because the
system hands it out again: a process is ours only when its command line ends with the arguments we
recorded, which name this home's data folder. Nothing here knows which server it runs.
"""

from __future__ import annotations

import json
import os
import random
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from contextlib import ExitStack, suppress
from dataclasses import asdict, dataclass
from pathlib import Path

import psutil

from reporting_pipeline.embedded.errors import BinaryMissing, HomeNotUsable, ServerFailed

HOST = "127.0.0.1"
LOG_LINES = 15  # of a failed server, in the error message
LOG_BYTES = 10_000_000  # a larger log is set aside at the next start; one old log is kept
POLL_SECONDS = 0.1
HUNG_SECONDS = 20.0  # without an answer or a moment of computing: nobody is served any more
BUSY_SECONDS = 120.0  # a server that computes is waited for so long, and not killed then either
KILL_SECONDS = 60  # after SIGKILL: a busy disk or machine takes its time to let a process go
LINGER_SECONDS = 3.0  # a killed server is no process of ours any more a moment before its ports are free
LOWEST_PORT = 15_000
PORTS_TRIED = 100
ADDRESS_TAKEN = "address already in use"

# Popen objects of the servers this process started: one that is collected while its child runs warns.
_children: dict[int, subprocess.Popen[bytes]] = {}


@dataclass(frozen=True)
class Launch:
    """How to run one server: what a record is made from."""

    name: str  # "mongodb" or "s3"
    program: str  # as installed by its wheel, e.g. "weed"
    arguments: tuple[str, ...]
    ports: Mapping[str, int]
    environment: Mapping[str, str]  # on top of a bare one


@dataclass(frozen=True)
class Record:
    """A server that was launched; its process may be gone since."""

    name: str
    pid: int
    arguments: tuple[str, ...]
    ports: Mapping[str, int]

    def process(self) -> psutil.Process | None:
        """The server's process, or None when it is gone or the pid belongs to somebody else now."""
        child = _children.get(self.pid)
        if child is not None and child.poll() is not None:
            del _children[self.pid]
            return None
        try:
            process = psutil.Process(self.pid)
            if child is not None:
                # Its pid is not handed out before we wait for it; and just after its start, the kernel
                # shows no command line for a moment (once in 1,500 starts), as of somebody else's.
                return process
            command = process.cmdline()
        except (psutil.NoSuchProcess, psutil.AccessDenied):
            return None
        return process if tuple(command[-len(self.arguments) :]) == self.arguments else None


def program_path(program: str) -> Path:
    """Where the wheel put the program: next to this Python, else on the PATH. Raises BinaryMissing."""
    beside = Path(sys.executable).parent / program
    if beside.is_file() and os.access(beside, os.X_OK):
        return beside
    found = shutil.which(program)
    if found is None:
        raise BinaryMissing(
            f"{program} is not installed next to {sys.executable} nor on the PATH: run "
            'pip install "reporting-pipeline[embedded]", or set MONGODB_URI and S3_ENDPOINT_URL to '
            "servers of your own."
        )
    return Path(found)


def prepare_folder(folder: Path) -> None:
    """Make `folder` (mode 0700) and prove that it takes a file. Raises HomeNotUsable."""
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        probe = folder / f".writable-{os.getpid()}"
        probe.write_bytes(b"")
        probe.unlink()
    except OSError as error:
        raise HomeNotUsable(
            f"{folder} is not writable ({error.strerror}): set REPORTING_HOME to a folder that is."
        ) from None


def write_private(path: Path, text: str) -> None:
    """Replace `path` in one step with a file that only its owner can read, safe across a power loss."""
    draft = path.with_name(f"{path.name}.{os.getpid()}.draft")
    draft.unlink(missing_ok=True)
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "w", encoding="utf-8") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    draft.replace(path)


def free_ports(count: int) -> list[int]:
    """`count` different ports that nobody listens on now; no other call gets them while this process lives.

    Between a look at a port and the bind of the server that is started for it lie seconds; two servers that
    share their port (Dagster's code servers bind with SO_REUSEPORT) would not even notice that it was given
    twice. They lie below those that the system lends to outgoing connections, so that a server which comes
    back on its port does not find it lent.
    """
    with ExitStack() as held:
        return [held.enter_context(_listening_anywhere()).getsockname()[1] for _ in range(count)]


def ports_are_free(ports: Mapping[str, int], wait_seconds: float = 0.0) -> bool:
    """Whether all of them can be listened on, now or within `wait_seconds`."""
    deadline = time.monotonic() + wait_seconds
    while not _all_free(ports):
        if time.monotonic() > deadline:
            return False
        time.sleep(POLL_SECONDS)
    return True


def _all_free(ports: Mapping[str, int]) -> bool:
    try:
        with ExitStack() as held:
            for port in ports.values():
                held.enter_context(_listening(port))
    except OSError:
        return False
    return True


def _listening_anywhere() -> socket.socket:
    below = _first_lent_port()
    for _ in range(PORTS_TRIED):
        wanted = random.randrange(LOWEST_PORT, below) if below > LOWEST_PORT else 0  # noqa: S311 - no secret
        with suppress(OSError):
            listener = _listening(wanted)
            if _given_to_this_process(listener.getsockname()[1]):
                return listener
            listener.close()
    return _listening(0)


def _given_to_this_process(port: int) -> bool:
    """Whether nobody was given `port` before and lives; then it is this process's until its end.

    By a name that the system gives to one process only (Linux: an abstract socket), held by a descriptor
    that children do not inherit. Elsewhere every port counts as not given.
    """
    if sys.platform != "linux":
        return True
    claim = socket.socket(socket.AF_UNIX)
    try:
        claim.bind(f"\0reporting-pipeline-given-{port}")
    except OSError:
        claim.close()
        return False
    claim.detach()  # open until the process ends
    return True


def _first_lent_port() -> int:
    """The first port that outgoing connections get, on Linux; elsewhere that of RFC 6335."""
    try:
        lent = Path("/proc/sys/net/ipv4/ip_local_port_range").read_text(encoding="ascii")
        return int(lent.split()[0])
    except (OSError, ValueError, IndexError):
        return 49_152


def _listening(port: int) -> socket.socket:
    listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    try:
        # As the servers do: connections of the server before, in TIME_WAIT, do not hold its port.
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((HOST, port))
        listener.listen(1)
    except OSError:
        listener.close()
        raise
    return listener


def read_record(folder: Path) -> Record | None:
    """The record in `folder`; None when there is none or it is unreadable (then nothing can be ours)."""
    try:
        raw = json.loads((folder / "process.json").read_text(encoding="utf-8"))
        return Record(
            name=str(raw["name"]),
            pid=int(raw["pid"]),
            arguments=tuple(str(argument) for argument in raw["arguments"]),
            ports={str(name): int(port) for name, port in raw["ports"].items()},
        )
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return None


def launch(folder: Path, plan: Launch, healthy: Callable[[], bool], seconds: float) -> Record:
    """Start the server detached from this terminal and wait until `healthy`. Raises ServerFailed.

    Working folder and HOME are `folder`, so that no configuration file of the user is picked up.
    """
    program = program_path(plan.program)
    log = folder / f"{plan.name}.log"
    start_of_log = _set_aside_large(log)
    with log.open("ab") as output:
        child = subprocess.Popen(
            [str(program), *plan.arguments],
            cwd=folder,
            env={"PATH": os.defpath, "HOME": str(folder), "LC_ALL": "C.UTF-8", **plan.environment},
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,  # a Ctrl-C at the terminal is not for the servers
        )
    _children[child.pid] = child
    record = Record(plan.name, child.pid, plan.arguments, plan.ports)
    try:
        write_private(folder / "process.json", json.dumps(asdict(record), indent=2))
        _await_health(record, healthy, seconds, log, start_of_log)
    except BaseException:  # also Ctrl-C: a half-started server is nobody's
        stop_process(record, grace_seconds=0)
        raise
    return record


def _await_health(
    record: Record, healthy: Callable[[], bool], seconds: float, log: Path, start_of_log: int
) -> None:
    deadline = time.monotonic() + seconds
    while not healthy():
        if record.process() is None:
            raise ServerFailed(f"The embedded {record.name} server died at start. {_tail(log, start_of_log)}")
        if time.monotonic() > deadline:
            raise ServerFailed(
                f"The embedded {record.name} server did not answer within {seconds:g} s. "
                f"{_tail(log, start_of_log)}"
            )
        time.sleep(POLL_SECONDS)


def answers(
    record: Record, healthy: Callable[[], bool], hung_seconds: float, busy_seconds: float = BUSY_SECONDS
) -> bool:
    """Whether a server that was launched before answers; a slow one is looked at again and again.

    Another process may live by it, so it counts as lost (False) only when it ended, or neither answered nor
    computed anything for `hung_seconds`. Raises ServerFailed when it has computed for `busy_seconds` and not
    answered: it is left alone.
    """
    began = moved = time.monotonic()
    computed = -1.0
    while not healthy():
        now, before = time.monotonic(), computed
        computed = _computed(record)
        if computed != before:
            moved = now
        if record.process() is None or now - moved > hung_seconds:
            return False
        if now - began > busy_seconds:
            raise ServerFailed(
                f"The embedded {record.name} server (process {record.pid}) is at work but has not answered "
                f"for {busy_seconds:g} s. Try again when the machine has less to do, or end it with "
                "`reporting-pipeline servers stop`."
            )
        time.sleep(POLL_SECONDS)
    return True


def _computed(record: Record) -> float:
    """Seconds of computing so far."""
    process = record.process()
    if process is None:
        return 0.0
    with suppress(psutil.NoSuchProcess):
        times = process.cpu_times()
        return float(times.user + times.system)
    return 0.0


def _set_aside_large(log: Path) -> int:
    size = log.stat().st_size if log.exists() else 0
    if size < LOG_BYTES:
        return size
    log.replace(log.with_suffix(".log.1"))
    return 0


def _tail(log: Path, start: int) -> str:
    with log.open("rb") as file:
        file.seek(start)
        lines = file.read().decode("utf-8", "replace").splitlines()
    return f"The last lines of {log}:\n" + "\n".join(lines[-LOG_LINES:])


def stop_process(record: Record, grace_seconds: float) -> bool:
    """Terminate the server, kill it after `grace_seconds`; True when one was running. Waits for its end."""
    process = record.process()
    if process is None:
        return False
    with suppress(psutil.NoSuchProcess):  # it may end by itself at any moment
        if grace_seconds > 0:
            process.terminate()
            with suppress(psutil.TimeoutExpired):
                _await_end(process, record, grace_seconds)
                return True
        process.kill()
        _await_end(process, record, KILL_SECONDS)
    return True


def _await_end(process: psutil.Process, record: Record, seconds: float) -> None:
    """Wait for the end; a child of this process must be reaped by its own Popen."""
    child = _children.get(record.pid)
    if child is None:
        process.wait(seconds)
        return
    try:
        child.wait(seconds)
    except subprocess.TimeoutExpired:
        raise psutil.TimeoutExpired(seconds, record.pid) from None
    _children.pop(record.pid, None)
