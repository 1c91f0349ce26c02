"""Counts of what may be asked for so often: `rate_counters` for fixed windows, `rate_windows` for exact ones.

The fixed ones are counted by one conditional update here, the exact ones by `limits`. Its own fixed window
is a findAndModify, for which some servers read the whole collection at every request; its sliding one
needs date arithmetic that not every MongoDB-compatible server has. Both forget by themselves (TTL indexes).
"""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

from limits.storage.mongodb import MongoDBStorageBase
from pymongo.errors import DuplicateKeyError

from reporting_pipeline.stores.mongo import Database


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


def hit(database: Database, name: str, most: int, window: timedelta, now: datetime) -> datetime | None:
    """Count one of `most` in the window that the first one opened; when it closes, if they are used up.

    One update, two for the first of a window whose predecessor still stands.
    """
    counters = database.rate_counters
    open_one = {"_id": name, "expireAt": {"$gt": now}, "count": {"$lt": most}}
    more = {"$inc": {"count": 1}}
    try:
        counters.update_one(open_one, {**more, "$setOnInsert": {"expireAt": now + window}}, upsert=True)
        return None
    except DuplicateKeyError:
        pass  # it stands, and is closed or used up; or another request has opened it this moment
    fresh = {"$set": {"count": 1, "expireAt": now + window}}
    if counters.update_one({"_id": name, "expireAt": {"$lte": now}}, fresh).matched_count:
        return None
    if counters.update_one(open_one, more).matched_count:
        return None
    standing = counters.find_one({"_id": name}, {"expireAt": 1})
    # Gone: the server has just removed what had expired.
    return standing["expireAt"] if standing else hit(database, name, most, window, now)
