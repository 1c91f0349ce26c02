"""The child process that opens hostile files: reads tasks from its socket, answers, one at a time.

Started by `sandbox`, never imported by it for its work. Two frames make the protocol, and neither
can carry code: a task and an answer are each a JSON header and a body of bytes, with their lengths
before them. The process limits its own memory and CPU time, cannot write files, leaves no core
dump, is confined by the kernel where that can (`confinement`), and ends when its parent does, because
the socket ends.
"""

from __future__ import annotations

import json
import os
import resource
import struct
import sys
from typing import Any, BinaryIO, Final

LENGTHS: Final = struct.Struct("!IQ")  # of the header and of the body, in bytes
_MEGABYTE = 1 << 20
_OPEN_FILES = 64


def frame_head(header: dict[str, Any], body_size: int) -> bytes:
    """What goes before a body of `body_size` bytes."""
    packed = json.dumps(header).encode()
    return LENGTHS.pack(len(packed), body_size) + packed


def serve(stream: BinaryIO, answers: BinaryIO, memory_bytes: int, cpu_seconds: int) -> None:
    """Answer tasks until the parent closes the socket.

    `memory_bytes` is what a file may use on top of the idle process, `cpu_seconds` what one may
    compute; over the first it is answered "memory", over the second the kernel ends the process.
    """
    from reporting_pipeline.media.confinement import confine
    from reporting_pipeline.media.decoding import Undecodable
    from reporting_pipeline.media.thumbnails import thumbnail
    from reporting_pipeline.media.verdicts import check_content

    def answer_to(task: dict[str, Any], content: bytes) -> tuple[dict[str, Any], bytes]:
        verdict = check_content(content, task["file_type"])
        header: dict[str, Any] = {"status": verdict.status, "reason": verdict.reason}
        if verdict.status != "ok" or not task["max_side"]:
            return header, b""
        try:
            small = thumbnail(content, task["file_type"], task["max_side"])
        except Undecodable as error:
            return {**header, "reason": f"No preview: {error}"}, b""
        header |= {"width": small.width, "height": small.height, "pages": small.pages}
        return header, small.jpeg

    _limit_process(memory_bytes)
    _answer(answers, {"ready": True, "confined": confine(sys.path)}, b"")
    while (lengths := stream.read(LENGTHS.size)) and len(lengths) == LENGTHS.size:
        header_size, body_size = LENGTHS.unpack(lengths)
        task = json.loads(stream.read(header_size))
        _limit_cpu(cpu_seconds)
        try:
            header, body = answer_to(task, stream.read(body_size))
        except MemoryError:
            _answer(answers, {"status": "memory", "reason": ""}, b"")
            return  # codecs are seldom sound after it; the parent starts a fresh process
        _answer(answers, header, body)


def main(memory_bytes: int, cpu_seconds: int) -> None:
    """Serve the socket that stands as standard input."""
    stream = os.fdopen(os.dup(0), "rb")
    answers = os.fdopen(os.dup(0), "wb")
    try:
        serve(stream, answers, memory_bytes, cpu_seconds)
    except (BrokenPipeError, ConnectionResetError):
        pass  # the parent is gone or has given up on this task
    except Exception as error:
        _answer(answers, {"ready": False, "error": f"{type(error).__name__}: {error}"}, b"")


def _answer(answers: BinaryIO, header: dict[str, Any], body: bytes) -> None:
    answers.write(frame_head(header, len(body)))
    answers.write(body)
    answers.flush()


def _limit_process(memory_bytes: int) -> None:
    limit = _address_space() + memory_bytes
    resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0))
    resource.setrlimit(resource.RLIMIT_NOFILE, (_OPEN_FILES, _OPEN_FILES))


def _limit_cpu(cpu_seconds: int) -> None:
    """The limit counts from the start of the process, so it moves with every task."""
    used = resource.getrusage(resource.RUSAGE_SELF)
    soft = int(used.ru_utime + used.ru_stime) + cpu_seconds + 1
    resource.setrlimit(resource.RLIMIT_CPU, (soft, resource.RLIM_INFINITY))


def _address_space() -> int:
    """Bytes of address space in use; a generous guess where there is no /proc."""
    try:
        with open("/proc/self/statm", "rb") as statm:
            return int(statm.read().split()[0]) * resource.getpagesize()
    except OSError:
        return 512 * _MEGABYTE
