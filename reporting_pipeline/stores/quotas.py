"""How many subscriptions an organisation has, without counting them at every creation.

Counting 100,000 records takes seconds on some servers, so one number per organisation is kept and
counted anew every few minutes and whenever it says "full". A place is taken by one atomic update.
"""

from __future__ import annotations

from datetime import datetime, timedelta

from reporting_pipeline.stores.mongo import Database
from reporting_pipeline.stores.subscriptions import count_subscriptions

COUNTED_EVERY = timedelta(minutes=10)


def take_place(database: Database, organisation: str, most: int, now: datetime) -> bool:
    """Take a place for one more subscription of the organisation; False when it has `most`."""
    if _take(database, organisation, most, now - COUNTED_EVERY):
        return True
    # Full, not counted for a while, or never counted; some may have ended since.
    _count_anew(database, organisation, now)
    return _take(database, organisation, most, now - COUNTED_EVERY)


def give_back(database: Database, organisation: str) -> None:
    """The place that was taken is not used after all."""
    database.subscription_counts.update_one({"_id": organisation}, {"$inc": {"count": -1}})


def _take(database: Database, organisation: str, most: int, counted_since: datetime) -> bool:
    taken = database.subscription_counts.update_one(
        {"_id": organisation, "count": {"$lt": most}, "counted_at": {"$gt": counted_since}},
        {"$inc": {"count": 1}},
    )
    return taken.modified_count == 1


def _count_anew(database: Database, organisation: str, now: datetime) -> None:
    count = count_subscriptions(database, organisation)
    database.subscription_counts.update_one(
        {"_id": organisation}, {"$set": {"count": count, "counted_at": now}}, upsert=True
    )
