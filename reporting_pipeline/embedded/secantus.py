"""SecantusDB, the embedded server that speaks MongoDB's protocol: its command line and its health."""

from __future__ import annotations

import socket
from pathlib import Path

from pymongo import MongoClient
from pymongo.errors import PyMongoError

from reporting_pipeline.embedded.processes import HOST, Launch

NAME = "mongodb"
PROGRAM = "secantusd-py"
PORTS = ("mongodb",)
GRACE_SECONDS = 10.0
START_SECONDS = 60.0


def plan(folder: Path, ports: dict[str, int], *, test_commands: bool = False) -> Launch:
    """How to run it on `folder`.

    `test_commands` allows configureFailPoint, for fault injection. What such a server holds is a test's and
    need not outlive it: it waits for no disk.
    """
    # A configuration of our own, empty: else the program looks for one in the user's folders.
    configuration = folder / "secantusd.toml"
    configuration.touch(mode=0o600)
    arguments = [
        *("--config", str(configuration)),
        *("--host", HOST),
        *("--port", str(ports["mongodb"])),
        *("--storage-path", str(folder / "data")),
        *("--log-level", "WARNING"),
        *("--cache-size", "256M"),
        # Without --sync-on-commit a kill -9 loses acknowledged writes (measured); with it none.
        "--enable-test-commands" if test_commands else "--sync-on-commit",
    ]
    return Launch(NAME, PROGRAM, tuple(arguments), ports, {})


def uri(ports: dict[str, int]) -> str:
    """Without the driver's own second try of a write: the server goes through the answers of the last ten
    thousand such writes at each new one, which made a change of 1 ms one of 40 (docs/performance.md)."""
    return f"mongodb://{HOST}:{ports['mongodb']}/?directConnection=true&retryWrites=false"


def healthy(ports: dict[str, int]) -> bool:
    """Does it answer a ping within five seconds? Where nobody listens, the answer comes at once."""
    try:
        socket.create_connection((HOST, ports["mongodb"]), 5).close()
    except OSError:
        return False
    client: MongoClient[dict[str, object]] = MongoClient(
        uri(ports), serverSelectionTimeoutMS=5_000, connectTimeoutMS=5_000, socketTimeoutMS=5_000
    )
    try:
        client.admin.command("ping")
    except PyMongoError:
        return False
    finally:
        client.close()
    return True
