"""What processes measure and count while they work, added up in the database over all of them.

A process keeps its measurements in memory and adds them to collection `measures` from time to time
(`Measures.flush`): runs with their heartbeat, the API when its metrics are asked for. Short runs on many
machines add to the same numbers; a killed process takes the seconds since its last flush with it.

A record is one series: `_id` "name|label=value|…", `name`, `labels`, and `count`, or for a duration
`count`, `sum` in seconds and `buckets`, how many fell into each of BOUNDS (not cumulated; the last is +Inf).
Labels are from short lists: never an id, an address or a clinical word.
"""

from __future__ import annotations

import threading
import time
from bisect import bisect_left
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field

from pymongo import UpdateOne
from pymongo.database import Database as PymongoDatabase

#: Upper bounds in seconds.
BOUNDS = (0.005, 0.02, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 120.0, 300.0, 600.0, 1800.0)
FLUSH_SECONDS = 5.0
Labels = tuple[tuple[str, str], ...]


@dataclass
class _Series:
    count: float = 0
    sum: float = 0.0
    buckets: dict[int, int] = field(default_factory=dict)

    def add(self, other: _Series) -> None:
        self.count += other.count
        self.sum += other.sum
        for bucket, number in other.buckets.items():
            self.buckets[bucket] = self.buckets.get(bucket, 0) + number


class Measures:
    """The measurements of one process that are not in the database yet. Safe between threads."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._waiting: dict[tuple[str, Labels], _Series] = {}
        self._flushed_at = time.monotonic()

    def observe(self, name: str, seconds: float, **labels: str) -> None:
        """One duration."""
        self._add(name, labels, _Series(1, seconds, {bisect_left(BOUNDS, seconds): 1}))

    def count(self, name: str, number: float = 1, **labels: str) -> None:
        """So many more of something."""
        self._add(name, labels, _Series(number))

    @contextmanager
    def timed(self, name: str, **labels: str) -> Iterator[None]:
        """Observe how long the block takes, also when it fails."""
        started = time.perf_counter()
        try:
            yield
        finally:
            self.observe(name, time.perf_counter() - started, **labels)

    def flush(self, database: PymongoDatabase[dict[str, object]], always: bool = True) -> None:
        """Add what waits to the database. What cannot be written now waits on; the error is raised.

        `always=False`: only when the last time is a while ago.
        """
        if not always and time.monotonic() - self._flushed_at < FLUSH_SECONDS:
            return
        with self._lock:
            waiting, self._waiting, self._flushed_at = self._waiting, {}, time.monotonic()
        if not waiting:
            return
        try:
            database.measures.bulk_write([_adding(*one) for one in waiting.items()], ordered=False)
        except Exception:
            with self._lock:
                for key, series in waiting.items():
                    self._waiting.setdefault(key, _Series()).add(series)
            raise

    def _add(self, name: str, labels: Mapping[str, str], series: _Series) -> None:
        key = (name, tuple(sorted(labels.items())))
        with self._lock:
            self._waiting.setdefault(key, _Series()).add(series)


def _adding(key: tuple[str, Labels], series: _Series) -> UpdateOne:
    name, labels = key
    added: dict[str, float] = {"count": series.count}
    if series.buckets:
        added |= {"sum": series.sum, **{f"buckets.{at}": number for at, number in series.buckets.items()}}
    identifier = "|".join([name, *(f"{label}={value}" for label, value in labels)])
    return UpdateOne(
        {"_id": identifier},
        {"$inc": added, "$setOnInsert": {"name": name, "labels": dict(labels)}},
        upsert=True,
    )


#: Those of this process.
MEASURES = Measures()
