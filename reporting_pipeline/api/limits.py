"""Rate limits that hold across workers: one count in MongoDB, per principal.

Counts are kept per user, never per address and never per X-Forwarded-For, which the caller writes.
Windows are fixed (requests, clicks), counted by one conditional update here, or exact (run now), counted
by `limits`. Its own fixed window is a findAndModify, for which some servers read the whole collection at
every request; its sliding one needs date arithmetic that not every MongoDB-compatible server has.
"""

from __future__ import annotations

import math
import time
from datetime import UTC, datetime, timedelta
from typing import Any

from limits import RateLimitItem, RateLimitItemPerHour
from limits.storage.mongodb import MongoDBStorageBase
from limits.strategies import MovingWindowRateLimiter
from pymongo.errors import DuplicateKeyError

from reporting_pipeline.api.errors import Problem
from reporting_pipeline.settings import Settings
from reporting_pipeline.stores.mongo import Database

MINUTE = timedelta(minutes=1)


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


class RateLimits:
    """The limits of a deployment. Methods raise Problem (429) with Retry-After."""

    def __init__(self, settings: Settings, database: Database) -> None:
        self._database = database
        self._moving = MovingWindowRateLimiter(SharedStorage(database))
        self._requests_per_minute = settings.requests_per_minute
        self._run_now = RateLimitItemPerHour(settings.run_now_per_hour)
        self._requeue = RateLimitItemPerHour(settings.requeues_per_hour)
        self._clicks_per_minute = settings.link_clicks_per_minute

    def request(self, principal: str) -> None:
        """Count one request of a principal."""
        self._in_minute("requests", principal, self._requests_per_minute)

    def run_now(self, principal: str) -> None:
        """Count one run-now of a principal."""
        self._in_hour("run-now", principal, self._run_now)

    def requeue(self, organisation: str) -> None:
        """Count one requeue by filter of an organisation."""
        self._in_hour("requeue", organisation, self._requeue)

    def link(self, token_digest: str) -> None:
        """Count one click on a link."""
        self._in_minute("link", token_digest, self._clicks_per_minute)

    def _in_minute(self, what: str, who: str, most: int) -> None:
        reset_at = hit(self._database, f"{what}/{who}", most, MINUTE, datetime.now(UTC))
        if reset_at is not None:
            raise _exceeded(what, most, "minute", reset_at.timestamp())

    def _in_hour(self, what: str, who: str, item: RateLimitItem) -> None:
        if not self._moving.hit(item, what, who):
            reset_at = self._moving.get_window_stats(item, what, who).reset_time
            raise _exceeded(what, item.amount, item.GRANULARITY.name, reset_at)


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


def _exceeded(what: str, most: int, unit: str, reset_at: float) -> Problem:
    seconds = max(1, math.ceil(reset_at - time.time()))
    return Problem(
        "rate-limited",
        f"The limit is {most} {what} per {unit}; try again in {seconds} s.",
        headers={"Retry-After": str(seconds)},
    )
