"""Opens hostile files in child processes: one that eats memory or time costs a verdict, not the run.

A few worker processes open many files each and are replaced when they die. They are plain
subprocesses, because a run of Dagster is full of threads and must not fork; they get no environment
and so no secrets; they answer in JSON and bytes, so a captured worker cannot send code back. Files
whose size, hash or signature is wrong never reach them. Start-up costs 0.2 s per worker.
"""

from __future__ import annotations

import contextlib
import json
import os
import queue
import signal
import socket
import subprocess
import sys
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any, Final, NamedTuple, Self, TypeVar

from reporting_pipeline.domain.documents import FileVerdict, file_type_of
from reporting_pipeline.media.thumbnails import MAX_SIDE, ThumbnailImage
from reporting_pipeline.media.verdicts import check_envelope
from reporting_pipeline.media.worker import LENGTHS, frame_head

DECODE_LIMIT = 256 << 20  # bytes of a file; larger ones are held by their hash alone
FILES_PER_WORKER = 500  # then a fresh one, so that no leak of a codec adds up
_ANSWER_LIMIT = 8 << 20  # bytes of a thumbnail; a captured worker must not fill our memory
_HEADER_LIMIT = 1 << 16
_REASON_LIMIT = 400  # characters
_START_SECONDS = 60.0
_ASK_AGAIN = "Check the file by hand or ask the site for a plainer copy."
_BOOTSTRAP: Final = (
    "import json, sys; sys.path[:] = json.loads(sys.argv[1]); "
    "from reporting_pipeline.media.worker import main; main(int(sys.argv[2]), int(sys.argv[3]))"
)

_Result = TypeVar("_Result")


class WorkerStartError(RuntimeError):
    """No worker could be started: the machine's fault, so no verdict on any file."""


class MediaFile(NamedTuple):
    """A file and what its record declares about it."""

    content: bytes | None  # None: nothing is stored under the key
    name: str
    sha256: str  # hex
    size: int  # bytes


@dataclass(frozen=True)
class Inspection:
    """A verdict, and the file made small when it is ok and can be shown."""

    verdict: FileVerdict
    thumbnail: ThumbnailImage | None = None


@dataclass(frozen=True)
class Limits:
    """What one file may use."""

    memory_bytes: int = 1 << 30  # on top of the idle worker
    cpu_seconds: int = 20
    wall_seconds: float = 90.0  # generous: a busy machine must not condemn a file


