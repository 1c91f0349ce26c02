"""A deployment with Dagster's own daemon: its processes, and what they leave behind."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from email import message_from_bytes, policy
from pathlib import Path

import psutil

from reporting_pipeline_tests.waiting import pause_after

ROOT = Path(__file__).parents[2]
OURS = ("REPORTING_", "MONGODB_", "S3_", "AWS_", "DAGSTER_", "SENDGRID_", "SLACK_")


def program(name: str) -> str:
    return str(Path(sys.executable).parent / name)


def bare_environment(**extra: str) -> dict[str, str]:
    """This process's environment without anything that describes a deployment, and `extra`."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(OURS)}
    return {**kept, "PYTHONPATH": str(ROOT), **extra}


def dagster_home_of(home: Path) -> Path:
    """Dagster's home in that of a deployment, laid out as on one machine unless it is laid out already."""
    dagster_home = home / "dagster"
    dagster_home.mkdir(parents=True, exist_ok=True)
    if not (dagster_home / "dagster.yaml").exists():
        shutil.copyfile(ROOT / "dagster.yaml", dagster_home / "dagster.yaml")
    return dagster_home


@contextmanager
def daemon(
    home: Path, environment: Mapping[str, str], workspace: Path | None = None
) -> Iterator[subprocess.Popen[bytes]]:
    """Dagster's daemon on the definitions of the product, as its own process group, ended at the end.

    `workspace` names the code server to use; without it the daemon starts one of its own.
    """
    dagster_home = dagster_home_of(home)
    loading = ("-w", str(workspace)) if workspace else ("-m", "reporting_pipeline.definitions")
    with (home / "daemon.log").open("ab") as log:
        process = subprocess.Popen(
            [program("dagster-daemon"), "run", *loading],
            env={**environment, "DAGSTER_HOME": str(dagster_home)},
            cwd=ROOT,
            stdout=log,
            stderr=log,
            start_new_session=True,
        )
    children: list[psutil.Process] = []
    try:
        yield process
        with _patience():  # it may have ended by itself
            children = psutil.Process(process.pid).children(recursive=True)
    finally:
        for number in (signal.SIGINT, signal.SIGKILL):
            if process.poll() is None:
                os.killpg(process.pid, number)
                with _patience():
                    process.wait(timeout=60)
        for child in children:
            with _patience():
                child.kill()
        psutil.wait_procs(children, timeout=60)


@contextmanager
def _patience() -> Iterator[None]:
    with suppress(subprocess.TimeoutExpired, psutil.NoSuchProcess, ProcessLookupError):
        yield


def wait_until(what: str, holds: Callable[[], bool], seconds: float, log: Path | None = None) -> None:
    """Look until `what` holds; fail with the end of `log` when it does not come to hold in time."""
    started = time.monotonic()
    while not holds():
        waited = time.monotonic() - started
        if waited > seconds:
            tail = log.read_text(errors="replace")[-3000:] if log else ""
            raise AssertionError(f"{what}: not within {seconds:g} s\n{tail}")
        time.sleep(pause_after(waited, 0.02))


def recipients(outbox: Path) -> list[str]:
    """Who has mail, once per mail, sorted."""
    return sorted(
        str(message_from_bytes(path.read_bytes(), policy=policy.default)["To"])
        for path in outbox.glob("*.eml")
    )
