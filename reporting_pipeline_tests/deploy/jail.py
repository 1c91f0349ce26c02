"""A process as in a container: the image's user without any capability, on a tree that it cannot write."""

from __future__ import annotations

import os
import signal
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

from reporting_pipeline_tests.waiting import PATIENCE

NOBODY = 10001
#: The whole tree read-only but for one folder, then the command as the image's user without any capability.
ENTER = """
set -e
mount --bind "$1" "$1"
mount -o remount,bind,ro /
cd "$1"
shift
exec setpriv --inh-caps=-all --ambient-caps=-all --bounding-set=-all --no-new-privs "$@"
"""
NAMESPACE = [
    *("unshare", "--user", "--mount", f"--map-user={NOBODY}", f"--map-group={NOBODY}", "--keep-caps"),
    *("sh", "-c", ENTER, "sh"),
]
LOOK = ["sh", "-c", 'id -u; touch "$0" 2>/dev/null && echo writable; touch ./here && rm ./here && echo here']


def as_nobody(
    command: Sequence[str], environment: Mapping[str, str], writable: Path
) -> subprocess.CompletedProcess[str]:
    """Run a command to its end; `writable` is the one folder that it can write, and where it begins."""
    whole = [*NAMESPACE, str(writable), *command]
    return subprocess.run(
        whole, env=environment, cwd=writable, capture_output=True, text=True, timeout=PATIENCE, check=False
    )


def why_there_is_none(writable: Path, outside: Path) -> str:
    """Why this machine lets nobody make such a place; empty where it does, and nobody can write `outside`."""
    seen = as_nobody([*LOOK, str(outside)], {"PATH": os.defpath}, writable)
    if seen.returncode and not seen.stdout:
        return f"no user and mount namespace can be made here: {seen.stderr.strip()}"
    assert seen.stdout.split() == [str(NOBODY), "here"]
    assert not outside.exists()
    return ""


@contextmanager
def serving_as_nobody(
    command: Sequence[str], environment: Mapping[str, str], writable: Path, log: Path
) -> Iterator[subprocess.Popen[bytes]]:
    """A process that serves, with its output in `log`; it must still run at the end, and ends by SIGTERM."""
    with (
        log.open("ab") as output,
        subprocess.Popen(
            [*NAMESPACE, str(writable), *command],
            env=environment,
            cwd=writable,
            stdout=output,
            stderr=output,
            start_new_session=True,
        ) as process,
    ):
        try:
            yield process
            assert process.poll() is None, f"{command[0]} ended by itself: {log.read_text()[-3000:]}"
        finally:
            process.terminate()
            try:
                process.wait(PATIENCE)
            except subprocess.TimeoutExpired:
                os.killpg(process.pid, signal.SIGKILL)
                raise