@dataclass
class MediaWorkers:
    """A pool of worker processes, started when needed. Use it as a context manager.

    `verify` and `inspect` may be called from several threads at once; each call waits for a free
    worker. A file whose worker dies is tried once more in a fresh one before it is called corrupt.
    """

    workers: int = field(default_factory=lambda: min(4, os.cpu_count() or 1))
    limits: Limits = field(default_factory=Limits)
    max_side: int = MAX_SIDE  # pixels of a thumbnail

    def __post_init__(self) -> None:
        if self.workers < 1:
            raise ValueError(f"workers must be at least 1, not {self.workers}")
        self._slots: queue.LifoQueue[_Slot] = queue.LifoQueue()
        self._all = [_Slot(self.limits) for _ in range(self.workers)]
        for slot in reversed(self._all):
            self._slots.put(slot)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for slot in self._all:
            slot.stop()

    def confinement(self) -> tuple[str, ...]:
        """What the kernel keeps a worker from, by name (`confinement.ALL`). Raises WorkerStartError."""
        slot = self._slots.get()
        try:
            return slot.confined()
        finally:
            self._slots.put(slot)

    def verify(self, items: Iterable[MediaFile]) -> Iterator[FileVerdict]:
        """A verdict for each file, in order; at most two files a worker are held at a time."""
        return self._in_order(lambda item: self._examined(item, 0).verdict, items)

    def inspect_each(self, items: Iterable[MediaFile]) -> Iterator[Inspection]:
        """An inspection of each file, in order; at most two files a worker are held at a time."""
        return self._in_order(lambda item: self._examined(item, self.max_side), items)

    def inspect(self, content: bytes | None, name: str, sha256: str, size: int) -> Inspection:
        """The verdict on one file and its thumbnail. Raises WorkerStartError, nothing for the file."""
        return self._examined(MediaFile(content, name, sha256, size), self.max_side)

    def _in_order(
        self, work: Callable[[MediaFile], _Result], items: Iterable[MediaFile]
    ) -> Iterator[_Result]:
        with ThreadPoolExecutor(self.workers, thread_name_prefix="media") as threads:
            ahead: deque[Future[_Result]] = deque()
            try:
                for item in items:
                    ahead.append(threads.submit(work, item))
                    del item
                    if len(ahead) >= 2 * self.workers:
                        yield ahead.popleft().result()
                while ahead:
                    yield ahead.popleft().result()
            finally:
                for future in ahead:
                    future.cancel()

    def _examined(self, item: MediaFile, max_side: int) -> Inspection:
        verdict = check_envelope(item.content, item.name, item.sha256, item.size)
        if verdict is not None or item.content is None:
            return Inspection(verdict or FileVerdict("missing", "", file_type_of(item.name)))
        file_type = file_type_of(item.name)
        limit = min(DECODE_LIMIT, self.limits.memory_bytes // 2)
        if len(item.content) > limit:
            remark = f"Not inspected: larger than {limit >> 20} MB; size and SHA-256 are right."
            return Inspection(FileVerdict("not_inspected", remark, file_type))
        slot = self._slots.get()
        try:
            return slot.examine(item.content, file_type, max_side)
        finally:
            self._slots.put(slot)


class _WorkerDied(Exception):
    """The worker ended or was ended in the middle of a task; `why` is for the verdict."""

    def __init__(self, why: str, *, final: bool = False) -> None:
        super().__init__(why)
        self.why = why
        self.final = final  # trying again would only cost the same again


class _Slot:
    """One place in the pool: a worker process, replaced when it is gone or worn. One thread at a time."""

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self.process: subprocess.Popen[bytes] | None = None
        self._socket: socket.socket | None = None
        self._served = 0
        self._confined: tuple[str, ...] = ()

    def examine(self, content: bytes, file_type: str, max_side: int) -> Inspection:
        """A verdict and thumbnail of `content`; tried once more when the worker dies."""
        try:
            return self._attempt(content, file_type, max_side)
        except _WorkerDied as death:
            if death.final:
                return _corrupt(death.why, file_type)
        try:
            return self._attempt(content, file_type, max_side)
        except _WorkerDied as death:
            return _corrupt(death.why, file_type)

    def confined(self) -> tuple[str, ...]:
        """What holds the worker, which is started for it."""
        self._connected()
        return self._confined

    def stop(self) -> None:
        """End the worker now; the next task starts another."""
        if self._socket is not None:
            self._socket.close()
        if self.process is not None:
            self.process.kill()
            self.process.wait()
        self._socket = self.process = None

    def _attempt(self, content: bytes, file_type: str, max_side: int) -> Inspection:
        connection = self._connected()
        self._served += 1
        deadline = time.monotonic() + self._limits.wall_seconds
        try:
            _send(connection, {"file_type": file_type, "max_side": max_side}, content, deadline)
            header, body = _receive(connection, deadline)
            return self._read_answer(header, body, file_type)
        except TimeoutError:
            self.stop()
            raise _WorkerDied(f"opening it takes more than {self._limits.wall_seconds:g} seconds") from None
        except (OSError, EOFError, ValueError, KeyError, TypeError, OverflowError, RecursionError):
            raise self._death() from None
        except BaseException:
            self.stop()  # an interrupt: the worker still holds a task, its answer would meet the next one
            raise

    def _read_answer(self, header: dict[str, Any], body: bytes, file_type: str) -> Inspection:
        """The inspection in an answer, which is not trusted: any misfit is the death of the worker."""
        if header["status"] == "memory":
            self.stop()
            raise _WorkerDied(self._too_much_memory(), final=True)
        if header["status"] not in ("ok", "not_inspected", "corrupt"):
            raise ValueError("no such status")
        verdict = FileVerdict(header["status"], str(header["reason"])[:_REASON_LIMIT], file_type)
        if not body:
            return Inspection(verdict)
        sizes = [int(header[name]) for name in ("width", "height", "pages")]
        return Inspection(verdict, ThumbnailImage(body, *sizes))

    def _death(self) -> _WorkerDied:
        """Why the worker is gone, from how it ended."""
        process = self.process
        code = None
        if process is not None:
            with contextlib.suppress(subprocess.TimeoutExpired):
                code = process.wait(1)
        self.stop()
        if code == -signal.SIGXCPU:
            return _WorkerDied(
                f"opening it takes more than {self._limits.cpu_seconds} seconds of computing", final=True
            )
        if code == -signal.SIGKILL:
            return _WorkerDied("the process that opened it was killed twice, probably for want of memory")
        if code in (-signal.SIGABRT, -signal.SIGTRAP, -signal.SIGILL):  # how pdfium gives up an allocation
            return _WorkerDied(self._too_much_memory())
        return _WorkerDied("it crashes the program that opens it")

    def _too_much_memory(self) -> str:
        return f"opening it takes more than {self._limits.memory_bytes >> 20} MB of memory"

    def _connected(self) -> socket.socket:
        if self._served >= FILES_PER_WORKER:
            self.stop()
        if self._socket is None or self.process is None or self.process.poll() is not None:
            self.stop()
            self._start_or_again()
        assert self._socket is not None  # noqa: S101 - starting sets it or raises
        return self._socket

    def _start_or_again(self) -> None:
        """A worker killed while it starts is no reason to end a run of thousands of files."""
        try:
            self._start()
        except WorkerStartError:
            self._start()

    def _start(self) -> None:
        ours, theirs = socket.socketpair()
        limits = self._limits
        try:
            self.process = subprocess.Popen(
                [
                    *(sys.executable, "-I", "-c", _BOOTSTRAP),
                    *(
                        json.dumps([os.path.abspath(path) for path in sys.path]),
                        str(limits.memory_bytes),
                        str(limits.cpu_seconds),
                    ),
                ],
                stdin=theirs.fileno(),
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,  # codecs write what a file makes them write
                env={"LC_ALL": "C.UTF-8"},
                cwd="/",
                process_group=0,  # an interrupt at the terminal is for the parent, which then closes us
            )
            self._socket, self._served = ours, 0
            theirs.close()  # before we listen: held open here, a worker that died would never be heard
            header, _ = _receive(ours, time.monotonic() + _START_SECONDS)
        except (OSError, EOFError, ValueError) as error:
            ours.close()
            self.stop()
            raise WorkerStartError(f"no media worker could be started: {error!r}") from error
        finally:
            theirs.close()
        if not header.get("ready"):
            self.stop()
            raise WorkerStartError(f"a media worker could not start: {header.get('error')}")
        self._confined = tuple(header.get("confined", ()))


def _corrupt(why: str, file_type: str) -> Inspection:
    return Inspection(
        FileVerdict("corrupt", f"The file cannot be opened safely: {why}. {_ASK_AGAIN}", file_type)
    )


def _send(connection: socket.socket, header: dict[str, Any], body: bytes, deadline: float) -> None:
    """TimeoutError past `deadline` (monotonic seconds), OSError when the worker is gone."""
    connection.settimeout(_left(deadline))
    connection.sendall(frame_head(header, len(body)))
    connection.settimeout(_left(deadline))
    connection.sendall(body)


def _receive(connection: socket.socket, deadline: float) -> tuple[dict[str, Any], bytes]:
    """One answer. TimeoutError, EOFError, ValueError for one that is no answer of ours."""
    header_size, body_size = LENGTHS.unpack(_exactly(connection, LENGTHS.size, deadline))
    if header_size > _HEADER_LIMIT or body_size > _ANSWER_LIMIT:
        raise ValueError("the answer is larger than any of ours")
    header = json.loads(_exactly(connection, header_size, deadline))
    if not isinstance(header, dict):
        raise ValueError("the answer has no header")
    return header, _exactly(connection, body_size, deadline)


def _exactly(connection: socket.socket, size: int, deadline: float) -> bytes:
    received = bytearray()
    while len(received) < size:
        connection.settimeout(_left(deadline))
        part = connection.recv(min(size - len(received), 1 << 18))
        if not part:
            raise EOFError("the worker closed its socket")
        received += part
    return bytes(received)


def _left(deadline: float) -> float:
    left = deadline - time.monotonic()
    if left <= 0:
        raise TimeoutError
    return left
