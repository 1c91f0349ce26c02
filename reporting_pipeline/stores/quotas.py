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
    known = database.subscription_counts.find_one({"_id": organisation})
    if known is None or known["counted_at"] <= now - COUNTED_EVERY:
        _count_anew(database, organisation, now)
    if _take(database, organisation, most):
        return True
    _count_anew(database, organisation, now)  # some may have ended since
    return _take(database, organisation, most)


def give_back(database: Database, organisation: str) -> None:
    """The place that was taken is not used after all."""
    database.subscription_counts.update_one({"_id": organisation}, {"$inc": {"count": -1}})


def _take(database: Database, organisation: str, most: int) -> bool:
    taken = database.subscription_counts.update_one(
        {"_id": organisation, "count": {"$lt": most}}, {"$inc": {"count": 1}}
    )
    return taken.modified_count == 1


def _count_anew(database: Database, organisation: str, now: datetime) -> None:
    count = count_subscriptions(database, organisation)
    database.subscription_counts.update_one(
        {"_id": organisation}, {"$set": {"count": count, "counted_at": now}}, upsert=True
    )
