"""Signs of life of the runs.

Dagster's default launcher does not notice when a run's process is killed; the run would stay
"started" until its time limit. Each run therefore writes a heartbeat, and the edition sensor
declares a run dead whose heartbeat stopped.

Both go by the database server's clock: a machine whose own is an hour off would bury every living run, or
none that died.
"""

from __future__ import annotations

import os
import socket
import threading
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import datetime, timedelta

from pymongo.errors import PyMongoError

from reporting_pipeline.stores.measures import MEASURES
from reporting_pipeline.stores.mongo import Database, server_time

#: So many heartbeats may be missed before a run counts as dead.
MISSED_BEATS = 12


def longest_silence(heartbeat_seconds: float) -> timedelta:
    """How long a living run may be without a heartbeat, where it writes one every `heartbeat_seconds`."""
    return timedelta(seconds=heartbeat_seconds * MISSED_BEATS)


@dataclass
class RunProgress:
    """How far a run is; the heartbeat publishes it."""

    total: int
    done: int = 0
    failed: int = 0


@contextmanager
def beating(
    database: Database,
    run_id: str,
    stage: str,
    progress: RunProgress,
    seconds: float,
) -> Iterator[None]:
    """Write a heartbeat now, every `seconds` while the block runs, and remove it at the end."""
    stop = threading.Event()

    def beat() -> None:
        database.heartbeats.update_one(
            {"_id": run_id},
            {
                "$set": {
                    "at": server_time(database),
                    "stage": stage,
                    "host": socket.gethostname(),
                    "pid": os.getpid(),
                    "total": progress.total,
                    "done": progress.done,
                    "failed": progress.failed,
                }
            },
            upsert=True,
        )
        with suppress(PyMongoError):  # they are added with the next beat
            MEASURES.flush(database)

    def loop() -> None:
        while not stop.wait(seconds):
            try:
                beat()
            except Exception:  # noqa: S112 - a missed beat is what the reader of beats is for
                continue

    beat()
    thread = threading.Thread(target=loop, name=f"heartbeat-{run_id[:8]}", daemon=True)
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join(timeout=seconds + 5)
        database.heartbeats.delete_one({"_id": run_id})
        with suppress(PyMongoError):  # figures are not worth a run
            MEASURES.flush(database)


def silent_runs(database: Database, run_ids: list[str], now: datetime, limit: timedelta) -> list[str]:
    """Those of `run_ids` whose last heartbeat is older than `limit`; `now` as the server says."""
    query = {"_id": {"$in": run_ids}, "at": {"$lt": now - limit}}
    return [record["_id"] for record in database.heartbeats.find(query, {"_id": 1})]


def living_runs(database: Database, run_ids: Iterable[str], since: datetime) -> set[str]:
    """Those of `run_ids` that wrote a heartbeat at `since` or later."""
    query = {"_id": {"$in": list(run_ids)}, "at": {"$gte": since}}
    return {record["_id"] for record in database.heartbeats.find(query, {"_id": 1})}


def has_heartbeat(database: Database, run_id: str) -> bool:
    return database.heartbeats.find_one({"_id": run_id}, {"_id": 1}) is not None


def forget_heartbeat(database: Database, run_id: str) -> None:
    """Of a run that was found dead: its own end would have removed it."""
    database.heartbeats.delete_one({"_id": run_id})
