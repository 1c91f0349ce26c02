"""Counts of what may be asked for so often: `rate_counters` for fixed windows, `rate_windows` for exact ones.

The fixed ones are counted by one conditional update here, the exact ones by `limits`. Its own fixed window
is a findAndModify, for which some servers read the whole collection at every request; its sliding one
needs date arithmetic that not every MongoDB-compatible server has. Both forget by themselves (TTL indexes).
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from threading import Lock
from typing import Any

from limits.storage.mongodb import MongoDBStorageBase
from pymongo.errors import DuplicateKeyError

from reporting_pipeline.stores.mongo import Database

#: A process takes so large a part of a limit at once; of a limit below that, one by one.
PORTIONS = 60
#: Whose portions a process keeps at most; they are let go with their window in any case.
KEPT = 10_000


class SharedStorage(MongoDBStorageBase):
    """limits' MongoDB storage on the connection that the process has already, closed by its owner."""

    STORAGE_SCHEME: list[str] = []  # noqa: RUF012 - the base class's attribute; [] keeps it unregistered

    def __init__(self, database: Database) -> None:
        super().__init__(
            "mongodb://",
            database_name=database.name,
            counter_collection_name="rate_counters",
            window_collection_name="rate_windows",
        )
        self._shared = database

    @property
    def _database(self) -> Any:
        return self._shared

    def _init_mongo_client(self, uri: str | None, **options: int | str | bool) -> Any:
        return self._shared.client

    def __del__(self) -> None:
        """The connection is not ours to close."""


def hit(
    database: Database, name: str, most: int, window: timedelta, now: datetime, count: int = 1
) -> datetime | None:
    """Count `count` of `most` in the window that the first one opened; when it closes, if less is left.

    One update, two for the first of a window whose predecessor still stands.
    """
    counters = database.rate_counters
    open_one = {"_id": name, "expireAt": {"$gt": now}, "count": {"$lte": most - count}}
    more = {"$inc": {"count": count}}
    try:
        counters.update_one(open_one, {**more, "$setOnInsert": {"expireAt": now + window}}, upsert=True)
        return None
    except DuplicateKeyError:
        pass  # it stands, and is closed or used up; or another request has opened it this moment
    fresh = {"$set": {"count": count, "expireAt": now + window}}
    if counters.update_one({"_id": name, "expireAt": {"$lte": now}}, fresh).matched_count:
        return None
    if counters.update_one(open_one, more).matched_count:
        return None
    standing = _closes_at(database, name)
    # Gone: the server has just removed what had expired.
    return standing if standing else hit(database, name, most, window, now, count)


@dataclass
class _Held:
    """What a process may still let pass of a window; of a limit that is used up: until when."""

    left: int
    until: datetime
    used_up: bool = False


class Portions:
    """`hit` for what comes often: a process takes a portion of the limit and spends it without asking again.

    Over all processes no more than `most` pass in a window. What a process has taken and not spent is lost to
    the others until the window closes: they may be refused earlier, by less than a portion for each process.
    That a limit is used up is remembered, so that whoever asks on and on costs no look at the database.
    Safe between threads.
    """

    def __init__(self, database: Database) -> None:
        self._database = database
        self._held: dict[str, _Held] = {}
        self._turn = Lock()

    def hit(self, name: str, most: int, window: timedelta, now: datetime) -> datetime | None:
        """As the function of this name."""
        with self._turn:
            held = self._held.get(name)
            if held and held.until > now:
                if held.left:
                    held.left -= 1
                    return None
                if held.used_up:
                    return held.until
            room = self._has_room(name, now)
        portion = most // PORTIONS
        if room and portion > 1 and hit(self._database, name, most, window, now, portion) is None:
            self._keep(name, _Held(portion - 1, self._until(name, window, now)))
            return None
        closes_at = hit(self._database, name, most, window, now)
        if room and closes_at is not None:
            self._keep(name, _Held(0, closes_at, used_up=True))
        return closes_at

    def _has_room(self, name: str, now: datetime) -> bool:
        if name not in self._held and len(self._held) >= KEPT:
            self._held = {one: each for one, each in self._held.items() if each.until > now}
        return name in self._held or len(self._held) < KEPT

    def _until(self, name: str, window: timedelta, now: datetime) -> datetime:
        """When the window closes that something was taken of at `now`; `now` where it has closed since."""
        closes_at = _closes_at(self._database, name)
        return closes_at if closes_at and closes_at <= now + window else now

    def _keep(self, name: str, more: _Held) -> None:
        """Together with what another thread has taken of the same window meanwhile."""
        with self._turn:
            held = self._held.get(name)
            if held and held.until == more.until:
                more = _Held(held.left + more.left, more.until, held.used_up or more.used_up)
            self._held[name] = more


def _closes_at(database: Database, name: str) -> datetime | None:
    standing = database.rate_counters.find_one({"_id": name}, {"expireAt": 1})
    return standing["expireAt"] if standing else None
