"""Rates that all workers share: one token bucket a name, kept in MongoDB.

A bucket may go into debt by one request, so a large batch needs no large burst; the debt is paid
before the next request, and the mean rate holds.
"""

from __future__ import annotations

from datetime import datetime, timedelta

from pymongo import ReturnDocument

from reporting_pipeline.stores.mongo import Database


def take(
    database: Database, name: str, count: int, per_second: float, burst: float, now: datetime
) -> timedelta:
    """Take `count` tokens. Zero when they were given; otherwise how long to wait before asking again.

    One atomic update, so workers cannot take the same token. The clock is the callers': the bucket
    never runs backwards when theirs differ.
    """
    elapsed = {"$max": [0, {"$divide": [{"$subtract": [now, {"$ifNull": ["$at", now]}]}, 1000]}]}
    filled = {
        "$min": [burst, {"$add": [{"$ifNull": ["$tokens", burst]}, {"$multiply": [elapsed, per_second]}]}]
    }
    bucket = database["token_buckets"].find_one_and_update(
        {"_id": name},
        [
            {"$set": {"filled": filled, "at": {"$max": [{"$ifNull": ["$at", now]}, now]}}},
            {"$set": {"granted": {"$gt": ["$filled", 0]}}},
            {"$set": {"tokens": {"$cond": ["$granted", {"$subtract": ["$filled", count]}, "$filled"]}}},
        ],
        upsert=True,
        return_document=ReturnDocument.AFTER,
    )
    assert bucket is not None  # noqa: S101 - an upsert that returns the document after it
    if bucket["granted"]:
        return timedelta(0)
    return timedelta(seconds=max(0.001, (0.001 - bucket["tokens"]) / per_second))
