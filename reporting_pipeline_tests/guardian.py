"""Stops a test session's servers when the session cannot: it was killed, and no fixture runs any more.

The guardian is a small process of its own that waits for the end of its standard input, which the
system closes when the session's process is gone, however it went. Then it stops what still runs in
the temporary folder and removes it. After a proper end there is nothing left for it to do.
"""

from __future__ import annotations

import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path


@contextmanager
def guarding(folder: Path) -> Iterator[None]:
    """Have `folder` and its servers cleaned up at the end of this process, for the length of a block."""
    with subprocess.Popen(
        [sys.executable, "-m", "reporting_pipeline_tests.guardian", str(folder)],
        cwd=Path(__file__).parents[1],
        stdin=subprocess.PIPE,
        start_new_session=True,  # a Ctrl-C is for the session
    ):
        yield


def stop_everything(folder: Path) -> None:
    """Stop the embedded servers and the PostgreSQL of a temporary folder, and remove it."""
    import psutil  # here and not above: while it waits, the guardian stays small

    from reporting_pipeline.embedded import servers
    from reporting_pipeline.settings import load_settings

    servers.stop(load_settings({"REPORTING_HOME": str(folder)}))
    for process in psutil.process_iter(["cmdline"]):
        if str(folder / "data") in (process.info["cmdline"] or []):
            with suppress(psutil.NoSuchProcess):
                process.send_signal(signal.SIGQUIT)  # PostgreSQL's immediate shutdown
                process.wait(60)
    shutil.rmtree(folder, ignore_errors=True)


if __name__ == "__main__":
    guarded = Path(sys.argv[1])
    sys.stdin.read()
    if guarded.exists():
        stop_everything(guarded)
