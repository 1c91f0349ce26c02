"""A disk of a test's own, small enough to be filled."""

from __future__ import annotations

import errno
import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

_FILLING = "filling"


@contextmanager
def small_disk(folder: Path, megabytes: int) -> Iterator[Path]:
    """A file system in memory on `folder`; the test is skipped where this user may mount none."""
    if shutil.which("mount") is None:
        pytest.skip("no file system can be mounted here")
    folder.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", f"size={megabytes}m", "tmpfs", str(folder)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        pytest.skip(f"no file system can be mounted here: {done.stderr.strip()}")
    try:
        yield folder
    finally:
        subprocess.run(["umount", "--lazy", str(folder)], check=True)


@contextmanager
def full(disk: Path) -> Iterator[None]:
    """No byte more can be written to `disk` inside the block."""
    with (disk / _FILLING).open("wb", buffering=0) as filling:
        for size in (1 << 20, 1 << 12, 1):
            with suppress(_DiskFull):
                while True:
                    _write(filling.fileno(), size)
    try:
        yield
    finally:
        (disk / _FILLING).unlink()


class _DiskFull(Exception):
    """What was to be written did not fit."""


def _write(file: int, size: int) -> None:
    try:
        written = os.write(file, bytes(size))
    except OSError as error:
        if error.errno != errno.ENOSPC:
            raise
        raise _DiskFull from error
    if written < size:
        raise _DiskFull
