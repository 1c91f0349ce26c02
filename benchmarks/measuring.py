"""Times, peak memory and the one JSON object that every benchmark prints."""

from __future__ import annotations

import json
import os
import platform
import signal
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from multiprocessing.pool import Pool
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import psutil

LOOK_EVERY_SECONDS = 0.2


def show(name: str, figures: Mapping[str, Any]) -> None:
    """Print the figures of benchmark `name`, with the machine they were measured on."""
    print(json.dumps({"name": name, **rounded(figures), "machine": machine()}))


def end_cleanly() -> None:
    """Let SIGTERM (a time limit) end the program as Ctrl-C does: with its servers and folders."""
    signal.signal(signal.SIGTERM, signal.default_int_handler)


def end_by_itself(pool: Pool) -> None:
    """Wait for the processes of a pool that has done its work.

    Leaving its `with` sends them SIGTERM and waits for ever where that is ignored, which is inherited.
    """
    pool.close()
    pool.join()


def machine() -> dict[str, Any]:
    """What a reader needs to judge a figure; the load tells of others who used the machine meanwhile."""
    return {
        "cores": len(os.sched_getaffinity(0)),
        "python": platform.python_version(),
        "load_15_minutes": round(os.getloadavg()[2], 1),
    }


def rounded(value: Any) -> Any:
    """Numbers cut to what can be read, in everything JSON knows."""
    if isinstance(value, Mapping):
        return {name: rounded(one) for name, one in value.items()}
    if isinstance(value, (list, tuple)):
        return [rounded(one) for one in value]
    if isinstance(value, float):
        return float(f"{value:.4g}")
    return value


@dataclass
class Watch:
    """Seconds of wall time and of this process's CPU between entering and leaving."""

    wall: float = 0.0
    cpu: float = 0.0
    _started: tuple[float, float] = (0.0, 0.0)

    def __enter__(self) -> Self:
        self._started = (time.perf_counter(), time.process_time())
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.wall = time.perf_counter() - self._started[0]
        self.cpu = time.process_time() - self._started[1]


@dataclass
class ProcessUse:
    """What one process used by the last look at it."""

    command: str
    peak_mb: float = 0.0
    cpu: float = 0.0  # seconds, user and system


@dataclass
class Uses:
    """The processes seen under a watched one."""

    by_pid: dict[int, ProcessUse] = field(default_factory=dict)

    def peak_mb(self, *words: str) -> float:
        """The highest VmHWM of a process whose command line has one of `words`."""
        return max((use.peak_mb for use in self._of(words)), default=0.0)

    def cpu(self, *words: str) -> float:
        """The CPU seconds of those processes together; without words: of all."""
        return sum(use.cpu for use in self._of(words))

    def _of(self, words: tuple[str, ...]) -> list[ProcessUse]:
        return [
            use for use in self.by_pid.values() if not words or any(word in use.command for word in words)
        ]


@contextmanager
def watching(*roots: int) -> Iterator[Uses]:
    """Look at the processes `roots` and all their children again and again, for the length of a block."""
    uses, stop = Uses(), threading.Event()

    def look() -> None:
        while not stop.wait(LOOK_EVERY_SECONDS):
            for root in roots:
                for process in _family(root):
                    _look_at(process, uses)

    thread = threading.Thread(target=look, name="watching", daemon=True)
    thread.start()
    try:
        yield uses
    finally:
        stop.set()
        thread.join()


def own_peak_mb() -> float:
    """VmHWM of this process."""
    return vm_hwm_mb(os.getpid())


def vm_hwm_mb(pid: int) -> float:
    """The peak of the process's resident memory; 0 when it is gone."""
    try:
        status = Path(f"/proc/{pid}/status").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return 0.0
    line = next((line for line in status.splitlines() if line.startswith("VmHWM")), "VmHWM: 0 kB")
    return int(line.split()[1]) / 1024


def _family(root: int) -> list[psutil.Process]:
    try:
        process = psutil.Process(root)
        return [process, *process.children(recursive=True)]
    except psutil.Error:
        return []


def _look_at(process: psutil.Process, uses: Uses) -> None:
    try:
        times = process.cpu_times()
        use = uses.by_pid.setdefault(process.pid, ProcessUse(""))
        use.command = " ".join(process.cmdline()) or use.command
        use.cpu = max(use.cpu, times.user + times.system)
        use.peak_mb = max(use.peak_mb, vm_hwm_mb(process.pid))
    except psutil.Error:
        return


def cpu_seconds(pid: int) -> float:
    """User and system seconds of a process and of its children, as far as they live or were waited for."""
    try:
        times = psutil.Process(pid).cpu_times()
        below = psutil.Process(pid).children(recursive=True)
    except psutil.Error:
        return 0.0
    return (
        times.user
        + times.system
        + times.children_user
        + times.children_system
        + sum(cpu_seconds(child.pid) for child in below if child.ppid() == pid)
    )
