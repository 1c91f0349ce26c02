"""What the process that opens hostile files may still do: compute, and read the programs it is made of.

Belongs here: the kernel's own limits, taken on by the worker itself before its first file. Does not: limits
of memory and time (`worker`), and the protocol. Landlock closes the file system but for the interpreter and
its libraries (so also `/proc` of the parent, with its environment); seccomp closes networks, other programs
and other processes. Each is used where the kernel and the libraries have it; `confine` says which.
"""

from __future__ import annotations

import errno
import os
import sys
from collections.abc import Iterator, Sequence
from contextlib import suppress
from importlib import import_module
from typing import Final

LANDLOCK: Final = "landlock"
SECCOMP: Final = "seccomp"
ALL: Final = (LANDLOCK, SECCOMP)
_SYSTEM = ("/usr", "/lib", "/lib64", "/etc/fonts", "/etc/ld.so.cache", "/etc/localtime", "/dev/urandom")
_OURS = "reporting_pipeline"
#: Calls that nobody who decodes a picture makes. Answered with EPERM, so that a codec which asks goes on.
_CLOSED = (
    *("socket", "connect", "bind", "listen", "accept", "accept4"),
    *("execve", "execveat", "fork", "vfork", "unshare", "setns", "mount", "umount2", "pivot_root", "chroot"),
    *("ptrace", "process_vm_readv", "process_vm_writev", "kcmp", "pidfd_open", "pidfd_getfd"),
    *("kill", "tkill", "pidfd_send_signal", "rt_sigqueueinfo", "rt_tgsigqueueinfo"),
    *("io_uring_setup", "io_uring_enter", "io_uring_register", "bpf", "perf_event_open", "userfaultfd"),
    *("keyctl", "add_key", "request_key", "open_by_handle_at", "init_module", "finit_module"),
)


def confine(paths: Sequence[str]) -> list[str]:
    """Confine this process for good. `paths` are those that it imports from. Returns what holds now.

    What the kernel or the machine does not have is left out and not an error: limits and the separate
    process hold all the same, and `reporting-pipeline doctor` tells.
    """
    for library in ("landlock", "pyseccomp"):  # both before either closes what importing the other takes
        with suppress(Exception):
            import_module(library)
    held = []
    for name, apply in ((LANDLOCK, lambda: _close_files(paths)), (SECCOMP, _close_calls)):
        with suppress(Exception):  # no library, no such call, an old kernel: each is "not held"
            apply()  # type: ignore[no-untyped-call]
            held.append(name)
    return held


def _close_files(paths: Sequence[str]) -> None:
    from landlock import FSAccess, Ruleset

    rules = Ruleset()
    read = FSAccess.READ_FILE | FSAccess.READ_DIR | FSAccess.EXECUTE  # libraries are mapped to be executed
    for path in sorted({os.path.realpath(path) for path in _readable(paths)}):
        if os.path.isdir(path):
            rules.allow(path, rules=read)
        elif os.path.exists(path):
            rules.allow(path, rules=FSAccess.READ_FILE)
    rules.apply()


def _readable(paths: Sequence[str]) -> Iterator[str]:
    yield from _SYSTEM
    yield from (sys.prefix, sys.base_prefix)
    for path in paths:
        ours = os.path.join(path, _OURS)
        if not os.path.isdir(ours) or os.path.basename(path) in ("site-packages", "dist-packages"):
            yield path
        else:  # a checkout: its other folders may be a home with data
            yield ours


def _close_calls() -> None:
    from pyseccomp import ALLOW, ERRNO, NE, Arg, SyscallFilter

    calls = SyscallFilter(ALLOW)
    refused = ERRNO(errno.EPERM)
    for name in _CLOSED:
        try:
            calls.add_rule(refused, name)
        except (OSError, ValueError):
            if name in ("socket", "execve", "ptrace"):
                raise
            # This machine has no such call.
    # A process may end itself (so pdfium gives up an allocation) and limit itself, and no other.
    calls.add_rule(refused, "tgkill", Arg(0, NE, os.getpid()))
    calls.add_rule(refused, "prlimit64", Arg(0, NE, 0))
    calls.load()
