"""Rates that all workers share: one token bucket a name, kept in MongoDB.

A request larger than the burst is given when the bucket is full and leaves a debt, which is paid
before the next one: a large batch needs no large burst, and the mean rate holds.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta

from pymongo import ReturnDocument
from pymongo.errors import DuplicateKeyError

from reporting_pipeline.stores.mongo import Database, Record, server_time

#: A bucket is made once; who meets another making it asks again after this.
_SHORTLY = timedelta(milliseconds=1)


def take(
    database: Database,
    name: str,
    count: int,
    per_second: float,
    burst: float,
    now: datetime | None = None,
) -> timedelta:
    """Take `count` tokens. Zero when they were given; otherwise how long to wait before asking again.

    One atomic update, so workers cannot take the same token. The clock is the database server's, so that a
    worker whose clock is wrong holds up nobody; tests pass `now`. A time ahead of it is forgotten.
    """
    now = now or server_time(database)
    needed = min(float(count), burst) - 1e-6  # what rounding may have cost
    elapsed = {"$max": [0, {"$divide": [{"$subtract": [now, {"$ifNull": ["$at", now]}]}, 1000]}]}
    filled = {
        "$min": [burst, {"$add": [{"$ifNull": ["$tokens", burst]}, {"$multiply": [elapsed, per_second]}]}]
    }
    change: list[Record] = [
        {"$set": {"filled": filled, "at": now}},
        {"$set": {"granted": {"$gte": ["$filled", needed]}}},
        {"$set": {"tokens": {"$cond": ["$granted", {"$subtract": ["$filled", count]}, "$filled"]}}},
    ]
    bucket = _changed(database, name, change)
    if bucket is None:
        return _SHORTLY
    if bucket["granted"]:
        return timedelta(0)
    return timedelta(seconds=max(0.001, (needed - bucket["tokens"]) / per_second))


def _changed(database: Database, name: str, change: Sequence[Record]) -> Record | None:
    """The bucket after `change`; made full where there is none. None: another made it at this moment."""
    changed = database.token_buckets.find_one_and_update(
        {"_id": name}, change, return_document=ReturnDocument.AFTER
    )
    if changed is not None:
        return changed
    try:
        database.token_buckets.insert_one({"_id": name})
    except DuplicateKeyError:
        return None
    return database.token_buckets.find_one_and_update(
        {"_id": name}, change, return_document=ReturnDocument.AFTER
    )
